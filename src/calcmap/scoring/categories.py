"""From a score to its category."""

from __future__ import annotations

import math
from typing import Literal

from calcmap.core.errors import InputError
from calcmap.core.result import Category

PAPER_NAMES = ("0", "1-100", "101-400", ">400")
"""The four categories of Miller et al. 2023, ascending calcium."""

PAPER_LOWEST_OF_ONE = 1.0
"""Scores below this are category 0: the paper's table calls its first group "CAC < 1"."""

PAPER_HIGHEST_OF_ONE = 100.0
PAPER_HIGHEST_OF_TWO = 400.0

CacDrsGrade = Literal["A0", "A1", "A2", "A3"]

CAC_DRS_LOWEST: tuple[tuple[CacDrsGrade, float], ...] = (("A3", 300.0), ("A2", 100.0), ("A1", 1.0))
"""Lowest whole score of each grade (Hecht 2018): A1 1-99, A2 100-299, A3 300 and more."""

N_VESSELS = 4
"""LM, LAD, LCx and RCA."""


def paper_category(agatston: float, *, n_vessels: int | None = None) -> Category:
    """Return the category of a coronary Agatston score, with CAC-DRS beside it.

    Index 0 below 1, index 1 from 1 to 100, index 2 above 100 to 400, index 3 above 400; higher is more calcium. Scores
    are not rounded first: 100.0 is category 1, 100.4 is category 2, 400.0 is category 2, 0.9 is category 0.

    Parameters
    ----------
    agatston : float
        Coronary Agatston score, 0 or more.
    n_vessels : int, optional
        Coronary vessels with calcium, 0 to 4, where they are known.

    Returns
    -------
    Category
        Index 0 to 3, the paper's name, and e.g. ``"CAC-DRS A2/N3"``, or ``"CAC-DRS A2"`` without vessels.

    Raises
    ------
    InputError
        The score is negative or not finite, or the number of vessels is not 0 to 4.

    Notes
    -----
    The paper states whole scores (1-100, 101-400) and leaves 100 < score < 101 open. A score above 100 goes up, so
    that the upper end of each category is what its name says. The two schemes cut at different scores: 100.0 is
    category 1 and CAC-DRS A2.

    References
    ----------
    .. [1] Miller et al., J Nucl Med 2023;64:652-658.
    .. [2] Hecht et al., J Cardiovasc Comput Tomogr 2018;12:185-191.
    """
    check_score(agatston)
    index = (agatston >= PAPER_LOWEST_OF_ONE) + (agatston > PAPER_HIGHEST_OF_ONE) + (agatston > PAPER_HIGHEST_OF_TWO)
    return Category(index=int(index), name=PAPER_NAMES[index], cac_drs=cac_drs(agatston, n_vessels=n_vessels))


def cac_drs(agatston: float, *, n_vessels: int | None = None) -> str:
    """Return the CAC-DRS of a score, e.g. ``"CAC-DRS A2/N3"``; without vessels the N part is left out.

    A0 below 1, A1 from 1, A2 from 100, A3 from 300; the score is not rounded, so 99.9 is A1.

    Parameters
    ----------
    agatston : float
        Coronary Agatston score, 0 or more.
    n_vessels : int, optional
        Coronary vessels with calcium, 0 to 4.

    Returns
    -------
    str
        Grade, and vessels where known.

    Raises
    ------
    InputError
        As `paper_category`.

    References
    ----------
    .. [1] Hecht et al., J Cardiovasc Comput Tomogr 2018;12:185-191. Reading its whole scores as lower limits of
       unrounded ones is our choice.
    """
    check_score(agatston)
    grade: CacDrsGrade = next((grade for grade, lowest in CAC_DRS_LOWEST if agatston >= lowest), "A0")
    if n_vessels is None:
        return f"CAC-DRS {grade}"
    if not 0 <= n_vessels <= N_VESSELS:
        raise InputError(f"the number of vessels with calcium is {n_vessels}, expected 0 to {N_VESSELS}")
    return f"CAC-DRS {grade}/N{n_vessels}"


def check_score(agatston: float) -> None:
    """Raise `InputError` unless the score is a finite number of 0 or more."""
    if not (math.isfinite(agatston) and agatston >= 0):
        raise InputError(f"an Agatston score is a finite number of 0 or more, got {agatston}")
