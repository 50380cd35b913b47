from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cli.conftest import Calcmap
from ct_series import HEADER, ct_images, save


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    save(ct_images(header=replace(HEADER, description="CTAC [/b] 5.0")), folder)
    topogram = replace(HEADER, seed="t", study_seed="a", description="Topogram", series_number=2)
    images = ct_images(header=topogram)[:1]
    images[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(images, folder, prefix="t")
    (folder / "broken.dcm").write_bytes(b"")
    return folder


def test_every_series_is_shown_with_its_reason(calcmap: Calcmap, study: Path) -> None:
    ran = calcmap("series", study)
    assert (ran.code, ran.err) == (0, "")
    for words in ("chosen", "rejected", "Topogram", "problem", "study"):
        assert words in ran.out


def test_json_holds_candidates_and_problems(calcmap: Calcmap, study: Path) -> None:
    ran = calcmap("series", study, "--json")
    (found,) = json.loads(ran.out)
    assert found["chosen"] == HEADER.series_uid
    assert {candidate["verdict"] for candidate in found["candidates"]} == {"chosen", "rejected"}
    assert all(candidate["reason"] for candidate in found["candidates"])
    assert "CTAC [/b] 5.0" in [candidate["description"] for candidate in found["candidates"]]
    assert [(problem["file"], problem["code"]) for problem in found["problems"]] == [("broken.dcm", "unreadable_file")]


def test_a_study_without_a_series_to_score_ends_with_three(calcmap: Calcmap, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here", encoding="utf-8")
    ran = calcmap("series", tmp_path, "--json")
    (found,) = json.loads(ran.out)
    assert (ran.code, found["chosen"], found["refusal"]["code"]) == (3, None, "no_scorable_series")
    shown = calcmap("series", tmp_path)
    assert shown.code == 3
    assert f"calcmap: {tmp_path.name}: no series to score: {found['refusal']['reason']}" in shown.err


def test_a_series_can_be_asked_for_and_is_looked_for_in_every_study(
    calcmap: Calcmap, study: Path, tmp_path: Path
) -> None:
    other = save(ct_images(header=replace(HEADER, seed="b")), tmp_path / "other")
    assert calcmap("series", study, "--series", HEADER.series_uid).code == 0
    ran = calcmap("series", study, other, "--series", HEADER.series_uid, "--json")
    without, having = json.loads(ran.out)
    assert (ran.code, without["study"], having["study"]) == (3, "other", "study")
    assert (without["chosen"], without["refusal"]["code"]) == (None, "series_not_found")
    assert (having["chosen"], having["refusal"]) == (HEADER.series_uid, None)
