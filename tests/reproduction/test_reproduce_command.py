"""``calcmap reproduce`` over patients whose images were scored before: no image is made here, all analyses are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from calcmap.cli.main import app
from calcmap.cli.reproduce import COHORT_FOLDER, PATIENTS_FOLDER
from calcmap.cohorts.order import SimulationOrder, open_cohort
from calcmap.cohorts.tables import TABLE_FILE, write_cohort_table
from calcmap.pipeline.evaluation import CaseRow
from calcmap.reproduction.scoring import LABELS_FILE, RESULT_FILE, scored_order
from calcmap.reproduction.table import read_scored_table
from calcmap.scoring.categories import paper_category

N_PATIENTS = 150
N_REFUSED = 3


@pytest.fixture(scope="module")
def scored_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reproduction's folder in which every patient is scored: as the stand-in reader of the cohort's table reads."""
    out = tmp_path_factory.mktemp("reproduction")
    order = SimulationOrder(N_PATIENTS, "external", 1)
    list(write_cohort_table(order, out / COHORT_FOLDER, workers=1))
    patients = out / PATIENTS_FOLDER
    open_cohort(patients, scored_order(order))
    for number, row in enumerate(read_scored_table(out / COHORT_FOLDER / TABLE_FILE)):
        write_patient(patients / row["id"], float(row["dl_like_agatston"]), is_refused=number < N_REFUSED)
    return out


def write_patient(folder: Path, agatston: float, *, is_refused: bool) -> None:
    category = paper_category(agatston).index
    result: dict[str, object] = {
        "status": "refused" if is_refused else "scored",
        "reason_code": "heart_cut" if is_refused else None,
        "agatston": None if is_refused else agatston,
        "category": None if is_refused else category,
        "confidence": None,
        "quality": [],
        "provenance": {"weights_sha256": {"heart": "0" * 64}},
    }
    row = CaseRow(folder.name, "external", (agatston, agatston), category, agatston, category, True, 0.95, 700.0,
                  690.0, 1, 1, 0, 0.5)  # fmt: skip
    folder.mkdir()
    (folder / RESULT_FILE).write_text(json.dumps(result), encoding="utf-8")
    (folder / LABELS_FILE).write_text(json.dumps(asdict(row)), encoding="utf-8")


def test_scored_patients_become_a_comparison_with_every_number(scored_before: Path) -> None:
    arguments = ["reproduce", "--patients", str(N_PATIENTS), "-o", str(scored_before), "--draws", "20", "--json"]

    ran = CliRunner().invoke(app, arguments)

    assert ran.exit_code == 0, ran.output
    content = json.loads(ran.stdout)
    assert content["is_simulated"] is True
    assert content["refused"] == {"heart_cut": N_REFUSED}
    assert content["compared"] == len(content["numbers"])
    assert all(number["simulated"]["estimate"] is not None for number in content["numbers"])
    simulated = {number["paper"]["key"]: number["simulated"] for number in content["numbers"]}
    assert simulated["kappa"]["n"] == N_PATIENTS - N_REFUSED
    page = (scored_before / "report.html").read_text(encoding="utf-8")
    assert "Simulated patients" in page
    assert (scored_before / "agreement" / "report.html").is_file()
    assert (scored_before / "prognosis" / "prognosis.json").is_file()
    assert (scored_before / "evaluation" / "cases.csv").is_file()


def test_patients_of_other_networks_are_not_taken_for_these(tmp_path: Path) -> None:
    order = SimulationOrder(20, "external", 1)
    open_cohort(tmp_path / PATIENTS_FOLDER, {**scored_order(order), "heart.onnx": "another"})

    ran = CliRunner().invoke(app, ["reproduce", "--patients", "20", "-o", str(tmp_path)])

    assert ran.exit_code != 0
    assert "holds another cohort" in str(ran.exception)
