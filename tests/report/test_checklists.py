from __future__ import annotations

import csv
from pathlib import Path

import pytest

from calcmap.core.errors import InputError
from calcmap.evaluation.study import AgreementReport, AgreementSettings, assess_agreement
from calcmap.report.checklists import (
    OF_AGREEMENT,
    OF_PROGNOSIS,
    Item,
    State,
    agreement_facts,
    filled,
    load_checklist,
    prognosis_facts,
    state_of,
    write_checklists,
)
from evaluation.agreement_readings import made_readings
from report.prognosis_studies import made_study

SETTINGS = AgreementSettings(draws=30, is_simulated=True)
N_ITEMS = {"prime": 28, "claim": 44, "tripod_ai": 52}
"""CLAIM 2024 has 44 items; TRIPOD+AI 27 with 52 letters in all; PRIME 28 in 7 sections."""


@pytest.fixture(scope="module")
def report() -> AgreementReport:
    return assess_agreement(made_readings(SETTINGS), settings=SETTINGS)


@pytest.mark.parametrize("name", OF_PROGNOSIS)
def test_a_checklist_has_its_items_once_and_says_where_they_are_from(name: str) -> None:
    checklist = load_checklist(name)
    numbers = [item.number for item in checklist.items]
    assert len(numbers) == len(set(numbers)) == N_ITEMS[name]
    assert all(item.asks and item.section for item in checklist.items)
    assert checklist.reference
    assert checklist.source
    assert checklist.unsure


def test_items_are_short_paraphrases() -> None:
    words = [len(item.asks.split()) for name in OF_PROGNOSIS for item in load_checklist(name).items]
    assert max(words) <= 18


def test_every_fact_that_an_item_asks_for_is_known_of_some_study(report: AgreementReport) -> None:
    study = made_study()
    known = {*agreement_facts(report), *prognosis_facts(study), "sensitivities", "clusters"}
    asked = {fact for name in OF_PROGNOSIS for item in load_checklist(name).items for fact in item.facts}
    assert asked <= known


def test_an_item_is_answered_in_part_when_something_is_left() -> None:
    whole = Item("1", "s", "a", ("n",), "", is_sure=True)
    part = Item("1", "s", "a", ("n",), "the reason", is_sure=True)
    both = Item("1", "s", "a", ("n", "m"), "", is_sure=True)
    assert state_of(whole, {"n": "5"}) is State.RUN
    assert state_of(whole, {"n": ""}) is State.AUTHOR
    assert state_of(part, {"n": "5"}) is State.PART
    assert state_of(both, {"n": "5"}) is State.PART
    assert state_of(Item("1", "s", "a", (), "", is_sure=True), {"n": "5"}) is State.AUTHOR


def test_ethics_and_funding_are_always_the_authors(report: AgreementReport) -> None:
    facts = agreement_facts(report) | prognosis_facts(made_study(sensitivities=()))
    rows = {row[0].removesuffix(" ?"): row for row in filled(load_checklist("tripod_ai"), facts).rows}
    for number in ("17", "18a", "18b", "18c", "18d", "25"):
        assert rows[number][3:] == (State.AUTHOR.value, "")


def test_the_numbers_of_the_run_stand_in_the_answers(report: AgreementReport) -> None:
    facts = agreement_facts(report, table_sha256="a" * 64)
    rows = {row[0]: row for row in filled(load_checklist("claim"), facts).rows}
    assert "80 simulated patients" in rows["35"][4] or "80 analysed" in rows["35"][4]
    assert "Linear weighted kappa" in rows["37"][4]
    assert "simulated" in rows["40"][4]
    assert "a" * 64 in facts["provenance"]


def test_what_is_of_the_networks_is_said_with_a_condition(report: AgreementReport) -> None:
    facts = agreement_facts(report)
    assert all(facts[name].startswith("If the scores are of the networks shipped") for name in ("networks", "training"))


def test_checklists_are_written_as_markdown_and_csv(report: AgreementReport, tmp_path: Path) -> None:
    paths = write_checklists(agreement_facts(report), tmp_path, names=OF_AGREEMENT)
    assert [path.name for path in paths] == ["prime.md", "prime.csv", "claim.md", "claim.csv"]
    with (tmp_path / "checklists" / "claim.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 45
    assert write_checklists({}, tmp_path / "none", names=()) == ()


def test_an_unknown_checklist_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="there is no checklist 'stard'"):
        load_checklist("stard")
