"""What could be calcium, what the calcium network says of it, and what speaks for and against the decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from calcmap.core.volume import BoolArray, Float32Array, Float64Array, Int16Array, Label, UInt8Array
from calcmap.scoring.agatston import REFERENCE_INCREMENT_MM
from calcmap.scoring.rules import get_profile
from calcmap.segmentation.calcium_input import HeartFrame

BACKGROUND_CLASS, CORONARY_CLASS, NONCORONARY_CLASS = 0, 1, 2
"""Order of the calcium network's classes."""
LABEL_OF_CLASS = np.array([Label.BACKGROUND, Label.CORONARY, Label.NONCORONARY], dtype=np.uint8)
MIN_NEAR_MISS = 0.02
"""Dense voxels that do not count are evidence when one of them is coronary with at least this probability (our choice:
what is less likely changes no expected score that matters)."""


@dataclass(frozen=True)
class DecisionOffsets:
    """Added to the calcium network's logits before the likeliest class is taken; zeros leave it to the network.

    Parameters
    ----------
    calcium : float
        Added to both classes of calcium: above 0 more voxels are calcium.
    coronary : float
        Half of it is added to coronary and taken from noncoronary: above 0 more calcium is coronary.
    """

    calcium: float = 0.0
    coronary: float = 0.0

    @property
    def of_classes(self) -> Float32Array:
        """What is added to the logits of background, coronary and noncoronary calcium."""
        return np.array([0.0, self.calcium + self.coronary / 2, self.calcium - self.coronary / 2], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The voxels of one box that could be calcium, in the order of the box; arrays begin with the voxels.

    Parameters
    ----------
    shape_zyx : tuple of int
        Of the box.
    spacing_mm_zyx : tuple of float
        Of its voxels.
    index : ndarray of int, shape (voxels,)
        Place in the flattened box.
    hu : ndarray of int16, shape (voxels,)
        HU.
    logits_nk : ndarray of float32, shape (voxels, 3)
        The network's output for background, coronary and noncoronary calcium.
    piece : ndarray of int, shape (voxels,)
        Number of the dense piece (26 neighbours) that the voxel is part of; 0 below its threshold.
    is_outlying : ndarray of bool, shape (voxels,)
        Whether that piece is none of the heart's calcium, whatever the network says.
    frame : HeartFrame
        Heart-relative coordinates, in indices of the box.
    """

    shape_zyx: tuple[int, int, int]
    spacing_mm_zyx: tuple[float, float, float]
    index: NDArray[np.intp]
    hu: Int16Array
    logits_nk: Float32Array
    piece: NDArray[np.intp]
    is_outlying: BoolArray
    frame: HeartFrame


@dataclass(frozen=True)
class Evidence:
    """The part of a dense piece that counts as coronary calcium, or the part that does not but nearly did.

    Voxels from 130 HU on; probabilities are the network's, after the decision offsets.
    """

    is_coronary: bool
    """Whether it counts; otherwise a near miss."""
    agatston: float
    """What it adds to the clinical score, or would add if it counted; its pixels in one slice taken as one spot."""
    volume_mm3: float
    peak_hu: int
    coronary_mean: float
    """Probability of coronary calcium, mean over its voxels."""
    coronary_max: float
    noncoronary_mean: float
    noncoronary_max: float


def decide(candidates: Candidates, offsets: DecisionOffsets) -> NDArray[np.intp]:
    """Return the class of each candidate voxel, shape (voxels,): the likeliest; background where it is outlying."""
    found: NDArray[np.intp] = (candidates.logits_nk + offsets.of_classes).argmax(axis=1)
    found[candidates.is_outlying] = BACKGROUND_CLASS
    return found


def paint_labels(candidates: Candidates, class_voxel: NDArray[np.intp], heart_zyx: BoolArray) -> UInt8Array:
    """Return the label map of the candidates' box: calcium where a voxel was decided so, else heart or background."""
    labels_zyx = heart_zyx.astype(np.uint8) * np.uint8(Label.HEART)
    is_calcium = class_voxel != BACKGROUND_CLASS
    labels_zyx.reshape(-1)[candidates.index[is_calcium]] = LABEL_OF_CLASS[class_voxel[is_calcium]]
    return labels_zyx


def gather_evidence(
    candidates: Candidates, class_voxel: NDArray[np.intp], offsets: DecisionOffsets
) -> tuple[Evidence, ...]:
    """Return what counts as coronary calcium, and the near misses, piece by piece.

    Parameters
    ----------
    candidates : Candidates
        Of one box.
    class_voxel : ndarray of int, shape (voxels,)
        As `decide` returns it.
    offsets : DecisionOffsets
        Those that it was decided with.

    Returns
    -------
    tuple of Evidence
        In the order of the pieces' numbers, of one piece the near miss first; empty without dense voxels. Near misses
        with less than `MIN_NEAR_MISS` are left out.
    """
    voxel = np.flatnonzero((candidates.piece > 0) & ~candidates.is_outlying)
    if voxel.size == 0:
        return ()
    probability_nk = softmax(candidates.logits_nk[voxel] + offsets.of_classes, axis=1)
    is_coronary = class_voxel[voxel] == CORONARY_CLASS
    key, part = np.unique(2 * candidates.piece[voxel] + is_coronary, return_inverse=True)
    n_voxels = np.bincount(part)
    mean_pk = np.stack([np.bincount(part, probability_nk[:, k]) / n_voxels for k in range(3)], axis=1)
    max_pk = np.stack([largest_of_parts(probability_nk[:, k], part) for k in range(3)], axis=1)
    peak_hu = largest_of_parts(candidates.hu[voxel], part)
    agatston = agatston_of_parts(candidates, voxel, part, n_parts=len(key))
    voxel_mm3 = float(np.prod(candidates.spacing_mm_zyx))
    return tuple(
        Evidence(
            is_coronary=bool(key[p] % 2),
            agatston=float(agatston[p]),
            volume_mm3=float(n_voxels[p] * voxel_mm3),
            peak_hu=int(peak_hu[p]),
            coronary_mean=float(mean_pk[p, CORONARY_CLASS]),
            coronary_max=float(max_pk[p, CORONARY_CLASS]),
            noncoronary_mean=float(mean_pk[p, NONCORONARY_CLASS]),
            noncoronary_max=float(max_pk[p, NONCORONARY_CLASS]),
        )
        for p in np.flatnonzero((key % 2 == 1) | (max_pk[:, CORONARY_CLASS] >= MIN_NEAR_MISS))
    )


def agatston_of_parts(
    candidates: Candidates, voxel: NDArray[np.intp], part: NDArray[np.intp], *, n_parts: int
) -> Float64Array:
    """Return the clinical Agatston score of each part (n_parts,), its pixels of one slice taken as one spot.

    Parameters
    ----------
    candidates : Candidates
        Of one box.
    voxel : ndarray of int, shape (voxels,)
        Which of the candidates count.
    part : ndarray of int, shape (voxels,)
        Part that each of them belongs to, 0 to ``n_parts - 1``.
    n_parts : int
        A part without voxels scores 0.

    Returns
    -------
    ndarray of float64, shape (n_parts,)
        Near the score of each by itself; exact where no slice of a part holds two spots.
    """
    rule = get_profile("clinical")
    z_mm, y_mm, x_mm = candidates.spacing_mm_zyx
    n_slices, n_rows, n_columns = candidates.shape_zyx
    key, spot = np.unique(
        part * n_slices + candidates.index[voxel] // (n_rows * n_columns), return_inverse=True
    )  # one key a part and slice
    n_pixels = np.bincount(spot)
    weight = np.searchsorted(rule.weights_hu, largest_of_parts(candidates.hu[voxel], spot), side="right")
    weight[n_pixels < rule.min_area_px(y_mm * x_mm)] = 0
    score_spot = n_pixels * weight * (y_mm * x_mm * z_mm / REFERENCE_INCREMENT_MM)
    return np.bincount(key // n_slices, score_spot, minlength=n_parts).astype(np.float64)


def largest_of_parts(value: NDArray[np.generic], part: NDArray[np.intp]) -> Float64Array:
    """Return the largest value of each part, 0 to the highest part number; minus infinity where there is none."""
    largest = np.full(int(part.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(largest, part, value)
    return largest
