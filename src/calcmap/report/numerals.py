"""Numbers as a paper prints them."""

from __future__ import annotations

from calcmap.statistics.bootstrap import DrawnInterval
from calcmap.statistics.estimates import Estimate

LEAST_P = 0.001
"""Smaller p values are not printed in full: their last digits mean nothing."""


def between(estimate: Estimate, *, digits: int = 3) -> str:
    """Return ``0.800 (0.784 to 0.816)``; without estimate the limits alone, without limits the estimate, else ``-``."""
    told = None
    if estimate.low is not None and estimate.high is not None:
        told = f"{_number(estimate.low, digits)} to {_number(estimate.high, digits)}"
    if estimate.estimate is None:
        return told or "-"
    value = _number(estimate.estimate, digits)
    return f"{value} ({told})" if told else value


def limits(interval: Estimate | DrawnInterval) -> str:
    """Return ``0.784 to 0.816``, and ``-`` where there are no limits."""
    return between(Estimate(None, interval.low, interval.high, 0))


def percent(share: Estimate) -> str:
    """Return a share and its limits in percent with one decimal, and ``-`` where there is none."""
    estimate, low, high = (None if each is None else 100 * each for each in (share.estimate, share.low, share.high))
    return between(Estimate(estimate, low, high, share.n), digits=1)


def p_value(p: float | None) -> str:
    """Return a p value with three decimals, ``<0.001``, or ``-`` where there is none."""
    if p is None:
        return "-"
    return f"<{LEAST_P}" if p < LEAST_P else f"{p:.3f}"


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text
