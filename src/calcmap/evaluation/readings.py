"""A reader's column of a table: scores, category numbers or category names, told apart, checked and cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import Float64Array
from calcmap.statistics.cells import Cells, are_missing, levels_of, number_of, numbers_of, row_name

Categories = NDArray[np.int64]

PAPER_NAMES = ("0", "1-100", "101-400", ">400")
PAPER_CUTS = (1.0, 100.0, 400.0)
"""Miller et al. 2023; its table calls the first group "CAC < 1"."""


class ReadingKind(StrEnum):
    """What the cells of a column are."""

    AUTO = "auto"
    """To be told from the cells: category names, or whole numbers that are all category numbers, or else scores."""
    SCORE = "score"
    """Agatston scores, 0 or more."""
    CATEGORY = "category"
    """Category numbers from 0, or their names."""


@dataclass(frozen=True)
class CategoryScheme:
    """Categories of calcium scores, ascending."""

    names: tuple[str, ...] = PAPER_NAMES
    cuts: tuple[float, ...] = PAPER_CUTS
    """One fewer than names. The first is the lowest score of category 1, any below is category 0; each other is the
    highest score of the category under it."""

    def __post_init__(self) -> None:
        """Refuse names and cuts that do not fit, all complaints at once."""
        wrong = []
        if len(self.names) < 2 or len(self.cuts) != len(self.names) - 1:
            wrong.append(f"categories: {len(self.names)} names and {len(self.cuts)} cuts, expected one cut fewer")
        if len(set(self.names)) != len(self.names):
            wrong.append(f"categories.names: {', '.join(self.names)} has a name twice")
        if any(not math.isfinite(cut) or cut <= 0 for cut in self.cuts) or list(self.cuts) != sorted(set(self.cuts)):
            wrong.append(f"categories.cuts are {list(self.cuts)}, expected positive numbers, ascending")
        if wrong:
            raise ConfigError("; ".join(wrong))

    def of_scores(self, scores: ArrayLike) -> Categories:
        """Return the category of each score, not rounded first: with the paper's cuts 0.9 is 0, 100.4 is 2."""
        return levels_of(scores, self.cuts)


@dataclass(frozen=True)
class Reading:
    """One reader's answers, one for each patient."""

    name: str
    """Of the column."""
    kind: ReadingKind
    """What the cells were; never ``auto``."""
    categories: Categories
    """0 to the number of categories less one, shape (patients,)."""
    scores: Float64Array | None
    """``None`` where the column held categories."""


def read_reading(
    cells: Cells,
    *,
    name: str,
    scheme: CategoryScheme,
    kind: ReadingKind = ReadingKind.AUTO,
    names: tuple[str, ...] = (),
) -> Reading:
    """Return the reading in a column that has no missing cells.

    Parameters
    ----------
    cells : sequence
        Numbers or text, one a patient; text that is a number is a number.
    name : str
        Of the column, for messages.
    scheme : CategoryScheme
        Names and cuts.
    kind : ReadingKind
        What the cells are.
    names : tuple of str
        Words this reader uses for the categories, ascending, instead of the scheme's.

    Returns
    -------
    Reading
        Categories of all cells, and scores where they were scores.

    Raises
    ------
    InputError
        A cell is missing, negative, infinite, neither a number nor a category's name, or no category number where
        categories were asked for.

    Notes
    -----
    Scores that are all whole and below the number of categories look like category numbers and are taken for them:
    name the kind for such a column.
    """
    missing = np.flatnonzero(are_missing(cells))
    if missing.size:
        first = row_name(missing[0])
        raise InputError(f"column {name!r}: {missing.size} of {len(cells)} values are missing, {first} first")
    words = names or scheme.names
    if kind is not ReadingKind.SCORE and _are_names(cells, words):
        numbers = {word: number for number, word in enumerate(words)}
        found = np.array([numbers[str(cell).strip()] for cell in cells], dtype=np.int64)
        return Reading(name, ReadingKind.CATEGORY, found, None)
    expected = "a score of 0 or more" if kind is not ReadingKind.CATEGORY else f"a category: {', '.join(words)}"
    values = numbers_of(cells, name=name, expected=expected, least=0.0)
    are_numbers_of_categories = bool(np.all((values == np.round(values)) & (values < len(scheme.names))))
    if kind is ReadingKind.CATEGORY and not are_numbers_of_categories:
        odd = int(np.flatnonzero((values != np.round(values)) | (values >= len(scheme.names)))[0])
        raise InputError(
            f"column {name!r} holds {values[odd]:g} ({row_name(odd)}), expected a category 0 to {len(scheme.names) - 1}"
        )
    if kind is ReadingKind.CATEGORY or (kind is ReadingKind.AUTO and are_numbers_of_categories):
        return Reading(name, ReadingKind.CATEGORY, values.astype(np.int64), None)
    return Reading(name, ReadingKind.SCORE, scheme.of_scores(values), values)


def _are_names(cells: Cells, words: tuple[str, ...]) -> bool:
    texts = [str(cell).strip() for cell in cells]
    return set(texts) <= set(words) and not all(number_of(text) is not None for text in texts)
