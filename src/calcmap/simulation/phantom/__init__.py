"""The QRM cardiac calcification phantom, a patient whose calcium is known to the milligram, and scanners for it."""
