"""What agreement and prognosis share: estimates with intervals, and the bootstrap; no domain words."""
