"""From the cells of a table to numbers: endpoints, readings, covariates and filters, as the settings name them.

Every cell is looked at once. What is missing is kept as missing (NaN, or -1 among codes) for the rule that the settings
name; what is wrong is refused with one line that names the column, the cell and its row, never a patient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcmap.core.errors import InputError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.prognosis.config import (
    CategoryVariable,
    Covariate,
    CovariateKind,
    Endpoint,
    Filter,
    PrognosisSettings,
)
from calcmap.statistics.cells import Cells, check_ids, complaint, levels_of, numbers_of, words_of

Codes = NDArray[np.int64]

YES_WORDS, NO_WORDS = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})
"""What a yes/no cell may hold where the settings name no word, in any case."""


@dataclass(frozen=True, eq=False)
class CodedEndpoint:
    """One endpoint of all rows; NaN where a cell is missing."""

    time: Float64Array
    event: Float64Array
    """1 happened, 0 did not."""
    competing: Float64Array | None
    """1 if another event ended the follow-up."""


@dataclass(frozen=True, eq=False)
class CodedTable:
    """All rows of the table as numbers, shape (n,) each."""

    n: int
    endpoints: Mapping[str, CodedEndpoint]
    """By name."""
    readings: Mapping[str, Codes]
    """By name: number of the level, -1 where missing."""
    scores: Mapping[str, Float64Array]
    """By name, for readings whose column holds scores; NaN where missing."""
    covariates: Mapping[str, Float64Array]
    """By column: numbers as in the table, yes/no as 1 and 0, categories as the number of the level; NaN is missing."""
    keeps: Mapping[str, Mapping[str, BoolArray]]
    """By sensitivity analysis, by column: who passes its filters."""
    stratum: NDArray[np.str_] | None
    """Words; empty where missing."""
    cluster: NDArray[np.str_] | None


def code_table(cells: Mapping[str, Cells], settings: PrognosisSettings) -> CodedTable:
    """Return the columns that the settings name as numbers.

    Parameters
    ----------
    cells : mapping of str to sequence
        By column, at least those of ``settings.columns``, all of one length.
    settings : PrognosisSettings
        Which column is what.

    Returns
    -------
    CodedTable
        All rows; nobody is left out yet.

    Raises
    ------
    InputError
        A column is not there or of another length; an identifier is missing or comes twice; a cell is no time of 0 or
        more, no yes or no, no score, no level or no number, as its column must hold.
    """
    absent = [name for name in settings.columns if name not in cells]
    if absent:
        raise InputError(f"the table has no column {absent[0]!r}")
    lengths = {len(cells[name]) for name in settings.columns}
    if len(lengths) > 1:
        raise InputError(f"columns differ in length: {sorted(lengths)}")
    if settings.id is not None:
        check_ids(cells[settings.id], name=settings.id)
    return CodedTable(
        n=lengths.pop(),
        endpoints={each.name: _endpoint(cells, each) for each in settings.endpoints},
        readings={each.name: reading_codes(cells[each.column], each) for each in settings.categories},
        scores={each.name: _scores(cells[each.column], each) for each in settings.categories if each.cuts},
        covariates={each.column: covariate_values(cells[each.column], each) for each in settings.covariates},
        keeps={each.name: _keeps(cells, each.keep) for each in settings.sensitivities},
        stratum=None if settings.strata is None else words_of(cells[settings.strata]),
        cluster=None if settings.cluster is None else words_of(cells[settings.cluster]),
    )


def reading_codes(cells: Cells, reading: CategoryVariable) -> Codes:
    """Return the level of each cell, 0 to the number of levels less one, and -1 where it is missing.

    Parameters
    ----------
    cells : sequence
        Scores where the reading has cuts; else words of its levels, or their numbers from 0.
    reading : CategoryVariable
        Levels and cuts.

    Returns
    -------
    ndarray of int64, shape (n,)
        Scores are not rounded first: with the paper's cuts 0.9 is level 0, 100.4 level 2.

    Raises
    ------
    InputError
        A cell is negative, not finite or no number where scores are expected; or no level.
    """
    if reading.cuts:
        scores = _scores(cells, reading)
        return np.where(np.isnan(scores), -1, levels_of(scores, reading.cuts))
    return _level_codes(cells, reading.levels, name=reading.column, may_be_numbers=True)


def covariate_values(cells: Cells, covariate: Covariate) -> Float64Array:
    """Return a covariate as numbers, NaN where a cell is missing, shape (n,).

    Parameters
    ----------
    cells : sequence
        Of its column.
    covariate : Covariate
        Its kind, and the words of it.

    Returns
    -------
    ndarray of float64
        Numbers as they are (neither transformed nor divided), yes as 1 and no as 0, categories as the level's number.

    Raises
    ------
    InputError
        A cell is not of the covariate's kind; or a yes/no column with its own word for yes holds more than one other.
    """
    name = covariate.column
    if covariate.kind is CovariateKind.CATEGORY:
        codes = _level_codes(cells, covariate.levels, name=name, may_be_numbers=False)
        return np.where(codes < 0, np.nan, codes.astype(np.float64))
    if covariate.kind is CovariateKind.NUMBER:
        return numbers_of(cells, name=name, expected="a number")
    if covariate.yes is None:
        return _flags(cells, yes=(), name=name)
    others = sorted(set(words_of(cells).tolist()) - {"", covariate.yes})
    if len(others) > 1:
        raise InputError(f"column {name!r} holds {', '.join(others[:4])} beside {covariate.yes!r}, expected one word")
    return _flags(cells, yes=(covariate.yes,), name=name)


def _endpoint(cells: Mapping[str, Cells], endpoint: Endpoint) -> CodedEndpoint:
    time = numbers_of(cells[endpoint.time], name=endpoint.time, expected="a time of 0 or more", least=0.0)
    event = _flags(cells[endpoint.event], yes=endpoint.yes, name=endpoint.event)
    other = endpoint.competing
    return CodedEndpoint(time, event, None if other is None else _flags(cells[other], yes=(), name=other))


def _scores(cells: Cells, reading: CategoryVariable) -> Float64Array:
    return numbers_of(cells, name=reading.column, expected="a score of 0 or more", least=0.0)


def _keeps(cells: Mapping[str, Cells], filters: tuple[Filter, ...]) -> dict[str, BoolArray]:
    found: dict[str, BoolArray] = {}
    for each in filters:
        passes = _passes(cells[each.column], each)
        found[each.column] = found[each.column] & passes if each.column in found else passes
    return found


def _passes(cells: Cells, wanted: Filter) -> BoolArray:
    words = words_of(cells)
    passes = words != ""
    if wanted.one_of:
        passes &= np.isin(words, wanted.one_of)
    if wanted.none_of:
        passes &= ~np.isin(words, wanted.none_of)
    if wanted.at_least is not None or wanted.at_most is not None:
        numbers = numbers_of(cells, name=wanted.column, expected="a number")
        with np.errstate(invalid="ignore"):
            passes &= numbers >= (-math.inf if wanted.at_least is None else wanted.at_least)
            passes &= numbers <= (math.inf if wanted.at_most is None else wanted.at_most)
    return np.asarray(passes)


def _level_codes(cells: Cells, levels: tuple[str, ...], *, name: str, may_be_numbers: bool) -> Codes:
    words = words_of(cells)
    number = {level: k for k, level in enumerate(levels)}
    by_number = {str(k): k for k in range(len(levels))}
    held = set(words.tolist()) - {""}
    if may_be_numbers and not held <= set(levels) and held <= set(by_number):
        number = by_number
    codes = np.array([number.get(word, -1) for word in words.tolist()], dtype=np.int64)
    strange = np.flatnonzero((codes < 0) & (words != ""))
    if strange.size:
        expected = f"one of {', '.join(levels)}" + (f" or 0 to {len(levels) - 1}" if may_be_numbers else "")
        raise InputError(complaint(cells, int(strange[0]), name=name, expected=expected))
    return codes


def _flags(cells: Cells, *, yes: tuple[str, ...], name: str) -> Float64Array:
    words = words_of(cells)
    if yes:
        return np.where(words == "", np.nan, np.isin(words, yes).astype(np.float64))
    plain = [word.casefold() for word in words.tolist()]
    strange = [row for row, word in enumerate(plain) if word and word not in YES_WORDS | NO_WORDS]
    if strange:
        raise InputError(complaint(cells, strange[0], name=name, expected="0 or 1, true or false, yes or no"))
    return np.array([math.nan if not word else float(word in YES_WORDS) for word in plain])
