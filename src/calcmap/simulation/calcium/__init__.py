"""Calcifications: what they are made of, where they lie and how much of them a patient has."""
