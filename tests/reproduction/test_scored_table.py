"""The cohort's table with the networks' columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calcmap.core.errors import InputError
from calcmap.pipeline.evaluation import CaseRow
from calcmap.reproduction.scoring import ScoredPatient
from calcmap.reproduction.table import NETWORK_COLUMNS, read_scored_table, write_scored_table


def patient(name: str, *, agatston: float | None) -> ScoredPatient:
    result: dict[str, Any] = {
        "status": "refused" if agatston is None else "scored",
        "reason_code": "heart_cut" if agatston is None else None,
        "agatston": agatston,
        "category": None if agatston is None else 1,
        "confidence": None if agatston is None else {"word": "likely"},
        "quality": [{"flag": "heart_noise"}, {"flag": "slice_overlap"}],
    }
    row = CaseRow(name, "external", (80.0, 80.0), 1, agatston or 0.0, 1, True, 0.95, 700.0, 690.0, 2, 2, 0, 0.5)
    return ScoredPatient(name, result, row)


def cohort_table(folder: Path, *names: str) -> Path:
    path = folder / "patients.csv"
    path.write_text("id,mace\n" + "".join(f"{name},0\n" for name in names), encoding="utf-8")
    return path


def test_scores_stand_beside_the_cohorts_columns(tmp_path: Path) -> None:
    table = cohort_table(tmp_path, "a", "b")

    path = write_scored_table(table, [patient("b", agatston=62.25), patient("a", agatston=0.0)], tmp_path)

    rows = read_scored_table(path)
    assert list(rows[0]) == ["id", "mace", *NETWORK_COLUMNS]
    assert [(row["id"], float(row["network_agatston"])) for row in rows] == [("a", 0.0), ("b", 62.25)]
    assert rows[0]["labels_agatston"] == "80.0"
    assert rows[0]["network_quality"] == "heart_noise slice_overlap"


def test_a_refused_patient_has_a_reason_and_no_score(tmp_path: Path) -> None:
    path = write_scored_table(cohort_table(tmp_path, "a"), [patient("a", agatston=None)], tmp_path)

    (row,) = read_scored_table(path)
    assert (row["network_status"], row["network_reason"]) == ("refused", "heart_cut")
    assert (row["network_agatston"], row["network_category"], row["network_confidence"]) == ("", "", "")


def test_patients_of_another_cohort_are_refused(tmp_path: Path) -> None:
    table = cohort_table(tmp_path, "a", "b")

    with pytest.raises(InputError, match="1 patients are in the table or were scored, not both: b"):
        write_scored_table(table, [patient("a", agatston=1.0)], tmp_path)


def test_a_missing_table_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_scored_table(tmp_path / "nothing.csv")
