from __future__ import annotations

import csv
from pathlib import Path

import pytest

from calcmap.scoring.conformance import load_cases
from cli.conftest import Calcmap


def test_our_own_scorer_passes(calcmap: Calcmap) -> None:
    ran = calcmap("conformance", "check")
    assert (ran.code, ran.err) == (0, "")
    assert "71 of 71 cases right under the profile clinical" in ran.out


def test_the_suite_is_written_with_its_answers(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("conformance", "export", tmp_path / "suite")
    assert ran.code == 0
    with (tmp_path / "suite" / "expected.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == [case.id for case in load_cases()]
    assert {path.name for path in (tmp_path / "suite" / rows[0]["case"]).iterdir()} == {"ct.nii.gz", "mask.nii.gz"}
    checked = calcmap("conformance", "check", tmp_path / "suite" / "expected.csv")
    assert checked.code == 0


def test_wrong_and_missing_answers_end_with_three_and_are_named(calcmap: Calcmap, tmp_path: Path) -> None:
    case = load_cases()[0].id
    table = tmp_path / "scores.csv"
    table.write_text(f"case,agatston\n{case},123456\n", encoding="utf-8")
    ran = calcmap("conformance", "check", table)
    assert ran.code == 3
    assert f"{case}: agatston" in " ".join(ran.out.split())
    assert "0 of 71 cases right" in ran.out


@pytest.mark.parametrize("content", [None, "name,score\na,1\n"])
def test_a_table_that_is_none_ends_with_two(calcmap: Calcmap, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "scores.csv").write_text(content, encoding="utf-8")
    ran = calcmap("conformance", "check", tmp_path / "scores.csv")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
