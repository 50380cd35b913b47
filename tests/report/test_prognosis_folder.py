from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from calcmap.core.errors import OutputError
from calcmap.prognosis.assessment import assess_prognosis
from calcmap.prognosis.study import PrognosisStudy
from calcmap.report.prognosis_folder import write_prognosis
from calcmap.report.prognosis_json import prognosis_to_json
from calcmap.report.prognosis_tables import prognosis_tables
from prognosis.made_outcome import made_cells, made_settings


@pytest.fixture(scope="module")
def study() -> PrognosisStudy:
    cells = made_cells()
    cells["score"] = [min(score, 400.0) for score in cells["score"]]  # nobody in the highest category
    settings = made_settings(
        title="Made",
        is_simulated=True,
        risk_cut_offs=[0.1, 0.3],
        sensitivities=[
            {"name": "death", "label": "Death & co", "endpoint": "death"},
            {"name": "nobody", "keep": [{"column": "age", "at_least": 500}]},
        ],
    )
    return assess_prognosis(cells, settings)


def test_json_holds_numbers_or_reasons_and_nothing_of_single_patients(study: PrognosisStudy) -> None:
    whole = prognosis_to_json(study)
    text = json.dumps(whole, allow_nan=False)
    assert "base_risk" not in text
    assert "p17" not in text
    model = whole["main"]["hazard_ratios"]["adjusted"][0]
    assert [line["level"] for line in model["terms"] if line["variable"] == "dl"] == ["0", "1-100", "101-400", ">400"]
    empty = model["terms"][3]["ratio"]
    assert (empty["estimate"], empty["reason"]) == (None, "nobody in >400")
    assert set(whole["sensitivities"]) == {"death", "nobody"}
    assert whole["sensitivities"]["nobody"]["hazard_ratios"] is None
    assert whole["is_simulated"] is True


def test_curves_keep_their_steps_and_their_end(study: PrognosisStudy) -> None:
    curve = prognosis_to_json(study)["main"]["curves"][0]["survival"][0]["curve"]
    assert study.main.curves is not None
    whole = study.main.curves[0].survival[0].curve
    assert whole is not None
    assert curve["time"][-1] == whole.time[-1]
    assert len(curve["time"]) <= whole.n_events + 1
    assert sum(curve["n_at_time"]) == whole.n_events


def test_same_seed_same_json_for_any_number_of_processes(study: PrognosisStudy) -> None:
    cells = made_cells(60)
    settings = made_settings(bootstrap={"draws": 6, "seed": 4, "workers": 1})
    one = prognosis_to_json(assess_prognosis(cells, settings))
    again = prognosis_to_json(assess_prognosis(cells, settings))
    two = prognosis_to_json(
        assess_prognosis(cells, replace(settings, bootstrap=replace(settings.bootstrap, workers=2)))
    )
    assert one == again == two
    other = prognosis_to_json(assess_prognosis(cells, replace(settings, bootstrap=replace(settings.bootstrap, seed=5))))
    assert other["main"]["discrimination"] != one["main"]["discrimination"]


def test_every_table_says_endpoint_patients_and_that_they_are_simulated(study: PrognosisStudy) -> None:
    tables = {table.name: table for table in prognosis_tables(study)}
    assert {"patients", "table_one", "hazard_ratios_dl", "hazard_ratios_eye", "death_curves", "nobody_patients"} <= set(
        tables
    )
    for table in tables.values():
        assert "simulated patients" in table.title
    assert tables["curves"].title == "Event-free patients; MACE, n = 240 (simulated patients)"
    assert "(Death & co, simulated patients)" in tables["death_curves"].title
    assert "cumulative incidence, %" in tables["death_curves"].columns
    assert "0 of 240 patients are left" in tables["nobody_patients"].note


def test_both_tests_of_proportional_hazards_are_named(study: PrognosisStudy) -> None:
    table = next(each for each in prognosis_tables(study) if each.name == "hazard_ratios_dl")
    assert "score test (cox.zph of R survival >= 3.0), p" in table.note
    assert "scaled Schoenfeld residuals" in table.note
    assert table.rows[0][1] == "1 (reference)"
    assert table.rows[3][:2] == ("DL: >400", "nobody in >400")


def test_the_folder_holds_json_tables_figures_and_page(study: PrognosisStudy, tmp_path: Path) -> None:
    whole = write_prognosis(study, tmp_path / "out", table_sha256="abc")
    assert json.loads((tmp_path / "out" / "prognosis.json").read_text(encoding="utf-8")) == whole
    assert whole["table_sha256"] == "abc"
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "prognosis.json",
        "tables",
        "figures",
        "report.html",
    }
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert whole["settings_sha256"] in html
    assert html.count("data:image/png;base64,") == len(list((tmp_path / "out" / "figures").glob("*.png"))) > 0
    with (tmp_path / "out" / "tables" / "reclassification.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[1][:2] == ["DL", "continuous NRI, Kaplan-Meier"]


def test_a_folder_that_cannot_be_made_is_one_line(study: PrognosisStudy, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_prognosis(study, tmp_path / "file" / "out", table_sha256="")
