"""Simulated and planted cohorts on disk: simulation's patients written by io."""
