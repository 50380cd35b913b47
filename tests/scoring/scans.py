"""Tiny scans that the scoring tests draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from calcmap.core.volume import BoolArray, Volume, grid_from_spacing

Index: TypeAlias = tuple[int | slice, int | slice, int | slice]

BACKGROUND_HU = 40


def scan(
    shape_zyx: tuple[int, int, int] = (3, 8, 8),
    *,
    spacing_mm_zyx: tuple[float, float, float] = (3.0, 1.0, 1.0),
    calcium: Sequence[tuple[Index, int]] = (),
) -> tuple[Volume, BoolArray]:
    """Return a soft-tissue scan with calcium drawn as ``(index, HU)`` pairs, and the mask of that calcium."""
    ct_hu_zyx = np.full(shape_zyx, BACKGROUND_HU, dtype=np.int16)
    mask_zyx = np.zeros(shape_zyx, dtype=np.bool_)
    for index_zyx, hu in calcium:
        ct_hu_zyx[index_zyx] = hu
        mask_zyx[index_zyx] = True
    return Volume(ct_hu_zyx, grid_from_spacing(shape_zyx, spacing_mm_zyx)), mask_zyx
