"""Simulated patients scored as a user's would be: a DICOM study is written, found, checked, scored, and thrown away."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from calcmap.cohorts.jobs import run_jobs
from calcmap.cohorts.order import OrderValue, SimulationOrder, open_cohort
from calcmap.cohorts.simulated import plan_of
from calcmap.cohorts.studies import write_study
from calcmap.cohorts.study_recipe import Localizer, StudyRecipe
from calcmap.core.errors import InputError
from calcmap.core.result import result_to_json
from calcmap.io.cases import Case
from calcmap.io.finding import find_studies
from calcmap.io.tables import file_sha256
from calcmap.io.text_files import write_json
from calcmap.pipeline.evaluation import CaseRow, case_row_from_json, evaluate_volume
from calcmap.pipeline.score import ScoreOptions, score_study
from calcmap.segmentation.cascade import Cascade, load_cascade
from calcmap.segmentation.confidence import CONFIDENCE_FILE
from calcmap.segmentation.engine import CALCIUM_FILE, HEART_FILE, shipped_weights
from calcmap.segmentation.judge import JUDGE_FILE
from calcmap.segmentation.vessels import VESSELS_FILE
from calcmap.simulation.patient import SimulatedPatient, scan_patient

SHIPPED = (HEART_FILE, CALCIUM_FILE, VESSELS_FILE, JUDGE_FILE, CONFIDENCE_FILE)
"""Everything whose change changes a result."""
RESULT_FILE, LABELS_FILE = "result.json", "against_labels.json"
PLAIN_STUDY = StudyRecipe(
    rest_nuclear=False, uncorrected=False, localizer=Localizer.NONE, dose_report=False, is_rest_first=False
)
"""One stress study with its attenuation CT: what else a study may hold is another test's business."""


@dataclass(frozen=True)
class ScoredPatient:
    """One simulated patient after scoring.

    Parameters
    ----------
    name : str
        As in the cohort's table.
    result : dict
        The content of ``result.json``, as `calcmap score` writes it.
    against_labels : CaseRow
        Both networks beside the planted labels; made whether the study was scored or refused.
    """

    name: str
    result: dict[str, Any]
    against_labels: CaseRow


def score_patients(order: SimulationOrder, out: Path, *, workers: int | None = None) -> Iterator[Path]:
    """Yield the folder of each patient as it is scored; those already there come first and are kept.

    Images are not kept: a study of 50 slices takes more room on a disk than time to make again.

    Parameters
    ----------
    order : SimulationOrder
        Patients, site and seed.
    out : Path
        Made when absent. Belongs to one order and one pair of networks.
    workers : int or None
        Processes, each with one thread; one per core when ``None``.

    Yields
    ------
    Path
        ``out/<patient>``, with `RESULT_FILE` and `LABELS_FILE`.

    Raises
    ------
    ConfigError
        Fewer than one worker, or a folder that holds other patients, or the same scored by other networks.
    OutputError
        A folder cannot be written.
    """
    open_cohort(out, scored_order(order))
    jobs = {out / order.name_of(number): partial(_score_one, order, number) for number in range(order.patients)}
    yield from run_jobs(jobs, workers=workers)


def scored_order(order: SimulationOrder) -> dict[str, OrderValue]:
    """Return what decides the scores of an order's patients: site, seed, and the hash of every shipped model."""
    # Hashed, not loaded: a network that is in memory when the processes fork leaves them waiting for its threads.
    networks = {name: file_sha256(shipped_weights(name)) for name in SHIPPED}
    return {"kind": "scored", "site": order.site, "seed": order.seed, **networks}


def read_scored_patients(order: SimulationOrder, out: Path) -> list[ScoredPatient]:
    """Return what `score_patients` left of each patient, in the order of their numbers.

    Raises
    ------
    InputError
        A patient is missing, or was written by another version.
    """
    return [_read_one(out / order.name_of(number)) for number in range(order.patients)]


def networks_of(scored: Sequence[ScoredPatient]) -> dict[str, str]:
    """Return the hashes of the networks and models that scored, as the results tell them."""
    return dict(scored[0].result["provenance"]["weights_sha256"])


def _read_one(folder: Path) -> ScoredPatient:
    try:
        result = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        row = case_row_from_json(json.loads((folder / LABELS_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{folder} holds no scored patient of this version: {type(error).__name__}") from error
    return ScoredPatient(folder.name, result, row)


@lru_cache(maxsize=1)
def _cascade() -> Cascade:
    """Return the shipped networks, loaded once in each process; the processes share the cores among them."""
    return load_cascade(threads=1)


def _score_one(order: SimulationOrder, number: int, folder: Path) -> None:
    name = order.name_of(number)
    plan = plan_of(order, number)
    patient = scan_patient(plan)
    with TemporaryDirectory(dir=folder, prefix="study-") as study_folder:
        write_study(plan, Path(study_folder), name=name, recipe=PLAIN_STUDY, scan=patient)
        (study,) = find_studies([Path(study_folder)])
        result = score_study(study, _cascade(), options=ScoreOptions()).result
    write_json(result_to_json(result), folder, name=RESULT_FILE)
    write_json(asdict(_against_labels(patient, name)), folder, name=LABELS_FILE)


def _against_labels(patient: SimulatedPatient, name: str) -> CaseRow:
    case = Case(id=name, source="simulated by CalcMap", licence="Apache-2.0", site=patient.facts.site, group=name)
    return evaluate_volume(patient.volume, patient.labels, case, _cascade())
