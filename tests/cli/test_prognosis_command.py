from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from cli.conftest import Calcmap
from prognosis.made_outcome import made_cells

SETTINGS = """
horizon = 3
id = "id"
missing = "error"
analyses = ["curves", "hazard_ratios", "added_value", "reclassification"]
[[endpoints]]
name = "mace"
time = "years"
event = "mace"
[[categories]]
name = "dl"
column = "score"
cuts = [1, 100, 400]
[[covariates]]
column = "age"
per = 10
[bootstrap]
draws = 4
workers = 1
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pd.DataFrame(made_cells(120)).to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path / "table.csv"


def _prognosis(calcmap: Calcmap, table: Path, *more: object):  # noqa: ANN202 - of the fixture
    return calcmap("prognosis", table, "--config", table.parent / "settings.toml", "-o", table.parent / "out", *more)


def test_a_table_becomes_a_folder(calcmap: Calcmap, table: Path) -> None:
    ran = _prognosis(calcmap, table)
    assert ran.code == 0, ran.err
    assert "Hazard ratios by " in ran.out
    assert "research use only" in " ".join(ran.out.split())
    written = {path.name for path in (table.parent / "out").iterdir()}
    assert written >= {"prognosis.json", "tables", "figures", "report.html"}


def test_json_is_what_was_written(calcmap: Calcmap, table: Path) -> None:
    ran = _prognosis(calcmap, table, "--json")
    whole = json.loads(ran.out)
    assert whole == json.loads((table.parent / "out" / "prognosis.json").read_text(encoding="utf-8"))
    assert whole["main"]["patients"]["n"] == 120
    assert whole["settings"]["bootstrap"]["draws"] == 4


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("years", "-2", "column 'years' holds '-2.0' (row 4), expected a time of 0 or more"),
        ("years", "long", "column 'years' holds 'long' (row 4)"),
        ("years", "", "column 'years' is missing in 1 of 120 rows, row 4 first"),
        ("mace", "unsure", "column 'mace' holds 'unsure' (row 4), expected 0 or 1"),
        ("score", "high", "column 'score' holds 'high' (row 4), expected a score of 0 or more"),
        ("age", "NaN", "column 'age' is missing in 1 of 120 rows, row 4 first"),
        ("age", "inf", "column 'age' holds 'inf' (row 4), expected a number"),
        ("id", "p0", "column 'id': 1 identifiers stand in more than one row; row 1 and row 4 are the first"),
    ],
)
def test_a_bad_cell_is_one_clear_line(calcmap: Calcmap, table: Path, column: str, cell: str, message: str) -> None:
    frame = pd.read_csv(table, dtype=str)
    frame.loc[3, column] = cell
    frame.to_csv(table, index=False)
    ran = _prognosis(calcmap, table)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert message in ran.err
    assert not (table.parent / "out").exists()


def test_all_censored_is_one_clear_line(calcmap: Calcmap, table: Path) -> None:
    pd.read_csv(table).assign(mace=0).to_csv(table, index=False)
    ran = _prognosis(calcmap, table)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "nobody of 120 has the event: all follow-up is censored" in ran.err


def test_a_column_that_is_not_there_is_named_with_those_most_alike(calcmap: Calcmap, table: Path) -> None:
    pd.read_csv(table).rename(columns={"score": "scores"}).to_csv(table, index=False)
    ran = _prognosis(calcmap, table)
    assert ran.code == 2
    assert "the table has no column 'score'; it has scores" in ran.err


def test_all_that_is_wrong_in_the_settings_is_told_at_once(calcmap: Calcmap, table: Path) -> None:
    wrong = SETTINGS.replace("horizon = 3", "horizont = 3").replace("draws = 4", 'draws = "many"')
    (table.parent / "settings.toml").write_text(wrong, encoding="utf-8")
    ran = _prognosis(calcmap, table)
    assert ran.code == 2
    for message in ("unknown key horizont", "missing key horizon", "bootstrap.draws is 'many'"):
        assert message in ran.err


def test_help_has_an_example(calcmap: Calcmap) -> None:
    ran = calcmap("prognosis", "--help")
    assert ran.code == 0
    assert "Example: calcmap prognosis" in ran.out
