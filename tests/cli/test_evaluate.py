from __future__ import annotations

import json
from pathlib import Path

import pytest

from calcmap.io.cases import Case, write_case
from cli.conftest import Calcmap
from scored_chest import scored_chest
from stub_networks import write_networks


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    volume, labels = scored_chest()
    write_case(tmp_path / "cases" / "a", volume, labels, Case("a", "made", "Apache-2.0"))
    write_case(tmp_path / "cases" / "b", volume, labels, Case("b", "made", "Apache-2.0", reference_range=(0.0, 500.0)))
    return tmp_path / "cases"


@pytest.mark.usefixtures("stub_cascade")
def test_cases_are_compared_and_written(calcmap: Calcmap, cases: Path, tmp_path: Path) -> None:
    ran = calcmap("evaluate", "--data", cases, "-o", tmp_path / "out")
    assert ran.code == 0
    assert "2 -> 2" in ran.out
    assert "no linear weighted kappa: both readers put every case into one category" in " ".join(ran.out.split())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"evaluation.json", "cases.csv"}


@pytest.mark.usefixtures("stub_cascade")
def test_json_is_what_was_written(calcmap: Calcmap, cases: Path, tmp_path: Path) -> None:
    ran = calcmap("evaluate", "--data", cases, "-o", tmp_path / "out", "--json")
    assert json.loads(ran.out) == json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert json.loads(ran.out)["n"] == 2


def test_kappa_is_shown_with_its_interval(calcmap: Calcmap, cases: Path, tmp_path: Path) -> None:
    # The stub networks call the whole body a heart and find calcium in it: some answer, not a good one.
    case = json.loads((cases / "b" / "case.json").read_text(encoding="utf-8")) | {"reference_range": [0.0, 0.0]}
    (cases / "b" / "case.json").write_text(json.dumps(case), encoding="utf-8")
    ran = calcmap(
        "evaluate", "--data", cases, "-o", tmp_path / "out", "--weights", write_networks(tmp_path / "networks")
    )
    assert ran.code == 0
    assert "linear weighted kappa 0.00 (0.00 to 0.00)" in " ".join(ran.out.split())


def test_no_cases_or_no_networks_end_with_two(calcmap: Calcmap, cases: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for data, weights in ((cases, tmp_path / "empty"), (tmp_path / "empty", write_networks(tmp_path / "networks"))):
        ran = calcmap("evaluate", "--data", data, "-o", tmp_path / "out", "--weights", weights)
        assert ran.code == 2
        assert ran.err.count("calcmap:") == 1
