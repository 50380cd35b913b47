"""Simulated patients whose truth is known: thorax, coronaries, calcium and scanner, seeded."""
