"""How far a scorer's answers are from the right ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

from calcmap.core.errors import InputError
from calcmap.core.volume import BoolArray, Volume
from calcmap.scoring.agatston import score_mask
from calcmap.scoring.conformance.cases import Answer, build_case, load_cases, suite_mass_factor
from calcmap.scoring.rules import get_profile

ANSWER_TOLERANCE = 1e-5
"""Absolute, in the unit of each answer: they are written with six decimals (our choice)."""

CASE_COLUMN = "case"
ANSWER_COLUMNS = tuple(field.name for field in fields(Answer))
REQUIRED_COLUMN = "agatston"

Scorer: TypeAlias = Callable[[Volume, BoolArray], Answer]
"""A scan and its mask in, an answer out."""


@dataclass(frozen=True)
class CaseOutcome:
    """One case compared."""

    case_id: str
    differences: tuple[str, ...]
    """One sentence for each answer that is wrong; empty when the case passed."""

    @property
    def is_passed(self) -> bool:
        """Whether everything the scorer said is right."""
        return not self.differences


@dataclass(frozen=True)
class ConformanceReport:
    """Every case of the suite compared under one profile."""

    profile: str
    outcomes: tuple[CaseOutcome, ...]

    @property
    def failed(self) -> tuple[CaseOutcome, ...]:
        """The cases that did not pass, in the order of the suite."""
        return tuple(outcome for outcome in self.outcomes if not outcome.is_passed)

    @property
    def is_passed(self) -> bool:
        """Whether every case passed."""
        return not self.failed


def run_suite(scorer: Scorer, *, profile: str) -> ConformanceReport:
    """Return how a scorer does on every case.

    Parameters
    ----------
    scorer : callable
        Takes a `Volume` and a bool mask (slices, rows, columns); returns an `Answer`.
    profile : str
        The rule the scorer claims to follow.

    Returns
    -------
    ConformanceReport
        One outcome a case.

    Raises
    ------
    ConfigError
        The suite has no answers for the profile.
    """
    return compare_results({case.id: scorer(*build_case(case)) for case in load_cases()}, profile=profile)


def calcmap_scorer(profile: str) -> Scorer:
    """Return CalcMap's own scorer under a profile, ready for `run_suite`.

    Raises
    ------
    ConfigError
        There is no such profile.
    """
    rule = get_profile(profile)

    def score(volume: Volume, mask_zyx: BoolArray) -> Answer:
        coronary = score_mask(volume, mask_zyx, rule=rule, mass_factor=suite_mass_factor()).coronary
        return Answer(coronary.agatston, coronary.volume_mm3, coronary.n_lesions, coronary.mass_mg)

    return score


def compare_results(results: Mapping[str, Answer], *, profile: str) -> ConformanceReport:
    """Return which answers are right under a profile.

    A case without a result has not passed. What a scorer leaves out (``None``) is not held against it, the Agatston
    score excepted, which every answer has. Answers are right within ``ANSWER_TOLERANCE``.

    Parameters
    ----------
    results : mapping of str to Answer
        By case id.
    profile : str
        The rule that the answers claim to follow.

    Returns
    -------
    ConformanceReport
        One outcome for every case of the suite.

    Raises
    ------
    ConfigError
        The suite has no answers for the profile.
    InputError
        A result names a case that the suite does not have; all such are listed.
    """
    cases = load_cases()
    strangers = sorted(set(results) - {case.id for case in cases})
    if strangers:
        raise InputError(f"the conformance suite has no case {', '.join(map(repr, strangers))}")
    return ConformanceReport(
        profile=profile,
        outcomes=tuple(CaseOutcome(c.id, _differences(results.get(c.id), c.answer(profile))) for c in cases),
    )


def expected_rows(profile: str) -> list[dict[str, str]]:
    """Return the right answers as table rows: case, agatston, volume_mm3, n_lesions, mass_mg, arithmetic, about.

    Parameters
    ----------
    profile : str
        The rule to answer for.

    Returns
    -------
    list of dict
        One row a case; an answer that the suite does not give is empty.

    Raises
    ------
    ConfigError
        The suite has no answers for the profile.
    """
    rows = []
    for case in load_cases():
        answer = case.answer(profile)
        given = {name: getattr(answer, name) for name in ANSWER_COLUMNS}
        # Nine digits hold six decimals of every answer without the noise of binary fractions.
        texts = {name: "" if value is None else f"{value:.9g}" for name, value in given.items()}
        rows.append({CASE_COLUMN: case.id, **texts, "arithmetic": case.arithmetic[profile], "about": case.about})
    return rows


def answers_from_rows(rows: Iterable[Mapping[str, str]]) -> dict[str, Answer]:
    """Return another program's answers from the rows of its table.

    Parameters
    ----------
    rows : iterable of mapping
        Columns ``case`` and ``agatston``, and if wanted ``volume_mm3``, ``n_lesions``, ``mass_mg``; other columns are
        ignored, empty cells mean no answer.

    Returns
    -------
    dict of str to Answer
        By case id.

    Raises
    ------
    InputError
        A row lacks its case or Agatston score, names a case twice, or holds something that is no finite number; every
        such row is listed.
    """
    answers: dict[str, Answer] = {}
    complaints = []
    for number, row in enumerate(rows, start=1):
        case_id = (row.get(CASE_COLUMN) or "").strip()
        try:
            if not case_id or case_id in answers:
                raise ValueError(f"case {case_id!r} is missing or given twice")
            answers[case_id] = _parsed(row)
        except ValueError as error:
            complaints.append(f"row {number}: {error}")
    if complaints:
        raise InputError("; ".join(complaints))
    return answers


def _parsed(row: Mapping[str, str]) -> Answer:
    cells = {name: (row.get(name) or "").strip() for name in ANSWER_COLUMNS}
    if not cells[REQUIRED_COLUMN]:
        raise ValueError(f"no {REQUIRED_COLUMN}")
    numbers = {name: float(cell) for name, cell in cells.items() if cell}
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError(f"not finite: {numbers}")
    n_lesions = numbers.pop("n_lesions", None)
    if n_lesions is not None and not n_lesions.is_integer():
        raise ValueError(f"n_lesions is {n_lesions}, expected a whole number")
    return Answer(**numbers, n_lesions=None if n_lesions is None else int(n_lesions))


def _differences(got: Answer | None, want: Answer) -> tuple[str, ...]:
    if got is None:
        return ("no result",)
    return tuple(
        f"{name} is {getattr(got, name):.6g}, expected {getattr(want, name):.6g}"
        for name in ANSWER_COLUMNS
        if getattr(got, name) is not None
        and getattr(want, name) is not None
        and not abs(getattr(got, name) - getattr(want, name)) <= ANSWER_TOLERANCE
    )
