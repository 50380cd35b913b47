"""Invented calcium in real scans."""
