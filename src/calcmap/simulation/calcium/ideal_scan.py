"""The scan that defines a patient's score: gated, sharp, without noise or motion."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.calcium.deposits import Deposit
from calcmap.simulation.calcium.rendering import Blur, Found, seen_by_scanner
from calcmap.simulation.scanner.axes import CtAxes

THRESHOLD_HU = 130.0
WEIGHT_STEPS_HU = (130, 200, 300, 400)
LEAST_AREA_MM2 = 1.0
"""Agatston 1990."""
PIXEL_MM = 0.5
SLICE_MM = 3.0
SIGMA_MM = 0.55
"""A gated calcium scan's pixel, slice and blur (MTF 50 % near 0.34 / mm)."""
SURROUNDINGS_HU = 0.0
"""Before the calcium: a plaque lies between blood (40 HU) and epicardial fat (-90 to -50 HU at this blur)."""
MARGIN_MM = 6.0
"""How far around a deposit's blur its lesions are looked at again."""
IN_PLANE = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])
"""Lesions are 8-connected within a slice."""


def ideal_agatston(*deposits: Deposit) -> float:
    """Return the Agatston score that an ideal gated scan of these deposits would give; 0 without any.

    Pixels 0.5 mm, slices 3 mm, 120 kVp, `SURROUNDINGS_HU` around; 8-connected lesions of at least 1 mm2. Deposits
    that touch each other in the scan are one lesion.
    """
    if not deposits:
        return 0.0
    scan = IdealScan(np.vstack([deposit.parts_mm for deposit in deposits]))
    for deposit in deposits:
        _, found = scan.gain(deposit)
        if found is not None:
            scan.plant(found)
    return scan.agatston()


class IdealScan:
    """An ideal gated scan to which deposits are added one by one.

    Parameters
    ----------
    reach_mm : ndarray, shape (n, 3)
        Points (x, y, z, mm) between which every deposit lies.
    """

    def __init__(self, reach_mm: Float64Array) -> None:
        low, high = reach_mm.min(axis=0) - MARGIN_MM, reach_mm.max(axis=0) + MARGIN_MM
        self._axes = CtAxes(
            z_mm=np.arange(np.floor(low[2] / SLICE_MM) * SLICE_MM, high[2] + SLICE_MM, SLICE_MM),
            y_mm=np.arange(low[1], high[1], PIXEL_MM),
            x_mm=np.arange(low[0], high[0], PIXEL_MM),
        )
        shape = (len(self._axes.z_mm), len(self._axes.y_mm), len(self._axes.x_mm))
        self._hu_zyx = np.zeros(shape, dtype=np.float32)

    def gain(self, deposit: Deposit) -> tuple[float, Found | None]:
        """Return by how much one more deposit would raise the score, and what `plant` needs to add it.

        Joining lesions may make the gain negative.
        """
        found = seen_by_scanner(deposit, axes=self._axes, blur=Blur(SIGMA_MM, SLICE_MM))
        if found is None:
            return 0.0, None
        (planes, rows, columns), added = found
        pad = round(MARGIN_MM / PIXEL_MM)
        wide = (planes, slice(max(rows.start - pad, 0), rows.stop + pad),
                slice(max(columns.start - pad, 0), columns.stop + pad))  # fmt: skip
        before = self._hu_zyx[wide]
        after = before.copy()
        y, x = rows.start - wide[1].start, columns.start - wide[2].start
        after[:, y : y + added.shape[1], x : x + added.shape[2]] += added
        return _agatston(after) - _agatston(before), found

    def plant(self, found: Found) -> None:
        """Add what `gain` found."""
        self._hu_zyx[found[0]] += found[1]

    def agatston(self) -> float:
        """Return the score of everything planted so far."""
        return _agatston(self._hu_zyx)


def _agatston(added_hu_zyx: Float32Array) -> float:
    bright = added_hu_zyx >= np.float32(THRESHOLD_HU - SURROUNDINGS_HU)
    z, y, x = np.nonzero(bright)
    if len(z) == 0:
        return 0.0
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in (z, y, x))
    lesions, n = ndimage.label(bright[box], IN_PLANE)
    owner, hu = lesions[bright[box]], added_hu_zyx[box][bright[box]]
    area = np.bincount(owner, minlength=n + 1)[1:] * PIXEL_MM**2
    peak = np.zeros(n + 1)
    np.maximum.at(peak, owner, hu)
    weight = np.searchsorted(WEIGHT_STEPS_HU, peak[1:] + SURROUNDINGS_HU, side="right")
    return float((area * weight)[area >= LEAST_AREA_MM2].sum())
