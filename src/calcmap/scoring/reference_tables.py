"""Published population tables, read from the package once and when first needed."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class HoffTable:
    """Agatston scores at given percentiles by sex and age group (Hoff 2001)."""

    percentiles: tuple[int, ...]
    age_groups: tuple[str, ...]
    age_from_years: tuple[int, ...]
    """Youngest completed year of each group."""
    agatston: dict[str, tuple[tuple[int, ...], ...]]
    """By sex ``"M"`` or ``"F"``: one row an age group, one number a percentile."""


@dataclass(frozen=True)
class MesaTable:
    """Agatston scores at given percentiles by sex, ethnicity and age (McClelland 2006)."""

    percentiles: tuple[int, ...]
    age_years: tuple[int, ...]
    """Ages that the rows stand for: the middles of the published ten-year groups."""
    agatston: dict[str, tuple[tuple[int, ...], ...]]
    """By group, e.g. ``"white_M"``: one row an age, one number a percentile."""
    nonzero_from_years: int
    nonzero_percent: dict[str, tuple[int, ...]]
    """By group: share of people with a score above 0, %, one number a year of age."""


@dataclass(frozen=True)
class ChdTable:
    """Coefficients of the ten-year coronary risk (McClelland 2015)."""

    with_calcium: dict[str, float]
    without_calcium: dict[str, float]


@functools.cache
def hoff_table() -> HoffTable:
    """Return the table of Hoff 2001."""
    table = _read("hoff2001")
    return HoffTable(
        percentiles=tuple(table["percentiles"]),
        age_groups=tuple(table["age_groups"]),
        age_from_years=tuple(table["age_from_years"]),
        agatston=_rows(table["agatston"]),
    )


@functools.cache
def mesa_table() -> MesaTable:
    """Return the table of McClelland 2006 with the share of nonzero scores by age."""
    table = _read("mesa2006")
    return MesaTable(
        percentiles=tuple(table["percentiles"]),
        age_years=tuple(table["age_years"]),
        agatston=_rows(table["agatston"]),
        nonzero_from_years=table["age_from_years"],
        nonzero_percent={group: tuple(shares) for group, shares in table["nonzero_percent"].items()},
    )


@functools.cache
def chd_table() -> ChdTable:
    """Return the coefficients of McClelland 2015."""
    table = _read("mesa2015_chd")
    return ChdTable(with_calcium=table["with_calcium"], without_calcium=table["without_calcium"])


# Any: what JSON holds is known only by the file's name; each reader above gives it its type.
def _read(name: str) -> dict[str, Any]:
    text = resources.files("calcmap.scoring").joinpath("tables", f"{name}.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def _rows(groups: dict[str, list[list[int]]]) -> dict[str, tuple[tuple[int, ...], ...]]:
    return {group: tuple(tuple(row) for row in rows) for group, rows in groups.items()}
