"""The figures of a study of agreement: concordance matrix, limits of agreement, scatter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.evaluation.bland_altman import BlandAltman, VaryingLimits
from calcmap.evaluation.study import REFERENCE, TEST, AgreementReport, PairAgreement
from calcmap.report.figures import (
    COLOURS,
    COLUMN_INCHES,
    FONT_POINTS,
    GREY,
    mark_simulated,
    new_figure,
    plain_axes,
)
from calcmap.report.numerals import between

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINT_SIZE = 6.0
POINT_ALPHA = 0.35
"""Thousands of patients lie on each other; darker is more."""
SCORE_TICKS = (0, 1, 10, 100, 400, 2000, 10000)
DARK_SHARE = 0.5
"""Cells darker than this share of the darkest get white letters."""


def agreement_figures(report: AgreementReport) -> dict[str, Figure]:
    """Return the figures that this report has by file name; with scores also limits of agreement and a scatter."""
    figures = {"concordance": concordance_figure(report, report.pair)}
    if report.three_way is not None:
        for pair in (report.three_way.reference_visual, report.three_way.test_visual):
            figures[f"concordance_{pair.first}_{pair.second}"] = concordance_figure(report, pair)
    reference, test = (report.readings.by_part[part].scores for part in (REFERENCE, TEST))
    if report.scores is not None and reference is not None and test is not None:
        log_reference, log_test = np.log1p(reference), np.log1p(test)
        figures["bland_altman_raw"] = _bland_altman_figure(
            reference, test, found=report.scores.raw, x="Mean Agatston score", y="Test less reference"
        )
        figures["bland_altman_log"] = _bland_altman_figure(
            log_reference,
            log_test,
            found=report.scores.log,
            x="Mean of log(1 + score)",
            y="Difference of log(1 + score)",
        )
        figures["scatter_log"] = _scatter_figure(report, log_reference, log_test)
    if report.settings.is_simulated:
        for figure in figures.values():
            mark_simulated(figure)
    return figures


def concordance_figure(report: AgreementReport, pair: PairAgreement) -> Figure:
    """Return the confusion matrix with counts and row shares; rows the first reader, as in the tables."""
    names, counts = report.settings.categories.names, np.array(pair.matrix, dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    figure = new_figure(height_inches=COLUMN_INCHES * 0.95)
    axes = plain_axes(figure, x=_who(report, pair.second), y=_who(report, pair.first))
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        colour = "white" if share > DARK_SHARE else "black"
        axes.text(
            column, row, f"{count:.0f}\n{share:.0%}", ha="center", va="center", color=colour, fontsize=FONT_POINTS
        )
    linear = next(kappa.value for kappa in pair.kappas if kappa.value.weighting == "linear")
    axes.set_title(f"n = {report.readings.n}, linear weighted kappa {between(linear, digits=2)}", fontsize=FONT_POINTS)
    return figure


def _bland_altman_figure(reference: Float64Array, test: Float64Array, *, found: BlandAltman, x: str, y: str) -> Figure:
    figure = new_figure()
    axes = plain_axes(figure, x=x, y=y)
    mean, limits = (reference + test) / 2, found.limits
    axes.scatter(mean, test - reference, s=POINT_SIZE, alpha=POINT_ALPHA, color=COLOURS[0], linewidths=0)
    for estimate, style in ((limits.bias, "-"), (limits.lower, "--"), (limits.upper, "--")):
        if estimate.estimate is not None:
            axes.axhline(estimate.estimate, color=GREY, linestyle=style, linewidth=1.0)
        if estimate.low is not None and estimate.high is not None:
            axes.axhspan(estimate.low, estimate.high, color=GREY, alpha=0.15, linewidth=0)
    if found.varying is not None:
        _draw_varying(axes, found.varying)
    axes.set_title("Bands: intervals; orange: limits that vary", fontsize=FONT_POINTS)
    return figure


def _draw_varying(axes: Axes, varying: VaryingLimits) -> None:
    places = [place for place in varying.places if place.lower is not None]
    mean = [place.mean for place in places]
    for values, style in (
        ([place.bias for place in places], "-"),
        ([place.lower for place in places], "--"),
        ([place.upper for place in places], "--"),
    ):
        axes.plot(mean, np.array(values, dtype=np.float64), color=COLOURS[1], linestyle=style, linewidth=1.0)


def _scatter_figure(report: AgreementReport, log_reference: Float64Array, log_test: Float64Array) -> Figure:
    figure = new_figure()
    axes = plain_axes(figure, x=_who(report, REFERENCE), y=_who(report, TEST))
    axes.scatter(log_reference, log_test, s=POINT_SIZE, alpha=POINT_ALPHA, color=COLOURS[0], linewidths=0)
    highest = float(max(log_reference.max(), log_test.max(), np.log1p(1.0)))
    axes.plot([0.0, highest], [0.0, highest], color=GREY, linewidth=1.0)
    for cut in report.settings.categories.cuts:
        axes.axvline(np.log1p(cut), color=GREY, linewidth=0.4, linestyle=":")
        axes.axhline(np.log1p(cut), color=GREY, linewidth=0.4, linestyle=":")
    ticks = [tick for tick in SCORE_TICKS if np.log1p(tick) <= highest]
    axes.set_xticks(np.log1p(ticks), [str(tick) for tick in ticks])
    axes.set_yticks(np.log1p(ticks), [str(tick) for tick in ticks])
    axes.set_aspect("equal")
    axes.set_title("Agatston scores, axes log(1 + score); dotted: cuts", fontsize=FONT_POINTS)
    return figure


def _who(report: AgreementReport, part: str) -> str:
    return f"{part.capitalize()}: {report.readings.by_part[part].name}"
