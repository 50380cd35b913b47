"""Cohorts of calcium planted into real scans: labelled cases, or any CT with a label map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from calcmap.cohorts.jobs import run_jobs
from calcmap.cohorts.simulated import write_labelled
from calcmap.cohorts.vessel_paths import read_vessel_paths
from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import BoolArray, Int16Array, Label, Labels, UInt8Array, Volume
from calcmap.io.canonical import to_canonical
from calcmap.io.cases import Case, load_case_arrays
from calcmap.io.reading import read_single_ct
from calcmap.io.recorded_lesions import find_recorded_lesions
from calcmap.io.sources import FileSource
from calcmap.io.voxel_files import read_voxel_image
from calcmap.simulation.planting.planting import Background, KnownFacts, PlantingRecipe, plant_case
from calcmap.simulation.planting.tracing import heart_frame
from calcmap.simulation.planting.truth import PlantedScan

DENSE_HU = 110
"""Voxels of a lesion: a little below 130 HU, so that its blurred rim goes too (our choice)."""
SOFT_TISSUE_HU = -30
"""Tissue to fill with is denser than this: no fat, no lung (our choice)."""
ERASE_REACH_MM = 30.0
"""Half the box in which an unsure lesion is looked for: larger than any lesion (our choice)."""
NAMELESS = ("ct", "dicom", "image", "series")
"""File names that every scan of a collection may have."""
PLANTED_SITE = "planted"
"""Site of planted cases, for sampling weights in training."""
AS_ACQUIRED = PlantingRecipe(variation=None, hard_negatives_mean=0.0)
"""Planting that leaves the background's own kernel, noise, size and calcium as they are."""


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


@dataclass(frozen=True)
class PlantingOrder:
    """What to plant into one scan.

    Parameters
    ----------
    cases : int
        How many plantings of the scan.
    seed : int
        Seed; a planting depends on it, the scan's file name and its own number alone.
    recipe : PlantingRecipe
        What is planted; by default the background stays as it was acquired.
    paths : Path or None
        File of vessel centre lines (see `vessel_paths.read_vessel_paths`); estimated where ``None``.
    kvp, thickness_mm : float or None
        Tube voltage and slice thickness where the files do not say; DICOM does.

    Raises
    ------
    ConfigError
        Fewer than one case, or a voltage or thickness not above 0.
    """

    cases: int = 1
    seed: int = 1
    recipe: PlantingRecipe = AS_ACQUIRED
    paths: Path | None = None
    kvp: float | None = None
    thickness_mm: float | None = None

    def __post_init__(self) -> None:
        if self.cases < 1:
            raise ConfigError(f"{self.cases} cases per scan asked for, expected at least 1")
        for name, value in (("kvp", self.kvp), ("thickness_mm", self.thickness_mm)):
            if value is not None and not value > 0:
                raise ConfigError(f"{name} is {value}, expected a number above 0")


def plant_into_scan(
    ct_path: Path, labels_path: Path, out: Path, *, order: PlantingOrder, workers: int | None = None
) -> Iterator[Path]:
    """Yield the folder of each planting of one real scan as it is finished; those already there are kept.

    Parameters
    ----------
    ct_path : Path
        The CT: DICOM folder or archive, NIfTI, NRRD or MetaImage.
    labels_path : Path
        Its label map (NIfTI, NRRD or MetaImage): 1 heart; 2 coronary and 3 noncoronary natural calcium if known.
        Natural calcium without a label stays in the picture and is no part of the truth.
    out : Path
        Cohort folder.
    order : PlantingOrder
        What to plant.
    workers : int or None
        Processes; one per core when ``None``.

    Yields
    ------
    Path
        ``out/<name of the CT, or of its folder>-p<seed>-<index>``: a labelled case whose ``case.json`` holds every
        plaque's truth.

    Raises
    ------
    InputError
        A file cannot be read, the CT is refused, or the labels hold other values or no heart.
    GridMismatchError
        Labels and CT lie on different grids.
    ConfigError
        The vessel paths are not usable, or fewer than one worker.
    OutputError
        A folder cannot be written.
    """
    name = _plain_name(ct_path)
    # Read once here, so that a fault is told before any process starts.
    background = read_background(ct_path, labels_path, order=order)
    jobs = {
        out / f"{name}-p{order.seed}-{index:03d}": partial(_plant_scan, background, order, index)
        for index in range(order.cases)
    }
    yield from run_jobs(jobs, workers=workers)


def read_background(ct_path: Path, labels_path: Path, *, order: PlantingOrder) -> Background:
    """Return a scan, its labels and all that its files say of its acquisition, ready for planting.

    Raises
    ------
    InputError
        A file cannot be read, the CT is refused, or the labels hold other values than 0 to 3.
    GridMismatchError
        Labels and CT lie on different grids.
    ConfigError
        The vessel paths are not usable.
    """
    scan = read_single_ct(ct_path)
    known = KnownFacts(
        thickness_mm=order.thickness_mm or scan.acquisition.slice_thickness_mm,
        kvp=order.kvp or scan.acquisition.kvp,
        paths=() if order.paths is None else read_vessel_paths(order.paths),
    )
    labels = _read_label_map(labels_path, volume=scan.volume)
    heart_frame(labels)
    return Background(_plain_name(ct_path), scan.volume, labels, known)


def _read_label_map(path: Path, *, volume: Volume) -> Labels:
    """Return a label map of any format, on the CT's grid."""
    source = FileSource(path)
    image = read_voxel_image(source, content=source.read_bytes())
    voxels_zyx, grid = to_canonical(image.voxels_zyx, image.affine_lps_mm)
    found = np.unique(voxels_zyx)
    if not np.isin(found, [int(label) for label in Label]).all():
        raise InputError(f"{path.name} holds values such as {found.max():g}, expected labels 0, 1, 2, 3")
    labels = Labels(np.ascontiguousarray(voxels_zyx.astype(np.uint8)), grid)
    labels.check_on(volume)
    return Labels(labels.labels_zyx, volume.grid)


def _plain_name(path: Path) -> str:
    """Return a file's or folder's name without the endings of CT formats.

    A name that says nothing, as in ``scan7/ct.nii.gz`` or ``scan7/dicom``, gives way to its folder's: plantings into
    different patients must not share a name, nor a group.
    """
    path = path.resolve()
    name = path.name
    for ending in (".gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".zip"):
        name = name.removesuffix(ending)
    return path.parent.name if name.lower() in NAMELESS and path.parent.name else name


def _plant_scan(background: Background, order: PlantingOrder, index: int, folder: Path) -> None:
    scan = plant_case(background, index, order.seed, order.recipe).scan
    planted = Case(
        id=f"{background.name}-p{order.seed}-{index:03d}",
        source=f"calcium planted by CalcMap into: {background.name}",
        licence="that of the scan planted into",
        site=PLANTED_SITE,
        group=background.name,
        extra=_truth(background.name, scan),
    )
    write_labelled(scan.volume, scan.labels, folder, case=planted)


def _truth(background: str, scan: PlantedScan) -> dict[str, Any]:
    """Return what ``case.json`` says of a planting."""
    return {
        "background": background,
        "plaques": [asdict(plaque) for plaque in scan.plaques],
        "ideal_agatston_planted": scan.ideal_agatston,
        "planted_with": asdict(scan.spread),
    }


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
        extra=_truth(case.id, scan),
    )
    write_labelled(scan.volume, scan.labels, folder, case=planted)


def _box_at(centre_zyx: Sequence[float], volume: Volume) -> tuple[slice, slice, slice]:
    box = [
        slice(max(0, round(c - ERASE_REACH_MM / mm)), min(n, round(c + ERASE_REACH_MM / mm) + 1))
        for c, mm, n in zip(centre_zyx, volume.spacing_mm_zyx, volume.grid.shape_zyx, strict=True)
    ]
    return box[0], box[1], box[2]
