"""A labelled case as the two networks are trained on it, kept on disk so that it is made once."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from calcmap.core.config import config_sha256
from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import BoolArray, Int16Array, Label, Labels, UInt8Array, Volume
from calcmap.io.cases import Case, find_cases, load_case_arrays, read_case
from calcmap.io.recorded_lesions import find_recorded_lesions
from calcmap.scoring.agatston import score_volume
from calcmap.scoring.categories import paper_category
from calcmap.scoring.rules import CALCIUM_THRESHOLD_HU, get_profile
from calcmap.segmentation.calcium_input import CANDIDATE_HU
from calcmap.segmentation.cascade import largest_part
from calcmap.segmentation.heart_grid import HeartGridConfig, sample_at, to_heart_grid

SAMPLE_VERSION = 3
"""Raised whenever a sample's content changes, so that an old cache is not read."""
CALCIUM_MARGIN_MM = 16.0
"""The calcium box is the heart's box widened by this much, room for a shifted or larger predicted heart."""
IGNORED = 255
"""Target value of voxels that no loss is taken from: lesions whose reader was not sure."""


@dataclass(frozen=True)
class SampleFacts:
    """What sampling and splitting know of a case."""

    case_id: str
    group: str
    """Patient or background scan: cases of one group never stand on both sides of a split."""
    site: str
    category: int
    """Paper category of the reference coronary score, 0 to 3."""


@dataclass(frozen=True, eq=False)
class HeartSample:
    """One case on the heart network's coarse grid.

    Parameters
    ----------
    ct_hu_zyx : ndarray of int16, shape (coarse slices, size, size)
        Mean HU.
    heart_zyx : ndarray of uint8, same shape
        Share of each coarse voxel inside the heart, 0 to 255.
    facts : SampleFacts
        Where it comes from.
    """

    ct_hu_zyx: Int16Array
    heart_zyx: UInt8Array
    facts: SampleFacts


@dataclass(frozen=True, eq=False)
class CalciumSample:
    """One case in the native box around its heart.

    Parameters
    ----------
    ct_hu_zyx : ndarray of int16, shape (slices, rows, columns)
        Native HU.
    heart_zyx : ndarray of bool, same shape
        Reference heart, calcium included.
    target_zyx : ndarray of uint8, same shape
        0 background, 1 coronary, 2 noncoronary calcium, `IGNORED`.
    spacing_mm_zyx : tuple of float
        Native spacing.
    facts : SampleFacts
        Where it comes from.
    """

    ct_hu_zyx: Int16Array
    heart_zyx: BoolArray
    target_zyx: UInt8Array
    spacing_mm_zyx: tuple[float, float, float]
    facts: SampleFacts


def make_heart_sample(volume: Volume, labels: Labels, facts: SampleFacts, *, grid: HeartGridConfig) -> HeartSample:
    """Return a case averaged onto the heart network's grid, by the code that serves the network.

    The heart is the largest connected part of all labelled voxels, calcium in it included.

    Parameters
    ----------
    volume, labels : Volume, Labels
        The case, on one grid.
    facts : SampleFacts
        Where it comes from.
    grid : HeartGridConfig
        Sampling of the coarse grid.

    Returns
    -------
    HeartSample
        HU and heart share on the coarse grid.

    Raises
    ------
    InputError
        No voxel is labelled heart.
    """
    _check_heart(labels.labels_zyx, facts)
    coarse = to_heart_grid(volume, grid)
    heart = (labels.labels_zyx != Label.BACKGROUND).astype(np.float32)
    # Calcium outside the heart (descending aorta) is not heart.
    heart *= largest_part(heart.astype(np.bool_))
    share = sample_at(heart, coarse.positions_zyx, outside=0.0)
    return HeartSample(
        ct_hu_zyx=np.rint(coarse.ct_hu_zyx).astype(np.int16),
        heart_zyx=np.rint(np.clip(share, 0.0, 1.0) * 255).astype(np.uint8),
        facts=facts,
    )


def make_calcium_sample(
    volume: Volume, labels: Labels, facts: SampleFacts, *, unsure_zyx: list[list[float]]
) -> CalciumSample:
    """Return the native box around the heart with its calcium target.

    Parameters
    ----------
    volume, labels : Volume, Labels
        The case, on one grid; the labels must hold a heart.
    facts : SampleFacts
        Where it comes from.
    unsure_zyx : list of [slice, row, column]
        Centres, in voxel indices of the volume, of lesions whose reader was not sure: their voxels become `IGNORED`.

    Returns
    -------
    CalciumSample
        The box reaches `CALCIUM_MARGIN_MM` beyond the heart, as far as the scan does.

    Raises
    ------
    InputError
        No voxel is labelled heart.
    """
    label_map = labels.labels_zyx
    inside = label_map != Label.BACKGROUND
    _check_heart(label_map, facts)
    heart = inside & largest_part(inside)
    box = _box_around(heart, margin_mm=CALCIUM_MARGIN_MM, spacing_mm_zyx=volume.spacing_mm_zyx)
    target = np.zeros(heart[box].shape, dtype=np.uint8)
    target[label_map[box] == Label.CORONARY] = 1
    target[label_map[box] == Label.NONCORONARY] = 2
    corner = [part.start for part in box]
    unsure_in_box = [[c - corner[axis] for axis, c in enumerate(centre)] for centre in unsure_zyx]
    ct_hu_zyx = np.ascontiguousarray(volume.ct_hu_zyx[box])
    target[_unsure_components(ct_hu_zyx, unsure_in_box, volume.spacing_mm_zyx)] = IGNORED
    return CalciumSample(ct_hu_zyx, np.ascontiguousarray(heart[box]), target, volume.spacing_mm_zyx, facts)


def load_samples(
    folders: Sequence[Path], *, task: str, grid: HeartGridConfig, cache: Path
) -> list[HeartSample] | list[CalciumSample]:
    """Return the samples of every case under ``folders``, from the cache where it has them.

    Parameters
    ----------
    folders : sequence of Path
        Searched in depth for cases.
    task : str
        ``"heart"`` or ``"calcium"``.
    grid : HeartGridConfig
        Sampling of heart samples.
    cache : Path
        Where samples are kept between runs; made when absent. A case whose files change gets a new sample.

    Returns
    -------
    list of HeartSample or of CalciumSample
        In the order of the folders, and within each of the cases' paths. Cases whose heart a network drew teach no
        hearts: for that task they are left out.

    Raises
    ------
    ConfigError
        No case is found, none of them can teach the task, or ``task`` is not ``"heart"`` or ``"calcium"``.
    InputError
        A case cannot be read, or its labels hold no heart.
    """
    if task not in ("heart", "calcium"):
        raise ConfigError(f"task is {task!r}, expected 'heart' or 'calcium'")
    samples = []
    for case_folder in find_cases(folders):
        if task == "heart" and read_case(case_folder).has_drawn_heart:
            continue
        samples.append(_read_sample(_kept_sample(case_folder, task=task, grid=grid, cache=cache), task))
    if not samples:
        raise ConfigError("every case's heart was drawn by a network; hearts are learned from readers")
    return samples  # type: ignore[return-value]


def load_facts(folders: Sequence[Path], *, cache: Path) -> list[SampleFacts]:
    """Return what sampling and splitting know of every case under ``folders``, in the order of `find_cases`.

    The calcium samples are made where the cache has none, but not held in memory.

    Raises
    ------
    ConfigError
        No case is found.
    InputError
        A case cannot be read, or its labels hold no heart.
    """
    grid = HeartGridConfig()
    paths = [_kept_sample(case, task="calcium", grid=grid, cache=cache) for case in find_cases(folders)]
    return [_read_facts(path) for path in paths]


def _kept_sample(case_folder: Path, *, task: str, grid: HeartGridConfig, cache: Path) -> Path:
    """Return the file of a case's sample, made if need be."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{case_folder.name}-{_sample_key(case_folder, task, grid)}.npz"
    if not path.exists():
        _write_sample(path, _make_sample(case_folder, task=task, grid=grid))
    return path


def _check_heart(label_map: UInt8Array, facts: SampleFacts) -> None:
    if not (label_map == Label.HEART).any():
        raise InputError(f"the labels of case {facts.case_id} hold no heart (value {int(Label.HEART)})")


def _make_sample(case_folder: Path, *, task: str, grid: HeartGridConfig) -> HeartSample | CalciumSample:
    volume, labels, case = load_case_arrays(case_folder)
    facts = SampleFacts(case.id, case.group, case.site or "unknown", _reference_category(volume, labels, case))
    if task == "heart":
        return make_heart_sample(volume, labels, facts, grid=grid)
    return make_calcium_sample(volume, labels, facts, unsure_zyx=case.unsure_centres_zyx)


def _reference_category(volume: Volume, labels: Labels, case: Case) -> int:
    """Return the paper category of the case's own reference score, else of the score of its labels."""
    if case.reference_range is not None:
        return paper_category(case.reference_range[0]).index
    if case.reference_agatston is not None:
        return paper_category(case.reference_agatston).index
    scoring = score_volume(volume, labels.labels_zyx, rule=get_profile("clinical"))
    return paper_category(scoring.coronary.agatston).index


def _unsure_components(
    ct_hu_zyx: Int16Array, centres_zyx: list[list[float]], spacing_mm_zyx: tuple[float, float, float]
) -> BoolArray:
    """Return the candidate components whose centroid is one of the given centres."""
    ignored = np.zeros(ct_hu_zyx.shape, dtype=np.bool_)
    for lesion in find_recorded_lesions(ct_hu_zyx >= CALCIUM_THRESHOLD_HU, centres_zyx, spacing_mm_zyx):
        if lesion is not None:
            ignored |= lesion
    if not ignored.any():
        return ignored
    return np.asarray(ndimage.binary_dilation(ignored, iterations=1) & (ct_hu_zyx >= CANDIDATE_HU), dtype=np.bool_)


def _box_around(
    mask_zyx: BoolArray, *, margin_mm: float, spacing_mm_zyx: tuple[float, float, float]
) -> tuple[slice, slice, slice]:
    (found,) = ndimage.find_objects(mask_zyx.astype(np.uint8))
    box = [
        slice(max(0, part.start - round(margin_mm / mm)), min(n, part.stop + round(margin_mm / mm)))
        for part, mm, n in zip(found, spacing_mm_zyx, mask_zyx.shape, strict=True)
    ]
    return box[0], box[1], box[2]


def _sample_key(case_folder: Path, task: str, grid: HeartGridConfig) -> str:
    """Return a word that changes with the case's files, the task and the way a sample is made."""
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(case_folder.glob("*.*"))]
    recipe = json.dumps([SAMPLE_VERSION, task, config_sha256(grid) if task == "heart" else "", files, str(case_folder)])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def _write_sample(path: Path, sample: HeartSample | CalciumSample) -> None:
    arrays: dict[str, np.ndarray] = {"ct_hu_zyx": sample.ct_hu_zyx, "heart_zyx": sample.heart_zyx}
    if isinstance(sample, CalciumSample):
        arrays["target_zyx"] = sample.target_zyx
        arrays["spacing_mm_zyx"] = np.array(sample.spacing_mm_zyx)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, facts=np.array(json.dumps(asdict(sample.facts))), **arrays)  # type: ignore[arg-type]
    # A half-written file must never be taken for a sample: write aside, then rename.
    # Its name is the process's own: those of a team may make the same sample at once.
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(buffer.getvalue())
    part.rename(path)


def _read_facts(path: Path) -> SampleFacts:
    with np.load(path, allow_pickle=False) as arrays:
        return SampleFacts(**json.loads(str(arrays["facts"])))


def _read_sample(path: Path, task: str) -> HeartSample | CalciumSample:
    with np.load(path, allow_pickle=False) as arrays:
        facts = SampleFacts(**json.loads(str(arrays["facts"])))
        if task == "heart":
            return HeartSample(arrays["ct_hu_zyx"], arrays["heart_zyx"], facts)
        dz, dy, dx = (float(mm) for mm in arrays["spacing_mm_zyx"])
        return CalciumSample(arrays["ct_hu_zyx"], arrays["heart_zyx"], arrays["target_zyx"], (dz, dy, dx), facts)
