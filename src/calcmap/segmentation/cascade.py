"""The cascade: a CT in, a label map out. Heart on a coarse grid, then calcium on the native grid inside it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from calcmap.core.errors import ConfigError, ModelError
from calcmap.core.volume import BoolArray, Float32Array, Int16Array, IntArray, Labels, UInt8Array, Volume
from calcmap.quality.rules import HEART_METAL_HU
from calcmap.segmentation.calcium_input import (
    HEART_REACH_MM,
    HeartFrame,
    calcium_network_input,
    grow_mask,
    heart_frame,
)
from calcmap.segmentation.confidence import ConfidenceModel, load_confidence_model
from calcmap.segmentation.engine import CALCIUM_FILE, HEART_FILE, Engine, load_engine, shipped_weights
from calcmap.segmentation.evidence import (
    Candidates,
    DecisionOffsets,
    Evidence,
    gather_evidence,
    paint_labels,
)
from calcmap.segmentation.heart_grid import (
    HeartGrid,
    HeartGridConfig,
    heart_network_input,
    native_box,
    to_heart_grid,
    to_native_grid,
)
from calcmap.segmentation.judge import LesionJudge, decide_and_judge, load_lesion_judge
from calcmap.segmentation.vessels import VesselModel, load_vessel_model, vessel_map

HEART_PROBABILITY = 0.5
"""A voxel is heart from here on (our choice: neither class is preferred)."""
BOX_MARGIN_MM = 8.0
"""The calcium network sees this much around the heart: context for calcium at its border (our choice)."""
DENSE_HU = 130
"""Bone, catheters and calcium; what is connected at this level is judged as one piece (the score's own threshold)."""
MIN_SHARE_IN_HEART = 0.5
"""A dense component counts as the heart's when at least this share of it lies in the heart mask (our choice)."""
LEAD_MM = 75.0
"""A dense piece whose metal spans this much is a lead and no calcium. In simulated hearts leads span 125 to 180 mm, the
metal of valves and stents and the densest calcium up to 45 mm (n = 27 pieces of 518 patients); between, our choice."""
MIN_CANDIDATE_HU = 100
"""Voxels denser than this in or near the heart are labelled: below every threshold that a scoring profile uses at
120 kVp or more, so that the label map serves all of them."""
N_CALCIUM_CLASSES = 3


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Label map of one scan.

    Parameters
    ----------
    labels : Labels
        Background, heart, coronary and noncoronary calcium on the CT's grid. Calcium labels may reach below 130 HU;
        the scoring rule decides what counts.
    heart_zyx : ndarray of bool
        Heart mask, calcium in it included; all False when no heart was found.
    seconds : dict of float
        Time of each step.
    vessels_zyx : ndarray of uint8 or None
        Vessel of every coronary voxel, see `vessels.vessel_map`; ``None`` where nothing names vessels.
    evidence : tuple of Evidence
        What counts as coronary calcium, and what nearly did.
    """

    labels: Labels
    heart_zyx: BoolArray
    seconds: dict[str, float] = field(default_factory=dict)
    vessels_zyx: UInt8Array | None = None
    evidence: tuple[Evidence, ...] = ()


class Cascade:
    """Both networks, loaded once and used for any number of scans.

    Parameters
    ----------
    heart, calcium : Engine
        The networks.
    vessels : VesselModel, optional
        Names each lesion's vessel; without it none has one.
    confidence : ConfidenceModel, optional
        Says how sure a score is, and brings the decision offsets. One that was fitted for other networks is left out:
        no confidence rather than a wrong one.
    judge : LesionJudge, optional
        Strikes out what is no coronary calcium. One that was fitted for other networks is left out too.

    Raises
    ------
    ModelError
        A network's metadata are not those that `calcmap export` writes.
    """

    def __init__(
        self,
        heart: Engine,
        calcium: Engine,
        vessels: VesselModel | None = None,
        *,
        confidence: ConfidenceModel | None = None,
        judge: LesionJudge | None = None,
    ) -> None:
        self._heart = heart
        self._vessels = vessels
        self._calcium = calcium
        hashes = {"heart": heart.sha256, "calcium": calcium.sha256}
        self.judge = judge if judge is not None and judge.is_for(hashes) else None
        if self.judge is not None:
            hashes["judge"] = self.judge.sha256
        self.confidence = confidence if confidence is not None and confidence.is_for(hashes) else None
        self.offsets = self.confidence.offsets if self.confidence else DecisionOffsets()
        try:
            self._heart_grid = HeartGridConfig(**json.loads(heart.metadata["heart_grid"]))
            self._calcium_reach = int(json.loads(calcium.metadata["network"])["reach"])
            # a file that does not say is of a network that does: there were no others
            self._calcium_sees_heart = bool(json.loads(calcium.metadata.get("sees_heart", "true")))
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise ModelError(f"a network file's description of itself is not understood: {error}") from error

    @property
    def weights_sha256(self) -> dict[str, str]:
        """SHA-256 of each network file, and of the models' beside them where there are any."""
        hashes = {"heart": self._heart.sha256, "calcium": self._calcium.sha256}
        models = {"vessels": self._vessels, "judge": self.judge, "confidence": self.confidence}
        return hashes | {name: model.sha256 for name, model in models.items() if model is not None}

    def segment(self, volume: Volume) -> Segmentation:
        """Return heart and calcium labels of a CT; all background where no heart is found."""
        started = time.perf_counter()
        heart_zyx, box = self.find_heart(volume)
        seconds = {"heart": time.perf_counter() - started}
        labels_zyx = np.zeros(volume.grid.shape_zyx, dtype=np.uint8)
        evidence: tuple[Evidence, ...] = ()
        if box is not None:
            started = time.perf_counter()
            candidates = self.find_candidates(volume, heart_zyx, box)
            class_voxel = self.decide(candidates)
            labels_zyx[box] = paint_labels(candidates, class_voxel, heart_zyx[box])
            evidence = gather_evidence(candidates, class_voxel, self.offsets)
            seconds["calcium"] = time.perf_counter() - started
        return Segmentation(
            Labels(labels_zyx, volume.grid), heart_zyx, seconds, self.name_vessels(labels_zyx, heart_zyx, box), evidence
        )

    def name_vessels(
        self, labels_zyx: UInt8Array, heart_zyx: BoolArray, box: tuple[slice, slice, slice] | None
    ) -> UInt8Array | None:
        """Return the vessel of every coronary voxel of a scan, looked for in the heart's box."""
        if self._vessels is None:
            return None
        codes = np.zeros(labels_zyx.shape, dtype=np.uint8)
        if box is not None:
            codes[box] = vessel_map(labels_zyx[box], heart_zyx[box], self._vessels)
        return codes

    def find_heart(self, volume: Volume) -> tuple[BoolArray, tuple[slice, slice, slice] | None]:
        """Return the heart mask on the native grid and its box; an empty mask and ``None`` where there is no heart."""
        grid = to_heart_grid(volume, self._heart_grid)
        prob_zyx = foreground_probability(self._heart.logits(heart_network_input(grid.ct_hu_zyx)))
        coarse = largest_component(prob_zyx >= HEART_PROBABILITY)
        native = np.zeros(volume.grid.shape_zyx, dtype=np.bool_)
        if not coarse.any():
            return native, None
        box = native_box(coarse, grid, margin_mm=BOX_MARGIN_MM, spacing_mm_zyx=volume.spacing_mm_zyx)
        native[box] = _native_heart(prob_zyx, coarse, grid, box)
        return (native, box) if native.any() else (native, None)

    def find_calcium(self, volume: Volume, heart_zyx: BoolArray, box: tuple[slice, slice, slice]) -> UInt8Array:
        """Return the label map of ``box``: heart, and the calcium that the network finds in or near it."""
        candidates = self.find_candidates(volume, heart_zyx, box)
        return paint_labels(candidates, self.decide(candidates), heart_zyx[box])

    def decide(self, candidates: Candidates) -> NDArray[np.intp]:
        """Return the class of each candidate voxel, shape (voxels,), with the cascade's offsets and judge."""
        return decide_and_judge(candidates, self.offsets, self.judge)

    def find_candidates(self, volume: Volume, heart_zyx: BoolArray, box: tuple[slice, slice, slice]) -> Candidates:
        """Return the voxels of ``box`` that could be calcium, with what the network says of each.

        A network that was trained without the heart (``network.sees_heart = false``) gets HU alone, and is asked about
        every dense voxel of the box: neither the heart mask nor the rule for outlying pieces takes part.
        """
        ct_hu_zyx, heart = volume.ct_hu_zyx[box], heart_zyx[box]
        candidate = ct_hu_zyx >= MIN_CANDIDATE_HU
        if self._calcium_sees_heart:
            candidate &= grow_mask(heart, reach_mm=HEART_REACH_MM, spacing_mm_zyx=volume.spacing_mm_zyx)
        # a catheter leaves the box through its top: what lies above and below counts too
        column = (slice(None), *box[1:])
        piece_zyx, is_outlying = dense_pieces(volume.ct_hu_zyx[column] >= DENSE_HU, heart_zyx[column])
        is_outlying |= lead_pieces(piece_zyx, volume.ct_hu_zyx[column], spacing_mm_zyx=volume.spacing_mm_zyx)
        index = np.flatnonzero(candidate)
        frame = heart_frame(heart)
        piece = piece_zyx[box[0]].reshape(-1)[index].astype(np.intp)
        return Candidates(
            shape_zyx=candidate.shape,
            spacing_mm_zyx=volume.spacing_mm_zyx,
            index=index,
            hu=ct_hu_zyx[candidate],
            logits_nk=self._calcium_logits(ct_hu_zyx, heart, candidate, frame),
            piece=piece,
            is_outlying=is_outlying[piece] & self._calcium_sees_heart,
            frame=frame,
        )

    def _calcium_logits(
        self, ct_hu_zyx: Int16Array, heart_zyx: BoolArray, candidate_zyx: BoolArray, frame: HeartFrame
    ) -> Float32Array:
        """Return the calcium network's logits (voxels, 3) at the candidates of a box; other slices are not run."""
        logits_nk = [np.empty((0, N_CALCIUM_CLASSES), dtype=np.float32)]
        wanted_z = np.asarray(candidate_zyx.any(axis=(1, 2)))
        for first, last in runs_of_slices(wanted_z, neighbours=self._calcium_reach):
            channels = calcium_network_input(
                ct_hu_zyx[first:last], heart_zyx[first:last], frame.seen_from((first, 0, 0))
            )
            logits_skhw = self._calcium.logits(channels if self._calcium_sees_heart else channels[:, :1])
            logits_nk.append(np.moveaxis(logits_skhw, 1, -1)[candidate_zyx[first:last]])
        return np.concatenate(logits_nk)


def load_cascade(*, heart: Path | None = None, calcium: Path | None = None, threads: int | None = None) -> Cascade:
    """Return the cascade, with the shipped networks unless others are named, and the shipped models beside them.

    The lesion judge and the confidence model come with the networks that they were fitted for and with no others.

    Parameters
    ----------
    heart, calcium : Path or None
        Network files.
    threads : int or None
        Cores to use; all that the process may run on when ``None``.

    Returns
    -------
    Cascade
        Both networks and the models loaded.

    Raises
    ------
    ModelError
        A network is missing, damaged or made for another task, or a model is damaged.
    """
    return Cascade(
        load_engine(heart or shipped_weights(HEART_FILE), task="heart", threads=threads),
        load_engine(calcium or shipped_weights(CALCIUM_FILE), task="calcium", threads=threads),
        load_vessel_model(),
        confidence=load_confidence_model(),
        judge=load_lesion_judge(),
    )


def foreground_probability(logits_schw: Float32Array) -> Float32Array:
    """Return the softmax probability (s, h, w) of class 1 of logits (s, 2, h, w)."""
    return np.asarray(expit(logits_schw[:, 1] - logits_schw[:, 0]), dtype=np.float32)


def largest_component(mask_zyx: BoolArray) -> BoolArray:
    """Return the largest face-connected part of a mask, its holes filled slice by slice; an empty mask stays empty.

    Of parts of one size, the one that is met first counts.
    """
    if not mask_zyx.any():
        return mask_zyx
    largest = largest_part(mask_zyx).copy()
    box = ndimage.find_objects(largest.astype(np.uint8))[0]  # holes lie in the part's own box
    largest[box] = np.stack([ndimage.binary_fill_holes(slice_yx) for slice_yx in largest[box]])
    return largest


def largest_part(mask_zyx: BoolArray) -> BoolArray:
    """Return the largest face-connected part of a mask; an empty one stays empty, of equals the first counts."""
    components, n = ndimage.label(mask_zyx)
    if n <= 1:
        return mask_zyx
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray(components == int(sizes.argmax()), dtype=np.bool_)


def dense_pieces(dense_zyx: BoolArray, heart_zyx: BoolArray) -> tuple[IntArray, BoolArray]:
    """Return the dense components (26 neighbours), and which lie in the heart with less than `MIN_SHARE_IN_HEART`.

    Calcium of the heart is an island in it. Ribs, sternum, spine and catheters may reach into a heart mask that is a
    little too large, but most of each lies outside.

    Parameters
    ----------
    dense_zyx, heart_zyx : ndarray of bool, shape (slices, rows, columns)
        Both reach from the lowest to the highest slice of the scan, and a little beyond the heart in the slice.

    Returns
    -------
    piece_zyx : ndarray of int, shape of the masks
        Number of each voxel's component, 0 where it is not dense.
    is_outlying : ndarray of bool, shape (components + 1,)
        Whether the component of that number is none of the heart's; False for number 0.
    """
    piece_zyx, n = ndimage.label(dense_zyx, structure=np.ones((3, 3, 3)))
    n_voxels = np.bincount(piece_zyx[dense_zyx], minlength=n + 1)  # dense voxels are few: none else is counted
    n_inside = np.bincount(piece_zyx[dense_zyx & heart_zyx], minlength=n + 1)
    is_outlying = n_inside < MIN_SHARE_IN_HEART * n_voxels
    return piece_zyx, is_outlying


def lead_pieces(piece_zyx: IntArray, ct_hu_zyx: Int16Array, *, spacing_mm_zyx: tuple[float, float, float]) -> BoolArray:
    """Return which pieces are leads: their voxels of `HEART_METAL_HU` or more span `LEAD_MM`.

    A stent, a clip or a valve is no longer than calcium that is as dense; those two look alike and are not told apart.

    Parameters
    ----------
    piece_zyx : ndarray of int, shape (slices, rows, columns)
        Number of each voxel's dense piece, 0 for none.
    ct_hu_zyx : ndarray of int16, same shape
        HU.
    spacing_mm_zyx : tuple of float
        Of the voxels.

    Returns
    -------
    ndarray of bool, shape (highest piece number + 1,)
        False for number 0.
    """
    is_lead = np.zeros(int(piece_zyx.max(initial=0)) + 1, dtype=np.bool_)
    metal_zyx = np.argwhere(ct_hu_zyx >= HEART_METAL_HU)  # few: what piece each is of is asked of them alone
    of_piece = piece_zyx[tuple(metal_zyx.T)]
    for number in np.unique(of_piece[of_piece > 0]):
        span_mm_zyx = np.ptp(metal_zyx[of_piece == number], axis=0) * np.array(spacing_mm_zyx)
        is_lead[number] = np.linalg.norm(span_mm_zyx) >= LEAD_MM
    return is_lead


def runs_of_slices(wanted_z: BoolArray, *, neighbours: int) -> list[tuple[int, int]]:
    """Return half-open runs of slices that hold all wanted ones and ``neighbours`` more on either side.

    Slices without a candidate voxel need no network; their neighbours are kept so that every wanted slice sees the
    same three slices as in the whole stack.
    """
    widened = ndimage.binary_dilation(wanted_z, iterations=neighbours) if wanted_z.any() else wanted_z
    edges = np.flatnonzero(np.diff(np.concatenate([[0], widened.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _native_heart(
    prob_zyx: Float32Array, coarse_zyx: BoolArray, grid: HeartGrid, box: tuple[slice, slice, slice]
) -> BoolArray:
    """Return the mask of ``box`` where the interpolated probability of the kept component reaches one half."""
    # One coarse voxel around the component stays in, so that its border is interpolated and not stepped.
    kept = np.where(ndimage.binary_dilation(coarse_zyx), prob_zyx, 0.0).astype(np.float32)
    filled = np.maximum(kept, coarse_zyx * np.float32(0.51))  # holes that were filled
    return to_native_grid(filled, grid, box=box) >= HEART_PROBABILITY
