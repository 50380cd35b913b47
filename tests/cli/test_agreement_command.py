from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from cli.conftest import Calcmap
from evaluation.agreement_readings import made_cells

SETTINGS = 'draws = 25\n[visual]\nkind = "category"\n'


@pytest.fixture
def table(tmp_path: Path) -> Path:
    cells = made_cells(40)
    frame = pd.DataFrame({"id": range(40), "expert": cells["reference"], "dl": cells["test"], "eye": cells["visual"]})
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_parquet(tmp_path / "table.parquet")
    (tmp_path / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path / "table.csv"


def _agreement(calcmap: Calcmap, table: Path, *more: object, test: str = "dl"):  # noqa: ANN202 - of the fixture
    out, config = table.parent / "out", table.parent / "settings.toml"
    return calcmap("agreement", table, "--reference", "expert", "--test", test, "--config", config, "-o", out, *more)


def test_a_table_becomes_a_folder(calcmap: Calcmap, table: Path) -> None:
    ran = _agreement(calcmap, table, "--visual", "eye")
    assert ran.code == 0, ran.err
    assert "kappa" in ran.out
    assert "research use only" in " ".join(ran.out.split())
    written = {path.name for path in (table.parent / "out").iterdir()}
    assert written == {"agreement.json", "report.html", "tables", "figures", "checklists"}


def test_json_is_what_was_written_and_parquet_gives_the_same(calcmap: Calcmap, table: Path) -> None:
    ran = _agreement(calcmap, table, "--json")
    whole = json.loads(ran.out)
    assert whole == json.loads((table.parent / "out" / "agreement.json").read_text(encoding="utf-8"))
    again = json.loads(_agreement(calcmap, table.with_suffix(".parquet"), "--json").out)
    assert again["kappa_linear"] == whole["kappa_linear"]
    assert again["settings"]["draws"] == 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("dl", 3, ""), "column 'dl': 1 of 40 values are missing, row 4 first"),
        (("dl", 3, "high"), "column 'dl' holds 'high' (row 4), expected a score of 0 or more"),
        (("dl", 3, "-5"), "column 'dl' holds '-5"),
        (("id", 3, "0"), "column 'id': 1 identifiers stand in more than one row; row 1 and row 4 are the first"),
    ],
)
def test_a_bad_table_is_one_clear_line(
    calcmap: Calcmap, table: Path, change: tuple[str, int, str], message: str
) -> None:
    column, row, cell = change
    frame = pd.read_csv(table, dtype=str)
    frame.loc[row, column] = cell
    frame.to_csv(table, index=False)
    ran = _agreement(calcmap, table)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert message in ran.err
    assert not (table.parent / "out").exists()


def test_a_column_that_is_not_there_is_named_with_those_that_are(calcmap: Calcmap, table: Path) -> None:
    ran = _agreement(calcmap, table, test="nothing")
    assert ran.code == 2
    assert "the table has no column 'nothing'; it has id, expert, dl, eye" in ran.err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.csv", None, "there is no table"),
        ("table.xlsx", "", "expected .csv or .parquet"),
        ("empty.csv", "", "is not a CSV table"),
        ("header.csv", "id,expert,dl\n", "has no rows"),
        ("one.csv", "id,expert,dl\n1,0,5\n", "at least 2 patients with every reading, got 1 of 1 rows"),
        ("twice.csv", "id,dl,dl\n1,0,5\n", "has the column 'dl' more than once"),
        ("torn.csv", 'id,expert,dl\n1,0,5,6,7\n2,3\n"', "is not a CSV table"),
        ("bytes.csv", "id,expert,dl\n\udcff,0,5\n", "is not a CSV table"),
        ("text.parquet", "id,expert,dl\n1,0,5\n", "is not a Parquet table"),
    ],
)
def test_a_file_that_is_no_table_is_one_clear_line(
    calcmap: Calcmap, table: Path, name: str, text: str | None, message: str
) -> None:
    path = table.parent / name
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    ran = _agreement(calcmap, path)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert message in ran.err


def test_unknown_settings_are_all_listed(calcmap: Calcmap, table: Path) -> None:
    (table.parent / "settings.toml").write_text("drawn = 5\nlevel = 3\n", encoding="utf-8")
    ran = _agreement(calcmap, table)
    assert ran.code == 2
    assert "unknown key drawn (did you mean draws?); unknown key level" in ran.err
