"""What agreement and prognosis share: cells of tables, estimates with intervals, and the bootstrap; no domain words."""
