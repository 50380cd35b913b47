from __future__ import annotations

import json
from pathlib import Path

import pytest

from calcmap.cohorts.order import ORDER_FILE, open_cohort
from calcmap.core.errors import ConfigError, OutputError


def test_the_same_order_opens_its_folder_again(tmp_path: Path) -> None:
    open_cohort(tmp_path / "cohort", {"site": "pet_ct", "seed": 1})
    before = (tmp_path / "cohort" / ORDER_FILE).read_bytes()
    open_cohort(tmp_path / "cohort", {"site": "pet_ct", "seed": 1})
    assert (tmp_path / "cohort" / ORDER_FILE).read_bytes() == before


def test_another_order_is_refused_with_what_differs(tmp_path: Path) -> None:
    open_cohort(tmp_path, {"site": "pet_ct", "seed": 1})
    with pytest.raises(ConfigError, match="seed is 1 there, 2 here"):
        open_cohort(tmp_path, {"site": "pet_ct", "seed": 2})


def test_another_simulator_does_not_go_on(tmp_path: Path) -> None:
    open_cohort(tmp_path, {"seed": 1})
    record = json.loads((tmp_path / ORDER_FILE).read_text())
    (tmp_path / ORDER_FILE).write_text(json.dumps({**record, "simulation_version": -1}))
    with pytest.raises(ConfigError, match="simulation_version is -1 there"):
        open_cohort(tmp_path, {"seed": 1})


@pytest.mark.parametrize("text", ["", "[]", "not json"])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / ORDER_FILE).write_text(text)
    with pytest.raises(ConfigError, match="no record of a cohort"):
        open_cohort(tmp_path, {"seed": 1})


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        open_cohort(tmp_path / "file" / "cohort", {"seed": 1})
