"""The table of a simulated cohort: one row a patient, planted truth, readers, clinical data and outcomes.

Needs no pictures. Patient k of an order is the patient whose scan `calcmap.simulation.patient` paints, when it is given
the order's patient seed and the row's profile.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np

from calcmap import __version__
from calcmap.cohorts.columns import COLUMNS, VISUAL_NAMES
from calcmap.cohorts.jobs import run_jobs
from calcmap.cohorts.order import SimulationOrder, open_cohort
from calcmap.core.errors import ConfigError
from calcmap.core.result import Vessel
from calcmap.scoring.categories import paper_category
from calcmap.simulation.calcium.deposits import Tissue
from calcmap.simulation.calcium.ideal_scan import ideal_agatston
from calcmap.simulation.patient import PatientPlan, Recipe, patient_seed, plan_patient
from calcmap.simulation.population.clinical import ClinicalRow, draw_clinical_row
from calcmap.simulation.population.draws import cohort_point
from calcmap.simulation.population.outcomes import DAYS_PER_YEAR, Outcome, draw_outcome
from calcmap.simulation.population.populations import population_of
from calcmap.simulation.population.readers import READERS, VISUAL, read_lesions
from calcmap.simulation.scanner.sites import SITES, gated
from calcmap.simulation.visibility import VisibleCalcium, visible_calcium

TABLE_FILE = "patients.csv"
DICTIONARY_FILE = "patients.json"
PARTS_FOLDER = "patients.parts"
"""Finished pieces of a table that is still being made."""
PATIENTS_PER_PART = 64
MISSING_FROM_YEARS, MISSING_OVER_YEARS = 40.0, 26.0
"""Missing by age: none at the first age, the asked share 26 years on, at most twice that (our choice)."""

Cell = str | int | float | None


class Missingness(StrEnum):
    """Which values of a table are missing."""

    AT_RANDOM = "mcar"
    """Any value is as likely as another to be missing."""
    BY_AGE = "mar"
    """The older the patient, the likelier: twice the share at the highest ages, almost none at the lowest."""


@dataclass(frozen=True)
class Missing:
    """How much of the clinical columns is missing; truth, readers and outcomes stay complete.

    Parameters
    ----------
    share : float
        Of the values of each column that may be missing, 0 to below 0.5.
    mechanism : Missingness
        Which values.

    Raises
    ------
    ConfigError
        The share lies outside 0 to below 0.5.
    """

    share: float
    mechanism: Missingness = Missingness.AT_RANDOM

    def __post_init__(self) -> None:
        if not 0 <= self.share < 0.5:
            raise ConfigError(f"the missing share is {self.share}, expected 0 to below 0.5")


@dataclass(frozen=True)
class _Patient:
    """Everything a row is made of."""

    order: SimulationOrder
    row: ClinicalRow
    outcome: Outcome
    plan: PatientPlan
    seen: VisibleCalcium
    """On the attenuation CT."""
    seen_gated: VisibleCalcium
    """On a gated calcium scan of the same day."""


def write_cohort_table(
    order: SimulationOrder, out: Path, *, missing: Missing | None = None, workers: int | None = None
) -> Iterator[int]:
    """Yield how many rows are finished, and at the end write ``patients.csv`` and ``patients.json`` into a folder.

    A row depends on the order's site and seed and the patient's number alone: the same bytes for any number of workers
    and after any interruption; a larger table begins with the rows of a smaller one. Finished pieces wait in
    ``patients.parts`` and are kept by a second run.

    Parameters
    ----------
    order : SimulationOrder
        Patients, site and seed.
    out : Path
        Cohort folder; made when it is not there.
    missing : Missing, optional
        Values to leave out; none by default.
    workers : int or None
        Processes; one per core when ``None``.

    Yields
    ------
    int
        Rows finished so far, of ``order.patients``.

    Raises
    ------
    ConfigError
        Fewer than one worker, or an order whose recipe forces a category: its patients come from no population.
    """
    recipe = order.recipe or Recipe()
    if not order.draws_from_population:
        raise ConfigError("a cohort's table draws categories from the site's population, not from a recipe")
    folder = out / PARTS_FOLDER
    open_cohort(folder, {"kind": "table", "site": order.site, "seed": order.seed,
                         "noncoronary_factor": recipe.noncoronary_factor})  # fmt: skip
    parts = _parts(order, folder)
    jobs = {part: partial(_write_part, order, numbers) for part, numbers in parts.items()}
    done = 0
    for part in run_jobs(jobs, workers=workers):
        done += len(parts[part])
        yield done
    _write_table(order, list(parts), out, missing=missing)
    shutil.rmtree(folder)


def cohort_patient(order: SimulationOrder, number: int) -> tuple[ClinicalRow, Outcome]:
    """Return the clinical row and the outcome of one patient of an order; the row's profile is the scan's."""
    population = population_of(order.site)
    point = cohort_point(order.seed, number, population=population.name)
    row = draw_clinical_row(point, number=number, population=population)
    return row, draw_outcome(point, row=row)


def _parts(order: SimulationOrder, folder: Path) -> dict[Path, range]:
    """Return which patients each piece of the table holds."""
    starts = range(0, order.patients, PATIENTS_PER_PART)
    ranges = [range(start, min(start + PATIENTS_PER_PART, order.patients)) for start in starts]
    return {folder / f"{order.site}-{order.seed}-{r.start:05d}-{r.stop:05d}": r for r in ranges}


def _write_part(order: SimulationOrder, numbers: range, folder: Path) -> None:
    rows = [patient_row(order, number) for number in numbers]
    (folder / "rows.json").write_text(json.dumps(rows) + "\n", encoding="utf-8")


def patient_row(order: SimulationOrder, number: int) -> dict[str, Cell]:
    """Return one row of the table, complete, by column name in the table's order."""
    row, outcome = cohort_patient(order, number)
    seed = patient_seed(order.seed, number)
    plan = plan_patient(seed, site=SITES[order.site], profile=row.profile, recipe=order.recipe)
    gated_scan = gated(plan.acquisition, rng=np.random.default_rng([seed, *b"gated scan"]))
    patient = _Patient(order, row, outcome, plan, visible_calcium(plan), visible_calcium(plan, acquisition=gated_scan))
    cells: dict[str, Cell] = {}
    for group in (_identity, _truth, _readings, _clinical, _events):
        cells |= group(patient)
    return {column.name: cells[column.name] for column in COLUMNS}


def _identity(patient: _Patient) -> dict[str, Cell]:
    order, number = patient.order, patient.row.number
    return {
        "id": f"{order.site}-{order.seed}-{number:05d}",
        "site": order.site,
        "cohort_seed": order.seed,
        "number": number,
        "patient_seed": patient.plan.seed,
    }


def _truth(patient: _Patient) -> dict[str, Cell]:
    coronary = [deposit for deposit in patient.plan.deposits if deposit.tissue is Tissue.CORONARY]
    alone = {vessel: ideal_agatston(*(d for d in coronary if d.vessel is vessel)) for vessel in Vessel}
    ideal, total = patient.plan.ideal_agatston, sum(alone.values())
    cells: dict[str, Cell] = {
        "ideal_agatston": round(ideal, 2),
        "category": patient.row.category,
        "n_lesions": len(coronary),
        "visible_agatston": round(patient.seen.agatston_without_noise, 2),
        "noise_sd_hu": round(patient.seen.noise_sd_hu, 1),
    }
    # vessels meet at forks: what their scores alone sum to may differ a little from the score of all
    factor = ideal / total if total else 0.0
    return cells | {f"ideal_{vessel.value.lower()}": round(score * factor, 2) for vessel, score in alone.items()}


def _readings(patient: _Patient) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for reader in READERS:
        scan = patient.seen_gated if reader.is_gated else patient.seen
        score = round(read_lesions(scan, reader=reader, seed=patient.plan.seed).agatston, 2)
        category = paper_category(score).index
        if reader is VISUAL:
            cells["visual"] = VISUAL_NAMES[category]
        else:
            cells[f"{reader.name}_agatston"] = score
        cells[f"{reader.name}_category"] = category
    return cells


def _clinical(patient: _Patient) -> dict[str, Cell]:
    row = patient.row
    return {
        "sex": row.sex,
        "age_years": row.age_years,
        "height_cm": row.height_cm,
        "bmi_kg_m2": row.bmi_kg_m2,
        "hypertension": int(row.has_hypertension),
        "diabetes": int(row.has_diabetes),
        "dyslipidaemia": int(row.has_dyslipidaemia),
        "family_history": int(row.has_family_history),
        "smoking": int(row.is_smoker),
        "pharmacologic_stress": int(row.is_pharmacologic_stress),
        "stress_tpd_percent": row.stress_tpd_percent,
        "stress_tpd_class": row.stress_tpd_class,
        "rest_tpd_percent": row.rest_tpd_percent,
        "lvef_percent": row.lvef_percent,
    }


def _events(patient: _Patient) -> dict[str, Cell]:
    outcome = patient.outcome
    return {
        "early_revascularisation": int(outcome.has_early_revascularisation),
        "follow_up_years": _years(outcome.follow_up_days),
        "mace": int(outcome.mace is not None),
        "mace_years": _years(outcome.mace_follow_up_days),
        "mace_kind": outcome.mace.value if outcome.mace is not None else None,
        "death": int(outcome.death_days is not None),
        "hard_event": int(outcome.has_hard_event),
        "hard_event_years": _years(outcome.hard_follow_up_days),
        "death_days": outcome.death_days,
        "revascularisation_days": outcome.revascularisation_days,
        "infarction_days": outcome.infarction_days,
        "unstable_angina_days": outcome.unstable_angina_days,
    }


def _years(days: int) -> float:
    """Return years with digits enough to tell the day."""
    return round(days / DAYS_PER_YEAR, 4)


def _write_table(order: SimulationOrder, parts: Sequence[Path], out: Path, *, missing: Missing | None) -> None:
    with (out / f"{TABLE_FILE}.new").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [column.name for column in COLUMNS], lineterminator="\n")
        writer.writeheader()
        for part in parts:
            for row in json.loads((part / "rows.json").read_text(encoding="utf-8")):
                writer.writerow(leave_gaps(row, missing))
    dictionary = {
        "made_by": f"CalcMap {__version__}, simulated: no real patient",
        "order": {"patients": order.patients, "site": order.site, "seed": order.seed},
        "population": asdict(population_of(order.site)),
        "readers": {reader.name: asdict(reader) for reader in READERS},
        "missing": None if missing is None else asdict(missing),
        "columns": [asdict(column) for column in COLUMNS],
    }
    (out / DICTIONARY_FILE).write_text(json.dumps(dictionary, indent=1) + "\n", encoding="utf-8")
    (out / f"{TABLE_FILE}.new").replace(out / TABLE_FILE)


def leave_gaps(row: dict[str, Cell], missing: Missing | None) -> dict[str, Cell]:
    """Return the row without the values that are missing; which ones depends on patient and column alone."""
    if missing is None:
        return row
    share = missing.share
    if missing.mechanism is Missingness.BY_AGE:
        share *= float(np.clip((_number(row["age_years"]) - MISSING_FROM_YEARS) / MISSING_OVER_YEARS, 0, 2))
    rng = np.random.default_rng([int(_number(row["patient_seed"])), *b"missing values"])
    gaps = {column.name for column in COLUMNS if column.may_be_missing and rng.random() < share}
    if "stress_tpd_percent" in gaps:
        gaps.add("stress_tpd_class")
    return {name: None if name in gaps else value for name, value in row.items()}


def _number(cell: Cell) -> float:
    return float(cell or 0)
