"""The figures of a study of prognosis: curves with numbers at risk, hazard ratios, net reclassification, calibration.

Categories and readers differ by colour, by lightness and by line or marker, so that each survives a copy in grey and a
reader who sees no red or green.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.prognosis.config import PrognosisSettings
from calcmap.prognosis.curves import Curve
from calcmap.prognosis.reclassification import CensoringEstimator
from calcmap.prognosis.study import (
    MAIN,
    AnalysisResult,
    CategoryCurves,
    CategoryReclassification,
    CoxModel,
    HazardRatios,
    LevelCurve,
    ModelCalibration,
    NetReclassification,
    PrognosisStudy,
    TermRatio,
)
from calcmap.report.figures import COLUMN_INCHES, FONT_POINTS, GREY, mark_simulated, new_figure, style_axes
from calcmap.report.numerals import between
from calcmap.report.sentences import worded_p
from calcmap.statistics.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE_INCHES = 7.2
"""Width of both columns of a journal page (about 183 mm)."""
INKS = ("#2F94CC", "#C24E12", "#0A4F86", "#141414", "#7A6A00", "#8A2E6B")
"""Ours, near Okabe and Ito's hues; the first four also differ in lightness by 9 or more of 100, and all stand out
from white by 3 to 1."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (6, 1.5, 1.2, 1.5)), (0, (1.4, 1.2)), (0, (9, 2)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
BAND_ALPHA = 0.1
LINE_POINTS = 1.5
ROW_INCHES = 0.19
"""A line of text of `FONT_POINTS` with room around it."""
NUMBER_PAD_POINTS = 14.0
"""Between a category's name and the number at time 0, which is centred on the axis and so reaches left of it."""
RATIO_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
MOST_TICKS = 6
DODGE = 0.18
"""How far two markers of one row stand from its middle, in rows."""


@dataclass(frozen=True)
class _Ratio:
    """One line of a forest plot."""

    row: float
    ratio: Estimate
    is_reference: bool


def prognosis_figures(study: PrognosisStudy) -> dict[str, Figure]:
    """Return the figures that a study has, by file name; those of a sensitivity analysis begin with its name.

    The main analysis has curves of every reading, and a forest plot of every adjusted model; sensitivity analyses have
    the curves of the first reading. What was not asked for, or has no numbers, has no figure.
    """
    figures: dict[str, Figure] = {}
    for analysis in study.analyses:
        prefix = "" if analysis.name == MAIN else f"{file_name(analysis.name)}_"
        found = _of_analysis(study.settings, analysis, is_main=analysis.name == MAIN)
        figures |= {prefix + name: figure for name, figure in found.items()}
    if study.settings.is_simulated:
        for figure in figures.values():
            mark_simulated(figure)
    return figures


def file_name(name: str) -> str:
    """Return a name with nothing in it that a file's name should not hold."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_") or "unnamed"


def _of_analysis(settings: PrognosisSettings, analysis: AnalysisResult, *, is_main: bool) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    curves = analysis.curves or ()
    for category in curves if is_main else curves[:1]:
        name = file_name(category.category)
        if any(level.curve is not None for level in category.survival):
            figures[f"survival_{name}"] = survival_figure(category, settings=settings, endpoint=analysis.endpoint_label)
        if any(level.curve is not None for level in category.incidence):
            figures[f"incidence_{name}"] = incidence_figure(
                category, settings=settings, endpoint=analysis.endpoint_label
            )
    if analysis.hazard_ratios is not None:
        figures |= _of_hazards(settings, analysis.hazard_ratios, endpoint=analysis.endpoint_label, is_main=is_main)
    if analysis.reclassification is not None:
        having = [each for each in analysis.reclassification.categories if continuous_nri(each) is not None]
        if having:
            figures["nri"] = nri_figure(having, settings=settings)
    if is_main and analysis.calibration is not None:
        sound = [each for each in analysis.calibration if each.calibration is not None]
        if sound:
            figures["calibration"] = calibration_figure(sound, settings=settings)
    return figures


def _of_hazards(settings: PrognosisSettings, found: HazardRatios, *, endpoint: str, is_main: bool) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    readings = [category.name for category in settings.categories]
    if any(model.reason is None and model.name in readings for model in (*found.unadjusted, *found.adjusted)):
        figures["hazard_ratios"] = hazard_ratio_figure(found, settings=settings, endpoint=endpoint)
    if is_main:
        for model in found.adjusted:
            if model.reason is None:
                figures[f"forest_{file_name(model.name)}"] = forest_figure(model, settings=settings, endpoint=endpoint)
    return figures


def survival_figure(curves: CategoryCurves, *, settings: PrognosisSettings, endpoint: str) -> Figure:
    """Return Kaplan-Meier curves of one reading's categories over a table of the numbers at risk."""
    return _curves_figure(
        curves, curves.survival, settings=settings, y=f"Free of {_lower(endpoint)}", title=_log_rank(curves)
    )


def incidence_figure(curves: CategoryCurves, *, settings: PrognosisSettings, endpoint: str) -> Figure:
    """Return cumulative incidence of one reading's categories, other events competing, over the numbers at risk."""
    test = "no Gray's test" if curves.gray is None else f"Gray's test {worded_p(curves.gray.p)}"
    title = f"Other events compete; {test}"
    return _curves_figure(
        curves, curves.incidence, settings=settings, y=f"Cumulative incidence, {_lower(endpoint)}", title=title
    )


def hazard_ratio_figure(found: HazardRatios, *, settings: PrognosisSettings, endpoint: str) -> Figure:
    """Return the hazard ratios of all readings' categories side by side, unadjusted and adjusted, on one log axis."""
    sets = {"Unadjusted": found.unadjusted, "Adjusted": found.adjusted}
    readings = [
        category for category in settings.categories if any(_of(models, category.name) for models in sets.values())
    ]
    rows = max(len(category.levels) for category in readings)
    figure = _figure(min(PAGE_INCHES, 1.2 + 2.2 * len(readings)), 1.25 + 2.2 * ROW_INCHES * rows)
    panels = figure.subplots(1, len(readings), sharex=True, squeeze=False)[0]
    limits = _ratio_limits(
        [line.ratio for models in sets.values() for category in readings for line in _of(models, category.name)]
    )
    for axes, category in zip(panels, readings, strict=True):
        _ratio_axes(axes, limits, title=category.label or category.name)
        reference = category.reference or category.levels[0]
        axes.set_yticks(
            range(len(category.levels)),
            [f"{level} (ref.)" if level == reference else level for level in category.levels],
        )
        axes.set_ylim(rows - 0.4, -0.6)
        for k, models in enumerate(sets.values()):
            for line in _of(models, category.name):
                at = category.levels.index(line.level) + (2 * k - 1) * DODGE if line.level in category.levels else 0.0
                _draw_ratio(axes, _Ratio(at, line.ratio, line.is_reference), limits=limits, style=k)
    figure.supxlabel(f"Hazard ratio, {_lower(endpoint)} (log axis)", fontsize=FONT_POINTS)
    _key(
        figure,
        list(sets),
        draw=lambda k: {"marker": MARKERS[k], "color": INKS[2 * k], "linestyle": "none"},
        title="Model",
    )
    return figure


def forest_figure(model: CoxModel, *, settings: PrognosisSettings, endpoint: str) -> Figure:
    """Return all hazard ratios of one model as a forest plot, each with its numbers beside it."""
    lines = list(model.terms)
    figure = _figure(PAGE_INCHES, 1.15 + ROW_INCHES * (len(lines) + 1))
    axes, words = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (1.6, 1.0)})
    limits = _ratio_limits([line.ratio for line in lines])
    _ratio_axes(axes, limits, title="")
    axes.set_xlabel(f"Hazard ratio, {_lower(endpoint)} (log axis)", fontsize=FONT_POINTS)
    axes.set_yticks(range(len(lines)), [_term(line) for line in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    words.axis("off")
    words.set_title(f"Ratio ({100 * settings.confidence:g} % interval), p", fontsize=FONT_POINTS, loc="left")
    for row, line in enumerate(lines):
        _draw_ratio(axes, _Ratio(row, line.ratio, line.is_reference), limits=limits, style=1)
        words.text(0.0, row, _ratio_words(line), fontsize=FONT_POINTS, va="center")
    axes.set_title(f"{model.n:,} patients, {model.n_events:,} events", fontsize=FONT_POINTS, loc="left")
    return figure


def nri_figure(found: Sequence[CategoryReclassification], *, settings: PrognosisSettings) -> Figure:
    """Return continuous net reclassification of events, of nonevents and overall, with intervals, for each reading."""
    parts = ("Events", "Nonevents", "Overall")
    figure = _figure(COLUMN_INCHES, 3.1)
    axes = style_axes(figure.subplots(), y="Continuous net reclassification")
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    for k, reading in enumerate(found):
        nri = continuous_nri(reading)
        if nri is None:
            continue
        place = np.arange(3) + (k - (len(found) - 1) / 2) * 0.6 / max(len(found), 2)
        for x, part in zip(place.tolist(), (nri.event, nri.nonevent, nri.nri), strict=True):
            _draw_estimate(axes, x, part, style=k)
    axes.set_xticks(range(3), parts)
    axes.set_xlim(-0.5, 2.5)
    axes.set_title(f"Horizon {settings.horizon:g} {settings.time_unit}", fontsize=FONT_POINTS, loc="left")
    _key(
        figure,
        [each.label for each in found],
        draw=lambda k: {"marker": MARKERS[k % len(MARKERS)], "color": INKS[k % len(INKS)], "linestyle": "none"},
        title="Added to the covariates",
    )
    return figure


def continuous_nri(found: CategoryReclassification) -> NetReclassification | None:
    """Return the continuous one by Kaplan-Meier, the paper's; ``None`` where it has no number."""
    for nri in found.nri:
        is_wanted = not nri.is_categorical and nri.estimator is CensoringEstimator.KAPLAN_MEIER
        if is_wanted and nri.nri.estimate is not None:
            return nri
    return None


def calibration_figure(models: Sequence[ModelCalibration], *, settings: PrognosisSettings) -> Figure:
    """Return observed against predicted risk at the horizon in groups of predicted risk, one panel a model."""
    columns = min(len(models), 2)
    rows = -(-len(models) // columns)
    figure = _figure(COLUMN_INCHES * columns, 0.5 + 2.8 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    highest = max(_highest_risk(model) for model in models)
    for axes in grid.flat[len(models) :]:
        axes.set_visible(False)
    for axes, model in zip(grid.flat, models, strict=False):
        style_axes(axes, title=model.label)
        axes.plot([0.0, highest], [0.0, highest], color=GREY, linewidth=0.8)
        if model.calibration is not None:
            for group in model.calibration.groups:
                _draw_estimate(axes, group.predicted, group.observed, style=2)
        axes.set_xlim(0.0, highest)
        axes.set_ylim(0.0, highest)
        axes.set_aspect("equal")
        axes.tick_params(labelbottom=True)
    figure.supxlabel(f"Predicted risk at {settings.horizon:g} {settings.time_unit}", fontsize=FONT_POINTS)
    figure.supylabel("Observed risk", fontsize=FONT_POINTS)
    return figure


def _curves_figure(
    curves: CategoryCurves, levels: Sequence[LevelCurve], *, settings: PrognosisSettings, y: str, title: str
) -> Figure:
    figure = _figure(COLUMN_INCHES, 2.9 + ROW_INCHES * (len(levels) + 1))
    table_share = ROW_INCHES * (len(levels) + 1)
    axes, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (2.3, table_share)})
    end = curves.times[-1]
    lowest, highest = _draw_curves(axes, levels, end=end)
    style_axes(axes, y=y)
    is_incidence = levels is curves.incidence
    bottom, top = (0.0, min(1.0, _up(highest))) if is_incidence else (_down(lowest), 1.0)
    axes.set_ylim(bottom, top + 0.01 * (top - bottom))
    axes.set_xlim(0.0, end)
    axes.set_title(title if bottom == 0.0 else f"{title}; axis from {bottom:g}", fontsize=FONT_POINTS, loc="left")
    axes.set_xticks(curves.times, [f"{time:g}" for time in curves.times])
    axes.tick_params(labelbottom=True)
    axes.set_xlabel(f"Time, {settings.time_unit}", fontsize=FONT_POINTS)
    _draw_numbers(below, curves, levels)
    label = curves.label or curves.category
    _key(
        figure,
        [level.level for level in levels],
        draw=lambda k: {"color": INKS[k % len(INKS)], "linestyle": DASHES[k % len(DASHES)], "linewidth": LINE_POINTS},
        title=label,
    )
    return figure


def _draw_curves(axes: Axes, levels: Sequence[LevelCurve], *, end: float) -> tuple[float, float]:
    """Draw the curves with their bands and return the least and the greatest limit; 1 and 0 without any curve."""
    lowest, highest = 1.0, 0.0
    for k, level in enumerate(levels):
        if level.curve is None:
            continue
        time, probability, low, high = _steps(level.curve, end=end)
        ink, dash = INKS[k % len(INKS)], DASHES[k % len(DASHES)]
        axes.step(time, probability, where="post", color=ink, linestyle=dash, linewidth=LINE_POINTS)
        axes.fill_between(time, low, high, step="post", color=ink, alpha=BAND_ALPHA, linewidth=0)
        lowest, highest = min(lowest, float(np.nanmin(low))), max(highest, float(np.nanmax(high)))
    return lowest, highest


def _steps(curve: Curve, *, end: float) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Return times and the three curves from time 0 to the end of the axis, for a step plot."""
    is_within = curve.time <= end
    time = np.concatenate([[0.0], curve.time[is_within]])
    parts = [np.concatenate([[curve.start], each[is_within]]) for each in (curve.probability, curve.low, curve.high)]
    last = min(end, float(curve.time[-1]))
    values, low, high = (np.append(each, each[-1]) for each in parts)
    # where the data tell no spread (before the first event, or when nobody is left) there is no band
    return np.append(time, last), values, np.where(np.isnan(low), values, low), np.where(np.isnan(high), values, high)


def _draw_numbers(axes: Axes, curves: CategoryCurves, levels: Sequence[LevelCurve]) -> None:
    axes.set_ylim(len(levels) - 0.5, -0.5)
    axes.set_yticks(range(len(levels)), [level.level for level in levels])
    axes.tick_params(length=0, labelsize=FONT_POINTS, labelbottom=False)
    axes.tick_params(axis="y", pad=NUMBER_PAD_POINTS)
    axes.spines[:].set_visible(False)
    axes.set_title("Number at risk", fontsize=FONT_POINTS, loc="left")
    for row, level in enumerate(levels):
        axes.get_yticklabels()[row].set_color(INKS[row % len(INKS)])
        for time, count in zip(curves.times, level.at_risk, strict=True):
            axes.text(time, row, f"{count:d}", ha="center", va="center", fontsize=FONT_POINTS)


def _draw_ratio(axes: Axes, line: _Ratio, *, limits: tuple[float, float], style: int) -> None:
    """Draw one ratio; an interval that leaves the axis ends in an arrow."""
    ink, marker = INKS[2 * style], MARKERS[style]
    if line.is_reference:
        axes.plot(1.0, line.row, marker="|", color=ink, markersize=8, markeredgewidth=1.6)
        return
    ratio = line.ratio
    if ratio.estimate is None:
        axes.text(1.0, line.row, " not estimable", fontsize=FONT_POINTS, va="center", color=ink)
        return
    if ratio.low is not None and ratio.high is not None:
        low, high = np.clip([ratio.low, ratio.high], *limits).tolist()
        axes.plot([low, high], [line.row, line.row], color=ink, linewidth=1.1)
        for place, is_beyond, arrow in ((low, ratio.low < low, "<"), (high, ratio.high > high, ">")):
            if is_beyond:
                axes.plot(place, line.row, marker=arrow, color=ink, markersize=5, clip_on=False)
    if limits[0] <= ratio.estimate <= limits[1]:
        axes.plot(ratio.estimate, line.row, marker=marker, color=ink, markersize=5, linestyle="none")


def _draw_estimate(axes: Axes, x: float, estimate: Estimate, *, style: int) -> None:
    if estimate.estimate is None:
        return
    ink, marker = INKS[style % len(INKS)], MARKERS[style % len(MARKERS)]
    if estimate.low is not None and estimate.high is not None:
        axes.plot([x, x], [estimate.low, estimate.high], color=ink, linewidth=1.1)
    axes.plot(x, estimate.estimate, marker=marker, color=ink, markersize=5, linestyle="none")


def _ratio_limits(ratios: Sequence[Estimate]) -> tuple[float, float]:
    """Return the ends of a log axis that holds 1 and all limits, at most those of `RATIO_TICKS`."""
    values = [1.0]
    for ratio in ratios:
        values += [each for each in (ratio.estimate, ratio.low, ratio.high) if each is not None and each > 0.0]
    low, high = min(values) / 1.1, max(values) * 1.1
    return max(min(low, 0.8), RATIO_TICKS[0]), min(max(high, 1.25), RATIO_TICKS[-1])


def _ratio_axes(axes: Axes, limits: tuple[float, float], *, title: str) -> None:
    style_axes(axes, title=title)
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    within = [tick for tick in RATIO_TICKS if limits[0] <= tick <= limits[1]]
    if len(within) > MOST_TICKS:
        within = [tick for tick in within if round(np.log10(tick), 6) % 1 == 0.0]
    axes.set_xticks(within, [f"{tick:g}" for tick in within])
    axes.set_xticks([], minor=True)
    axes.axvline(1.0, color=GREY, linewidth=0.8)


def _ratio_words(line: TermRatio) -> str:
    if line.is_reference:
        return "1 (reference)"
    if line.ratio.estimate is None:
        return "not estimable"
    return f"{between(line.ratio, digits=2)}, {worded_p(line.ratio.p)}"


def _term(line: TermRatio) -> str:
    return line.label if line.level is None else f"{line.label}: {line.level}"


def _of(models: Sequence[CoxModel], name: str) -> list[TermRatio]:
    """Return the lines of one reading in its own model."""
    return [line for model in models if model.name == name for line in model.terms if line.variable == name]


def _log_rank(curves: CategoryCurves) -> str:
    return "No log-rank test" if curves.log_rank is None else f"Log-rank {worded_p(curves.log_rank.p)}"


def _highest_risk(model: ModelCalibration) -> float:
    groups = () if model.calibration is None else model.calibration.groups
    values = [0.05]
    for group in groups:
        values += [each for each in (group.predicted, group.observed.estimate, group.observed.high) if each is not None]
    return min(1.0, 1.04 * max(values))


def _figure(width_inches: float, height_inches: float) -> Figure:
    return new_figure(width_inches=width_inches, height_inches=height_inches)


def _key(figure: Figure, names: Sequence[str], *, draw: Callable[[int], dict[str, Any]], title: str) -> None:
    """Draw the legend above the axes."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **draw(k)) for k in range(len(names))]
    figure.legend(
        handles,
        list(names),
        loc="outside upper left",
        ncols=min(len(names), 4),
        fontsize=FONT_POINTS,
        title=title,
        title_fontsize=FONT_POINTS,
        alignment="left",
        frameon=False,
        handlelength=2.6,
        columnspacing=1.0,
    )


def _lower(text: str) -> str:
    """Return text that goes on in a sentence: its first letter small unless the first word is an abbreviation."""
    first = text.split(" ", maxsplit=1)[0]
    return text if first[1:] != first[1:].lower() else text[:1].lower() + text[1:]


def _down(value: float) -> float:
    return max(0.0, float(np.floor(value * 10.0 - 1e-9)) / 10.0)


def _up(value: float) -> float:
    return float(np.ceil(value * 20.0 + 1e-9)) / 20.0
