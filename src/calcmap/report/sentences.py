"""Sentences from numbers, for reports: what an interval allows to be said, and no more.

An interval that covers the value of no effect gives "no ... is shown", whatever the estimate; without an interval
nothing is claimed; what cannot be estimated is told with its reason.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from enum import Enum
from importlib import metadata

from calcmap.report.numerals import LEAST_P, between, p_value
from calcmap.statistics.estimates import Estimate


class Side(Enum):
    """Where an interval lies relative to the value of no effect."""

    BELOW = "below"
    ABOVE = "above"
    BOTH = "both"
    """It covers that value: nothing is shown."""
    UNKNOWN = "unknown"
    """There is no interval."""


def side_of(estimate: Estimate, null: float) -> Side:
    """Return on which side of ``null`` the interval lies; an interval that ends at it covers it."""
    if estimate.low is None or estimate.high is None:
        return Side.UNKNOWN
    if estimate.low > null:
        return Side.ABOVE
    return Side.BELOW if estimate.high < null else Side.BOTH


def shown(estimate: Estimate, null: float, *, above: str, below: str, none: str) -> str:
    """Return the one of three clauses that the interval supports; without an interval it says that there is none."""
    clauses = {Side.ABOVE: above, Side.BELOW: below, Side.BOTH: none}
    return clauses.get(side_of(estimate, null), "there is no interval, so nothing is claimed of it")


def worded(estimate: Estimate, *, digits: int = 2, confidence: float, unit: str = "") -> str:
    """Return ``0.80 (95 % interval 0.78 to 0.82)``, or why there is no estimate."""
    if estimate.estimate is None:
        return f"not estimable ({estimate.reason or 'no reason recorded'})"
    value = between(Estimate(estimate.estimate, None, None, estimate.n), digits=digits) + unit
    if estimate.low is None or estimate.high is None:
        return f"{value} (without interval{': ' + estimate.reason if estimate.reason else ''})"
    limits = between(Estimate(None, estimate.low, estimate.high, estimate.n), digits=digits) + unit
    return f"{value} ({interval_name(confidence)} {limits})"


def worded_percent(share: Estimate, *, confidence: float) -> str:
    """Return ``83.2 % (95 % interval 81.0 % to 85.1 %)`` of a share, or why there is no estimate."""
    value, low, high = (None if each is None else 100.0 * each for each in (share.estimate, share.low, share.high))
    return worded(Estimate(value, low, high, share.n, share.reason), digits=1, confidence=confidence, unit=" %")


def interval_name(confidence: float) -> str:
    """Return ``95 % interval``."""
    return f"{100 * confidence:g} % interval"


def worded_p(p: float | None) -> str:
    """Return ``p = 0.012``, ``p < 0.001``, or that there is none."""
    if p is None:
        return "p not defined"
    return f"p < {LEAST_P}" if p < LEAST_P else f"p = {p_value(p)}"


def is_small(p: float | None, *, confidence: float) -> bool:
    """Return whether a p value is below one less the confidence; none is not."""
    return p is not None and p < 1.0 - confidence


def capital(text: str) -> str:
    """Return the text with its first letter large and the others as they are."""
    return text[:1].upper() + text[1:]


def listed(words: Iterable[str]) -> str:
    """Return ``a, b and c``."""
    held = list(words)
    return held[0] if len(held) == 1 else f"{', '.join(held[:-1])} and {held[-1]}" if held else ""


def counted(n: int, singular: str, plural: str | None = None) -> str:
    """Return ``1 row``, ``2,271 rows``."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def software_sentence(packages: Iterable[str]) -> str:
    """Return the versions of Python and of packages; one that is not installed is left out."""
    versions = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return f"Software: {listed(versions)}."
