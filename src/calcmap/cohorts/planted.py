"""Cohorts of calcium planted into real scans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from calcmap.cohorts.jobs import run_jobs
from calcmap.cohorts.simulated import write_labelled
from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import BoolArray, Int16Array, Label, Labels, UInt8Array, Volume
from calcmap.io.cases import Case, load_case_arrays
from calcmap.io.recorded_lesions import find_recorded_lesions
from calcmap.simulation.planting.planting import Background, plant_case

DENSE_HU = 110
"""Voxels of a lesion: a little below 130 HU, so that its blurred rim goes too (our choice)."""
SOFT_TISSUE_HU = -30
"""Tissue to fill with is denser than this: no fat, no lung (our choice)."""
ERASE_REACH_MM = 30.0
"""Half the box in which an unsure lesion is looked for: larger than any lesion (our choice)."""
PLANTED_SITE = "planted"
"""Site of planted cases, for sampling weights in training."""


def write_planted_cohort(
    case_folders: Sequence[Path], out: Path, *, per_background: int, seed: int, workers: int | None = None
) -> Iterator[Path]:
    """Yield the folder of each planted case as it is finished; those already there come first and are kept.

    Calcium is planted into labelled real scans. Lesions that the background's reader was not sure of are replaced by
    the tissue around them first, because a network must not be taught either answer.

    Parameters
    ----------
    case_folders : sequence of Path
        Labelled real scans.
    out : Path
        Cohort folder.
    per_background : int
        Planted cases per scan.
    seed : int
        Seed of the cohort.
    workers : int or None
        Processes; one per core when ``None``.

    Yields
    ------
    Path
        ``out/<background>-p<seed>-<index>``.

    Raises
    ------
    ConfigError
        Fewer than one case per scan, or fewer than one worker.
    InputError
        A case cannot be read, or an unsure lesion in it has no tissue around it to be replaced with.
    OutputError
        A folder cannot be written.
    """
    if per_background < 1:
        raise ConfigError(f"{per_background} cases per scan asked for, expected at least 1")
    jobs = {
        out / f"{folder.name}-p{seed}-{index:03d}": partial(_plant_one, folder, index, seed)
        for folder in case_folders
        for index in range(per_background)
    }
    yield from run_jobs(jobs, workers=workers)


def erase_lesions(volume: Volume, labels: Labels, centres_zyx: Iterable[Sequence[float]]) -> tuple[Volume, Labels]:
    """Return scan and labels with the dense components at the given centres replaced by the tissue around them.

    Each erased voxel takes the HU of a random neighbour in a shell around the lesion (seeded by the lesion's place),
    which keeps the scan's noise; calcium labels there become heart. A centre without a dense component within
    `RECORDED_RADIUS_MM` changes nothing.

    Parameters
    ----------
    volume, labels : Volume, Labels
        One scan; neither is changed.
    centres_zyx : iterable of (slice, row, column)
        Centroids of the lesions, voxel indices of the volume.

    Returns
    -------
    Volume, Labels
        New ones.

    Raises
    ------
    InputError
        There is no soft tissue around a lesion.
    """
    hu_zyx, labels_zyx = volume.ct_hu_zyx.copy(), labels.labels_zyx.copy()
    for centre in centres_zyx:
        box = _box_at(centre, volume)
        corner = np.array([part.start for part in box])
        (lesion,) = find_recorded_lesions(
            hu_zyx[box] >= DENSE_HU, [list(np.asarray(centre) - corner)], volume.spacing_mm_zyx
        )
        if lesion is not None:
            _fill_in(hu_zyx[box], labels_zyx[box], lesion, seed=[int(c) for c in centre])
    return Volume(hu_zyx, volume.grid), Labels(labels_zyx, labels.grid)


def _fill_in(hu_zyx: Int16Array, labels_zyx: UInt8Array, lesion_zyx: BoolArray, *, seed: list[int]) -> None:
    """Replace a lesion, in place, by draws from the soft tissue in a shell around it."""
    grown = ndimage.binary_dilation(lesion_zyx, iterations=2)
    shell = ndimage.binary_dilation(grown, iterations=2) & ~grown & (hu_zyx < DENSE_HU) & (hu_zyx > SOFT_TISSUE_HU)
    if not shell.any():
        raise InputError(f"no soft tissue surrounds the lesion at slice, row, column {seed}")
    hu_zyx[grown] = np.random.default_rng(seed).choice(hu_zyx[shell], size=int(grown.sum()))
    labels_zyx[grown & (labels_zyx > Label.HEART)] = Label.HEART


def _plant_one(background_folder: Path, index: int, seed: int, folder: Path) -> None:
    volume, labels, case = load_case_arrays(background_folder)
    volume, labels = erase_lesions(volume, labels, case.unsure_centres_zyx)
    scan = plant_case(Background(case.id, volume, labels), index, seed).scan
    planted = Case(
        id=f"{case.id}-p{seed}-{index:03d}",
        source=f"calcium planted by CalcMap into: {case.source}",
        licence=case.licence,
        site=PLANTED_SITE,
        group=case.group,
        extra={"background": case.id, "plaques": [asdict(plaque) for plaque in scan.plaques]},
    )
    write_labelled(scan.volume, scan.labels, folder, case=planted)


def _box_at(centre_zyx: Sequence[float], volume: Volume) -> tuple[slice, slice, slice]:
    box = [
        slice(max(0, round(c - ERASE_REACH_MM / mm)), min(n, round(c + ERASE_REACH_MM / mm) + 1))
        for c, mm, n in zip(centre_zyx, volume.spacing_mm_zyx, volume.grid.shape_zyx, strict=True)
    ]
    return box[0], box[1], box[2]
