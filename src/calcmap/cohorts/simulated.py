"""Simulated cohorts as case folders or DICOM studies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from calcmap.cohorts.jobs import run_jobs
from calcmap.cohorts.order import OrderValue, SimulationOrder, open_cohort
from calcmap.cohorts.studies import write_study_and_truth
from calcmap.cohorts.tables import cohort_patient
from calcmap.core.errors import ConfigError
from calcmap.core.volume import Labels, Volume
from calcmap.io.cases import Case, write_case
from calcmap.scoring.agatston import score_volume
from calcmap.scoring.rules import get_profile
from calcmap.simulation.nuclear.perfusion import Perfusion, draw_perfusion
from calcmap.simulation.patient import PatientPlan, SimulatedPatient, patient_seed, plan_patient, scan_patient
from calcmap.simulation.scanner.sites import SITES


def write_simulated_cohort(
    order: SimulationOrder, out: Path, *, numbers: Sequence[int] | None = None, workers: int | None = None
) -> Iterator[Path]:
    """Yield the folder of each simulated patient as it is finished; those already there come first and are kept.

    A patient depends on the cohort's seed and the patient's number alone, so the bytes are the same for any number of
    workers and after any interruption. Patient k is the one of row k of the cohort's table.

    Parameters
    ----------
    order : SimulationOrder
        What to simulate.
    out : Path
        Cohort folder.
    numbers : sequence of int or None
        Which of the order's patients, from 0; all of them when ``None``.
    workers : int or None
        Processes; one per core when ``None``.

    Yields
    ------
    Path
        ``out/<site>-<seed>-<number>``.

    Raises
    ------
    ConfigError
        Fewer than one worker, a number that the order does not have, or a folder that holds another cohort.
    OutputError
        A folder cannot be written.
    """
    wanted = range(order.patients) if numbers is None else sorted(set(numbers))
    strangers = [number for number in wanted if not 0 <= number < order.patients]
    if strangers:
        raise ConfigError(f"no patients {strangers} among {order.patients}, expected 0 to {order.patients - 1}")
    open_cohort(out, _record(order))
    jobs = {out / order.name_of(number): partial(_simulate_one, order, number) for number in wanted}
    yield from run_jobs(jobs, workers=workers)


def plan_of(order: SimulationOrder, number: int) -> PatientPlan:
    """Return the plan of one patient of an order: the person of the table's row, unless a recipe forces categories."""
    profile = cohort_patient(order, number)[0].profile if order.draws_from_population else None
    seed = patient_seed(order.seed, number)
    return plan_patient(seed, site=SITES[order.site], profile=profile, recipe=order.recipe)


def _record(order: SimulationOrder) -> dict[str, OrderValue]:
    recipe = None if order.recipe is None else json.dumps(asdict(order.recipe), sort_keys=True)
    return {"kind": "simulated", "site": order.site, "seed": order.seed, "as_dicom": order.as_dicom, "recipe": recipe}


def _simulate_one(order: SimulationOrder, number: int, folder: Path) -> None:
    plan, name = plan_of(order, number), order.name_of(number)
    if order.as_dicom:
        write_study_and_truth(plan, folder, name=name, perfusion=_perfusion(order, number))
        return
    patient = scan_patient(plan)
    write_labelled(patient.volume, patient.labels, folder, case=_simulated_case(patient, name))


def _perfusion(order: SimulationOrder, number: int) -> Perfusion | None:
    """Return the perfusion of the patient's row, so that table and nuclear images tell one story."""
    if not order.draws_from_population:
        return None
    row, _ = cohort_patient(order, number)
    rng = np.random.default_rng([patient_seed(order.seed, number), *b"territory"])
    drawn = draw_perfusion(rng, category=row.category)
    return replace(drawn, stress_tpd_percent=row.stress_tpd_percent, rest_tpd_percent=row.rest_tpd_percent)


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
