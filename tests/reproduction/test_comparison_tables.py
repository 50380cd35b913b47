"""The comparison's tables: each number's cell, and reasons that several rows share."""

from __future__ import annotations

import pytest

from calcmap.report.tables import TextTable
from calcmap.reproduction.comparison import ComparisonLine
from calcmap.reproduction.folder import Reproduction, comparison_tables
from calcmap.reproduction.paper import PaperNumber, Section
from calcmap.statistics.estimates import Estimate

SHARED, OWN = "'smoking' does not vary", "nobody in 101-400"


def table(*found: Estimate, section: Section = Section.ADJUSTED) -> TextTable:
    """Return the table of a section with one row for each estimate."""
    lines = tuple(
        ComparisonLine(PaperNumber(f"number_{k}", section, f"number {k}", 1.5), each) for k, each in enumerate(found)
    )
    told = Reproduction(lines, n_patients=20, refusals={}, against_labels={}, networks={}, seed=1)
    return comparison_tables(told)[section]


def unknown(reason: str) -> Estimate:
    return Estimate(None, None, None, 0, reason)


def test_a_reason_of_several_rows_is_told_once_below_the_table() -> None:
    made = table(unknown(SHARED), unknown(OWN), *[unknown(SHARED)] * 12, Estimate(1.2, None, None, 20, SHARED))

    cells = [row[2] for row in made.rows]
    assert cells == ["not known [a]", f"not known: {OWN}", *["not known [a]"] * 12, "1.20 (no interval [a])"]
    assert made.note == f"[a] {SHARED}."
    assert {row[3] for row in made.rows} == {"unknown"}


def test_each_shared_reason_has_a_letter_of_its_own_after_the_sections_note() -> None:
    made = table(*[unknown(SHARED)] * 2, *[unknown(OWN)] * 2, section=Section.RECLASSIFICATION)

    assert [row[2][-3:] for row in made.rows] == ["[a]", "[a]", "[b]", "[b]"]
    assert made.note.startswith("Continuous, by Kaplan-Meier")
    assert made.note.endswith(f". [a] {SHARED}. [b] {OWN}.")


@pytest.mark.parametrize(
    ("found", "cell"),
    [
        (Estimate(1.234, 1.0, 1.5, 20), "1.23 (1.00 to 1.50)"),
        (Estimate(1.234, None, None, 20, OWN), f"1.23 (no interval: {OWN})"),
        (unknown(OWN), f"not known: {OWN}"),
    ],
)
def test_a_reason_of_one_row_stands_in_its_cell(found: Estimate, cell: str) -> None:
    made = table(found, Estimate(1.0, 0.9, 1.1, 20, OWN))

    assert made.rows[0][2] == cell
    assert made.note == ""
