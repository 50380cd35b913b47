"""Cohorts as case folders or DICOM studies: one patient, one job, one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.machine import usable_cores
from calcmap.core.volume import BoolArray, Float64Array, Int16Array, Label, Labels, UInt8Array, Volume
from calcmap.io.cases import Case, load_case_arrays, write_case
from calcmap.io.ct_writing import CtHeader, write_ct_series
from calcmap.io.nifti import write_labels
from calcmap.scoring.agatston import score_volume
from calcmap.scoring.rules import get_profile
from calcmap.simulation.patient import Recipe, SimulatedPatient, patient_seed, simulate_patient
from calcmap.simulation.planting.planting import Background, plant_case
from calcmap.simulation.scanner.sites import SITES

UNSURE_RADIUS_MM = 3.0
"""A dense component whose centroid lies this close to an unsure lesion's recorded centre is that lesion."""
DENSE_HU = 110
"""Voxels of a lesion: a little below 130 HU, so that its blurred rim goes too (our choice)."""
SOFT_TISSUE_HU = -30
"""Tissue to fill with is denser than this: no fat, no lung (our choice)."""
ERASE_REACH_MM = 30.0
"""Half the box in which an unsure lesion is looked for: larger than any lesion (our choice)."""
PLANTED_SITE = "planted"
"""Site of planted cases, for sampling weights in training."""


@dataclass(frozen=True)
class SimulationOrder:
    """A simulated cohort: how many, where, from which seed, and in which form.

    Parameters
    ----------
    patients : int
        How many.
    site : str
        A name of `calcmap.simulation.scanner.sites.SITES`.
    seed : int
        Of the cohort.
    as_dicom : bool
        Write DICOM studies with the truth beside them, not labelled cases.
    recipe : Recipe or None
        What to draw, when not as nature does.

    Raises
    ------
    ConfigError
        No patients, or an unknown site.
    """

    patients: int
    site: str
    seed: int
    as_dicom: bool = False
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if self.patients < 1:
            raise ConfigError(f"{self.patients} patients asked for, expected at least 1")
        if self.site not in SITES:
            raise ConfigError(f"unknown site {self.site!r}, expected one of {', '.join(sorted(SITES))}")


def write_simulated_cohort(order: SimulationOrder, out: Path, *, workers: int | None = None) -> Iterator[Path]:
    """Yield the folder of each simulated patient as it is finished; those already there come first and are kept.

    A patient depends on the cohort's seed and the patient's number alone, so the bytes are the same for any number of
    workers and after any interruption.

    Parameters
    ----------
    order : SimulationOrder
        What to simulate.
    out : Path
        Cohort folder.
    workers : int or None
        Processes; one per core when ``None``.

    Yields
    ------
    Path
        ``out/<site>-<seed>-<number>``.

    Raises
    ------
    ConfigError
        Fewer than one worker.
    OutputError
        A folder cannot be written.
    """
    jobs = {
        out / f"{order.site}-{order.seed}-{number:05d}": partial(_simulate_one, order, number)
        for number in range(order.patients)
    }
    yield from _run_jobs(jobs, workers=workers)


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
    yield from _run_jobs(jobs, workers=workers)


def erase_lesions(volume: Volume, labels: Labels, centres_zyx: Iterable[Sequence[float]]) -> tuple[Volume, Labels]:
    """Return scan and labels with the dense components at the given centres replaced by the tissue around them.

    Each erased voxel takes the HU of a random neighbour in a shell around the lesion (seeded by the lesion's place),
    which keeps the scan's noise; calcium labels there become heart. A centre without a dense component within
    `UNSURE_RADIUS_MM` changes nothing.

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
        lesion = _component_at(hu_zyx[box] >= DENSE_HU, np.asarray(centre) - corner, volume.spacing_mm_zyx)
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


def _run_jobs(jobs: Mapping[Path, Callable[[Path], None]], *, workers: int | None) -> Iterator[Path]:
    """Run each job that has no finished folder yet; a folder appears only when its job is done."""
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}, expected at least 1")
    for folder in jobs:
        if folder.is_dir():
            yield folder
    waiting = {folder: job for folder, job in jobs.items() if not folder.is_dir()}
    with ProcessPoolExecutor(max_workers=usable_cores() if workers is None else workers) as pool:
        futures = {pool.submit(_write_aside, job, folder): folder for folder, job in waiting.items()}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        finally:
            # After an error, or when the caller stops listening, jobs that have not begun are not worth waiting for.
            pool.shutdown(wait=False, cancel_futures=True)


def _write_aside(job: Callable[[Path], None], folder: Path) -> None:
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    job(part)
    part.rename(folder)


def _simulate_one(order: SimulationOrder, number: int, folder: Path) -> None:
    patient = simulate_patient(patient_seed(order.seed, number), site=SITES[order.site], recipe=order.recipe)
    name = f"{order.site}-{order.seed}-{number:05d}"
    if order.as_dicom:
        _write_dicom(patient, folder, name=name)
    else:
        _write_labelled(patient.volume, patient.labels, folder, case=_simulated_case(patient, name))


def _write_dicom(patient: SimulatedPatient, folder: Path, *, name: str) -> None:
    """Write a patient as a DICOM study of one attenuation CT, and the truth beside it, out of the study's folder."""
    facts = patient.facts
    header = CtHeader(
        seed=name,
        patient_id=name,
        patient_sex=facts.sex,
        patient_age_years=round(facts.age_years),
        description="CT AC simulated",
        kvp=facts.acquisition.kvp,
        slice_thickness_mm=facts.acquisition.thickness_mm,
    )
    write_ct_series(patient.volume, folder / "dicom", header=header)
    truth = folder / "truth"
    truth.mkdir()
    write_labels(patient.labels, truth / "labels.nii.gz")
    text = json.dumps({"id": name, "simulated": True, "facts": asdict(facts)}, indent=1)
    (truth / "truth.json").write_text(text + "\n", encoding="utf-8")


def _simulated_case(patient: SimulatedPatient, name: str) -> Case:
    facts = patient.facts
    return Case(
        id=name,
        source="simulated by CalcMap",
        licence="Apache-2.0",
        site=facts.site,
        group=name,
        extra={"simulated": True, "facts": asdict(facts)},
    )


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
    _write_labelled(scan.volume, scan.labels, folder, case=planted)


def _write_labelled(volume: Volume, labels: Labels, folder: Path, *, case: Case) -> None:
    """Write a case with the reference score of its labels."""
    scoring = score_volume(volume, labels.labels_zyx, rule=get_profile("clinical"))
    write_case(folder, volume, labels, replace(case, reference_agatston=scoring.coronary.agatston))


def _box_at(centre_zyx: Sequence[float], volume: Volume) -> tuple[slice, slice, slice]:
    box = [
        slice(max(0, round(c - ERASE_REACH_MM / mm)), min(n, round(c + ERASE_REACH_MM / mm) + 1))
        for c, mm, n in zip(centre_zyx, volume.spacing_mm_zyx, volume.grid.shape_zyx, strict=True)
    ]
    return box[0], box[1], box[2]


def _component_at(
    dense_zyx: BoolArray, centre_zyx: Float64Array, spacing_mm_zyx: tuple[float, float, float]
) -> BoolArray | None:
    """Return the component whose centroid is nearest to a centre, if within `UNSURE_RADIUS_MM`."""
    components, n = ndimage.label(dense_zyx, structure=np.ones((3, 3, 3)))
    if n == 0:
        return None
    centroids = np.array(ndimage.center_of_mass(dense_zyx, components, range(1, n + 1)))
    distance_mm = np.linalg.norm((centroids - centre_zyx) * np.array(spacing_mm_zyx), axis=1)
    if distance_mm.min() > UNSURE_RADIUS_MM:
        return None
    return np.asarray(components == int(distance_mm.argmin()) + 1, dtype=np.bool_)
