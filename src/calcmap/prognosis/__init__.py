"""Follow-up tables to hazards, curves, discrimination and reclassification."""
