"""Are these numbers Hounsfield units, and which of them only fill the frame?"""

from __future__ import annotations

import numpy as np

from calcmap.core.errors import NotHounsfieldError
from calcmap.core.scan import QualityFlag, Severity
from calcmap.core.volume import Int16Array
from calcmap.io.canonical import VoxelArray

AIR_MUST_REACH_HU = -500
"""A chest CT holds lung and air near -1000 HU; a lowest value above this cannot be HU (our choice)."""

KNOWN_PADDING_HU = (-3024, -2048, -2000)
"""Values which scanners write outside the reconstructed circle (seen on GE, Canon and Siemens files)."""

LOWEST_TISSUE_HU = -1100
"""Below air (-1000 HU) by more than noise in a smooth reconstruction: only padding lies further down (our choice)."""

SAMPLE_STEP = 4
"""Plausibility is judged on every fourth row and column: enough to find air, sixteen times cheaper."""

INT16_HU = (np.iinfo(np.int16).min, np.iinfo(np.int16).max)


def to_int16_hu(values: VoxelArray) -> tuple[Int16Array, tuple[QualityFlag, ...]]:
    """Return values as int16 HU, with a flag when some had to be clipped.

    Whole numbers are kept; others are rounded half to even (`numpy.rint`), since HU are stored as whole numbers and
    Agatston thresholds are whole. Values beyond int16 are clipped: no threshold lies out there.

    Raises
    ------
    NotHounsfieldError
        Values are not real numbers, or not finite.
    """
    if values.dtype == np.int16:
        return np.ascontiguousarray(values), ()
    if values.dtype.kind not in "iuf":
        raise NotHounsfieldError(f"voxels are of type {values.dtype}, expected whole or decimal numbers in HU")
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise NotHounsfieldError("some voxels are not a number or infinite, expected HU")
        values = np.rint(values)
    lowest, highest = values.min(initial=0), values.max(initial=0)
    if lowest >= INT16_HU[0] and highest <= INT16_HU[1]:
        return np.ascontiguousarray(values, dtype=np.int16), ()
    detail = f"values from {lowest:g} to {highest:g} were clipped to {INT16_HU[0]} to {INT16_HU[1]} HU"
    return np.clip(values, *INT16_HU).astype(np.int16), (QualityFlag("hu_clipped", Severity.INFO, detail),)


def find_padding(ct_hu_zyx: Int16Array, *, declared_hu: tuple[int, ...] = ()) -> int | None:
    """Return the value that fills the frame outside the reconstructed circle, or ``None``.

    The lowest value of the scan is padding when it is one of ``KNOWN_PADDING_HU`` or one that the header declares;
    declared values inside the range of tissue are not believed, since masking them would hide tissue.
    """
    lowest = int(ct_hu_zyx[:, ::SAMPLE_STEP, ::SAMPLE_STEP].min(initial=0))
    candidates = {*KNOWN_PADDING_HU, *(hu for hu in declared_hu if hu < LOWEST_TISSUE_HU)}
    return lowest if lowest in candidates else None


def padding_flags(padding_hu: int | None) -> tuple[QualityFlag, ...]:
    """Return the flag that says voxels outside the field were recognised, if they were."""
    if padding_hu is None:
        return ()
    detail = f"voxels outside the reconstructed field hold {padding_hu} HU; they are kept as they are"
    return (QualityFlag("hu_padding", Severity.INFO, detail),)


def check_hounsfield(ct_hu_zyx: Int16Array, *, padding_hu: int | None = None) -> None:
    """Raise `NotHounsfieldError` when the values cannot be HU of a chest: constant, or without air."""
    sample = ct_hu_zyx[:, ::SAMPLE_STEP, ::SAMPLE_STEP]
    inside = sample[sample != padding_hu] if padding_hu is not None else sample
    if inside.size == 0 or inside.min() == inside.max():
        raise NotHounsfieldError("all voxels hold one value, expected a CT in HU")
    lowest, highest = int(inside.min()), int(inside.max())
    if lowest > AIR_MUST_REACH_HU:
        raise NotHounsfieldError(
            f"values run from {lowest} to {highest}, expected HU with lung or air below {AIR_MUST_REACH_HU}"
        )
