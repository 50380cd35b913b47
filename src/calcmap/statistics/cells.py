"""The cells of a table's column: missing, words, numbers and their levels, and what to say of one that is wrong.

A cell is whatever a table holds. A message names the column, the cell and its row, never a patient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calcmap.core.errors import InputError
from calcmap.core.volume import BoolArray, Float64Array

Cells = Sequence[object]
"""Of one column; ``None``, NaN and blank text are missing."""

SHOWN = 40
"""Letters of a cell that a message repeats, at most."""


def are_missing(cells: Cells) -> BoolArray:
    """Return which cells hold no value, shape (n,)."""
    return np.array([not word_of(cell) for cell in cells], dtype=np.bool_)


def words_of(cells: Cells) -> NDArray[np.str_]:
    """Return each cell as `word_of` gives it, shape (n,)."""
    return np.array([word_of(cell) for cell in cells], dtype=np.str_)


def word_of(cell: object) -> str:
    """Return a cell as a word, empty where it is missing; a whole number has no decimal point.

    A column of whole numbers with one missing cell is read as decimal numbers: its 1.0 is the word 1.
    """
    if cell is None or (isinstance(cell, float | np.floating) and math.isnan(cell)):
        return ""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip()


def number_of(cell: object) -> float | None:
    """Return a cell as a number, ``None`` where it is none; text that is a number is one, true and false are not."""
    if isinstance(cell, bool | np.bool_):
        return None
    try:
        return float(cell)  # type: ignore[arg-type]  # whatever a table holds; what is no number says so
    except (TypeError, ValueError):
        return None


def numbers_of(cells: Cells, *, name: str, expected: str, least: float = -math.inf) -> Float64Array:
    """Return the cells as numbers, NaN where missing, shape (n,).

    Parameters
    ----------
    cells : sequence
        Of one column.
    name : str
        Of the column, for the message.
    expected : str
        What its cells should hold, for the message.
    least : float
        The lowest number that may stand there.

    Returns
    -------
    ndarray of float64
        One a cell.

    Raises
    ------
    InputError
        A cell is no number, not finite, or below ``least``.
    """
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if not word_of(cell):
            continue
        number = number_of(cell)
        if number is None or not math.isfinite(number) or number < least:
            raise InputError(complaint(cells, row, name=name, expected=expected))
        values[row] = number
    return values


def levels_of(values: ArrayLike, cuts: Sequence[float]) -> NDArray[np.int64]:
    """Return the level of each number, not rounded first, of its own shape; NaN is in level 0.

    The first cut is the lowest number of level 1, what is below is level 0; each other cut is the highest number of the
    level under it. Without cuts all are level 0.
    """
    numbers = np.asarray(values, dtype=np.float64)
    levels = np.zeros(numbers.shape, dtype=np.int64)
    for k, cut in enumerate(cuts):
        levels += numbers >= cut if k == 0 else numbers > cut
    return levels


def check_ids(cells: Cells, *, name: str) -> None:
    """Raise `InputError` where an identifier is missing or comes twice; the message gives rows, never the identifier.

    A patient who counts twice would make every interval too narrow.
    """
    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(cells):
        rows.setdefault(word_of(cell), []).append(row)
    missing = rows.pop("", [])
    if missing:
        raise InputError(f"column {name!r}: {len(missing)} identifiers are missing, {row_name(missing[0])} first")
    twice = [held for held in rows.values() if len(held) > 1]
    if twice:
        first, second = (row_name(row) for row in twice[0][:2])
        raise InputError(
            f"column {name!r}: {len(twice)} identifiers stand in more than one row; {first} and {second} are the "
            "first; expected one row a patient"
        )


def complaint(cells: Cells, row: int, *, name: str, expected: str) -> str:
    """Return what is wrong with a cell: column, cell, row, and what it should hold."""
    return f"column {name!r} holds {str(cells[row])[:SHOWN]!r} ({row_name(row)}), expected {expected}"


def row_name(index: int | np.intp) -> str:
    """Return the number of a row as people count them, the header not among them."""
    return f"row {int(index) + 1}"
