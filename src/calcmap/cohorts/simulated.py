"""Simulated cohorts as case folders or DICOM studies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from calcmap.cohorts.jobs import run_jobs
from calcmap.core.errors import ConfigError
from calcmap.core.volume import Labels, Volume
from calcmap.io.cases import Case, write_case
from calcmap.io.ct_writing import CtHeader, write_ct_series
from calcmap.io.nifti import write_labels
from calcmap.scoring.agatston import score_volume
from calcmap.scoring.rules import get_profile
from calcmap.simulation.patient import Recipe, SimulatedPatient, patient_seed, simulate_patient
from calcmap.simulation.scanner.sites import SITES


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
    yield from run_jobs(jobs, workers=workers)


def _simulate_one(order: SimulationOrder, number: int, folder: Path) -> None:
    patient = simulate_patient(patient_seed(order.seed, number), site=SITES[order.site], recipe=order.recipe)
    name = f"{order.site}-{order.seed}-{number:05d}"
    if order.as_dicom:
        _write_dicom(patient, folder, name=name)
    else:
        write_labelled(patient.volume, patient.labels, folder, case=_simulated_case(patient, name))


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


def write_labelled(volume: Volume, labels: Labels, folder: Path, *, case: Case) -> None:
    """Write a case with the reference score of its labels."""
    scoring = score_volume(volume, labels.labels_zyx, rule=get_profile("clinical"))
    write_case(folder, volume, labels, replace(case, reference_agatston=scoring.coronary.agatston))
