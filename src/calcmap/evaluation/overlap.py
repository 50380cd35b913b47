"""Overlap of two masks: Dice, volumes, and which lesions were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcmap.core.errors import GridMismatchError, InputError
from calcmap.core.volume import BoolArray

MM3_PER_ML = 1000.0
LESION_NEIGHBOURS = ndimage.generate_binary_structure(rank=3, connectivity=3)
"""26 neighbours: voxels that touch by a corner are one lesion. Our choice; it parts thin oblique plaques least."""


@dataclass(frozen=True)
class VolumeDifference:
    """Volumes of two masks and how they differ."""

    reference_ml: float
    test_ml: float
    difference_ml: float
    """Test minus reference; positive when the test mask is larger."""
    relative: float | None
    """Difference over the reference volume; ``None`` when the reference is empty."""


@dataclass(frozen=True)
class LesionDetection:
    """How many lesions of a reference were found, and how many were found that are not in it."""

    n_reference: int
    n_detected: int
    n_predicted: int
    n_false_positive: int
    sensitivity: float | None
    """Detected over reference lesions; ``None`` when the reference has none."""
    precision: float | None
    """Share of predicted lesions that touch a reference lesion; ``None`` when nothing was predicted."""


def dice(mask_a: BoolArray, mask_b: BoolArray) -> float:
    """Return twice the shared voxels over the sum of both masks' voxels.

    Parameters
    ----------
    mask_a, mask_b : ndarray of bool, one shape
        Masks of one structure on one grid, any number of axes; their order does not matter.

    Returns
    -------
    float
        0 (no overlap) to 1 (equal). Two empty masks agree: 1.0. One empty mask: 0.0.

    Raises
    ------
    GridMismatchError
        The shapes differ.
    InputError
        A mask is not boolean; a label map must first be compared with one label.

    References
    ----------
    .. [1] Dice, Ecology 1945;26:297-302.
    """
    _check_masks(mask_a, mask_b)
    n_both = np.count_nonzero(mask_a) + np.count_nonzero(mask_b)
    if n_both == 0:
        return 1.0
    return 2.0 * np.count_nonzero(mask_a & mask_b) / n_both


def volume_difference(reference: BoolArray, test: BoolArray, *, voxel_volume_mm3: float) -> VolumeDifference:
    """Return the volumes of two masks and their difference.

    Parameters
    ----------
    reference, test : ndarray of bool, one shape
        Masks of one structure on one grid.
    voxel_volume_mm3 : float
        Volume of one voxel, mm³; pixel area times slice increment.

    Returns
    -------
    VolumeDifference
        In mL; zero for empty masks.

    Raises
    ------
    GridMismatchError
        The shapes differ.
    InputError
        A mask is not boolean, or the voxel volume is not positive.
    """
    _check_masks(reference, test)
    if not voxel_volume_mm3 > 0:
        raise InputError(f"voxel_volume_mm3 is {voxel_volume_mm3}, expected a positive number")
    n_reference, n_test = int(np.count_nonzero(reference)), int(np.count_nonzero(test))
    ml_per_voxel = voxel_volume_mm3 / MM3_PER_ML
    return VolumeDifference(
        reference_ml=n_reference * ml_per_voxel,
        test_ml=n_test * ml_per_voxel,
        difference_ml=(n_test - n_reference) * ml_per_voxel,
        relative=(n_test - n_reference) / n_reference if n_reference else None,
    )


def lesion_detection(
    reference_zyx: BoolArray, predicted_zyx: BoolArray, *, min_shared_voxels: int = 1
) -> LesionDetection:
    """Return lesion-level sensitivity and false positives.

    A lesion is a three-dimensional component of a mask (26 neighbours). A reference lesion is detected when the
    predicted mask covers at least ``min_shared_voxels`` of its voxels; a predicted lesion is a false positive when it
    shares fewer than that with the reference mask. One predicted lesion may detect several reference lesions, and
    several predicted ones that touch the same reference lesion are all true.

    Parameters
    ----------
    reference_zyx, predicted_zyx : ndarray of bool, shape (slices, rows, columns)
        Masks of one class on one grid, for instance ``labels_zyx == Label.CORONARY``.
    min_shared_voxels : int
        Voxels that must be shared; at least 1. A lesion smaller than this can never be found.

    Returns
    -------
    LesionDetection
        Sensitivity and precision ``None`` where their denominator is zero.

    Raises
    ------
    GridMismatchError
        The shapes differ.
    InputError
        A mask is not boolean or not three-dimensional, or ``min_shared_voxels`` is below 1.

    Notes
    -----
    No minimum area is applied: pass masks that the scoring rule has already cleaned to count the lesions of a score.
    Which overlap makes a hit is our choice; publications differ.
    """
    _check_masks(reference_zyx, predicted_zyx)
    if reference_zyx.ndim != 3 or min_shared_voxels < 1:
        raise InputError(
            f"expected 3-D masks and min_shared_voxels >= 1, got {reference_zyx.ndim}-D and {min_shared_voxels}"
        )
    n_reference, n_detected = _n_lesions_and_hits(reference_zyx, predicted_zyx, min_shared_voxels=min_shared_voxels)
    n_predicted, n_true = _n_lesions_and_hits(predicted_zyx, reference_zyx, min_shared_voxels=min_shared_voxels)
    return LesionDetection(
        n_reference=n_reference,
        n_detected=n_detected,
        n_predicted=n_predicted,
        n_false_positive=n_predicted - n_true,
        sensitivity=n_detected / n_reference if n_reference else None,
        precision=n_true / n_predicted if n_predicted else None,
    )


def _n_lesions_and_hits(lesions_zyx: BoolArray, other_zyx: BoolArray, *, min_shared_voxels: int) -> tuple[int, int]:
    """Return the number of lesions in one mask, and how many of them share enough voxels with the other."""
    components_zyx, n_lesions = ndimage.label(lesions_zyx, structure=LESION_NEIGHBOURS)
    n_shared = np.bincount(components_zyx[other_zyx], minlength=n_lesions + 1)[1:]  # component 0 is background
    return int(n_lesions), int(np.count_nonzero(n_shared >= min_shared_voxels))


def _check_masks(mask_a: NDArray[np.generic], mask_b: NDArray[np.generic]) -> None:
    if mask_a.dtype != np.bool_ or mask_b.dtype != np.bool_:
        raise InputError(f"expected boolean masks of one structure, got {mask_a.dtype} and {mask_b.dtype}")
    if mask_a.shape != mask_b.shape:
        raise GridMismatchError(f"masks have shapes {mask_a.shape} and {mask_b.shape}; both must lie on one grid")
