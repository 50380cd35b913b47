"""How a network's slice learns of its neighbours; kept free of torch, so that settings can be read without it."""

from __future__ import annotations

from enum import StrEnum


class Neighbours(StrEnum):
    """What `calcmap.networks.calcmap_net.CalcMapNet` does with the slices beside the one it labels."""

    CONVLSTM = "convlstm"
    """Two ConvLSTMs walk over them, as in the networks that are shipped."""
    CONCAT = "concat"
    """Their features are laid beside the slice's own and merged by one convolution: no recurrence."""
    NONE = "none"
    """They are not seen: one slice alone."""
