"""One picture of a study for the physician: the score, the rule that made it, and the slices that show why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from calcmap.core.result import DISCLAIMER, CalciumClass, Category, LesionResult, StudyResult
from calcmap.core.scan import QualityFlag, Severity
from calcmap.core.volume import Label, Labels, Volume
from calcmap.report import drawing, planes
from calcmap.report.drawing import clip_text, draw_chip, draw_text, text_width_px, wrap_text
from calcmap.report.planes import HeartBox
from calcmap.report.png import write_png

WIDTH_PX = 1600
EDGE_PX = 28
GAP_PX = 10
SIDE_PANEL_PX = 330
GRID_PX = WIDTH_PX - 2 * EDGE_PX - SIDE_PANEL_PX - 2 * GAP_PX
CAPTION_PX = 44
FOOTER_PX = 46
MAX_SLICES = 12
FEWEST_SLICES = 4
"""With less calcium than this, slices without it fill up: one slice alone shows no heart."""
SLICES_WITHOUT_CALCIUM = 12
SLICES_OF_A_REFUSAL = 6
MAX_FLAGS = 5
MAX_REASON_LINES = 4
HASH_DIGITS = 10
NETWORKS = ("calcium", "heart")
"""Hashes of these stand in one line, those of the small models beside them in the next."""
METHOD_PX = 640
METHOD_LINE_PX = 24
"""Five lines end above the line of words under the score."""
FLAG_PX = 31
CAPTION_TEXT_PX = 15
COVERAGE_PX = 270
LEGEND_PX = 122
CALCIUM_NOT_SHOWN = "Without a score no calcium is marked."
NO_CALCIUM = "0 - no coronary calcium found"
WINDOW = f"L {planes.WINDOW_LEVEL_HU:g} W {planes.WINDOW_WIDTH_HU:g} HU"


def write_overview(volume: Volume | None, labels: Labels | None, result: StudyResult, *, path: Path) -> None:
    """Write `render_overview` as PNG; the file is written aside and renamed, so a half-written one is never seen.

    Raises
    ------
    GridMismatchError
        The labels lie on another grid than the CT.
    OSError
        The file cannot be written.
    """
    write_png(render_overview(volume, labels, result), path)


def render_overview(volume: Volume | None, labels: Labels | None, result: StudyResult) -> Image.Image:
    """Return the overview of a study.

    From top to bottom: study, score, category and rule (or the refusal's reason); quality flags; up to twelve slices
    from head to foot with the coronary calcium red, filled and solid, other calcium green and dashed, the heart's
    outline yellow; coronal and sagittal views of the scan's coverage; the disclaimer. Slices are chosen by the lesions'
    scores; every number comes from ``result``.

    Parameters
    ----------
    volume : Volume or None
        The CT; ``None`` when it could not be read.
    labels : Labels or None
        Heart and calcium on the CT's grid; ``None`` when nothing was segmented.
    result : StudyResult
        What is said of the study.

    Returns
    -------
    PIL.Image.Image
        RGB, 1600 pixels wide; the height depends on the slices shown.

    Raises
    ------
    GridMismatchError
        The labels lie on another grid than the CT.
    """
    if volume is not None and labels is not None:
        labels.check_on(volume)
    strips = [_header(result), *_flag_strips(result.quality)]
    strips.append(_evidence(volume, labels, result))
    strips.append(_footer(result))
    return _stack(strips)


def choose_slices(result: StudyResult, *, first: int, last: int, at_most: int = MAX_SLICES) -> list[int]:
    """Return the slices to show, from head to foot; ``first`` and ``last`` bound the heart (or the scan).

    Slices that lesions of the result reach, ranked by the coronary score they may hold (a lesion's score spread evenly
    over its slices), coronary before noncoronary, ``at_most`` of them. Where they are fewer than four, evenly spread
    slices are added; without lesions there are twelve, for a refused study six, or ``at_most`` if that is fewer.
    """
    weight: dict[int, tuple[float, float]] = {}
    for lesion in result.lesions:
        share = lesion.agatston / (lesion.slice_last - lesion.slice_first + 1)
        for index in range(lesion.slice_first, lesion.slice_last + 1):
            coronary, other = weight.get(index, (0.0, 0.0))
            is_coronary = lesion.lesion_class is CalciumClass.CORONARY
            weight[index] = (coronary + share, other) if is_coronary else (coronary, other + share)
    ranked = sorted(weight, key=lambda index: (weight[index], -index), reverse=True)[:at_most]
    if len(ranked) < FEWEST_SLICES:
        ranked += _fill_up(ranked, result, first=first, last=last, at_most=at_most)
    return sorted(ranked, reverse=True)


def _fill_up(ranked: list[int], result: StudyResult, *, first: int, last: int, at_most: int) -> list[int]:
    if ranked:
        n_more = FEWEST_SLICES - len(ranked)
    else:
        n_more = SLICES_WITHOUT_CALCIUM if result.coronary is not None else SLICES_OF_A_REFUSAL
    n_more = min(n_more, at_most)
    free = [index for index in range(first, last + 1) if index not in ranked]
    if not free:
        return []
    spread = np.linspace(0, len(free) - 1, n_more + 2)[1:-1].round().astype(int)
    return [free[int(place)] for place in np.unique(spread)]


def format_score(agatston: float) -> str:
    """Return a score as people write it: whole from 10 on, one decimal below, ``"0"`` for none."""
    if agatston == 0:
        return "0"
    return f"{agatston:.0f}" if agatston >= 10 else f"{agatston:.1f}"


def confidence_line(result: StudyResult) -> str:
    """Return how sure the category is, e.g. ``"confident: 97 % this category, 3 % any calcium"``; ``""`` if unknown."""
    confidence = result.confidence
    if confidence is None:
        return ""
    right, any_calcium = confidence.category_probability, confidence.any_calcium_probability
    return f"{confidence.word.value}: {_percent(right)} this category, {_percent(any_calcium)} any calcium"


def _percent(probability: float) -> str:
    """Return a probability as whole percent; never 0 or 100, which would claim certainty."""
    percent = f"{probability:.0%}".removesuffix("%")
    return {"0": "< 1 %", "100": "> 99 %"}.get(percent, f"{percent} %")


def method_lines(result: StudyResult) -> list[str]:
    """Return the rule, the acquisition and the software behind the numbers, one line each."""
    method, lines = result.method, []
    if method is not None:
        area = f"lesions >= {method.min_area_mm2:g} mm² ({method.min_area_px} px here)"
        lines.append(f"Rule {method.profile}: >= {method.threshold_hu} HU, {area}, {method.connectivity}-connected")
        weights = " / ".join(str(hu) for hu in method.weights_hu)
        lines.append(f"Weights 1 to 4 from {weights} HU; times increment / 3 mm")
        kvp = "tube voltage unknown" if method.kvp is None else f"{method.kvp:g} kVp"
        lines.append(f"Slice increment {method.increment_mm:.2f} mm, {kvp}")
    hashes = sorted(result.provenance.weights_sha256.items())
    networks, models = (
        ", ".join(f"{name} {sha256[:HASH_DIGITS]}" for name, sha256 in hashes if (name in NETWORKS) == is_network)
        for is_network in (True, False)
    )
    lines.append(f"CalcMap {result.provenance.version}" + (f", weights {networks}" if networks else ""))
    return [*lines, f"Models {models}"] if models else lines


def fact_lines(result: StudyResult) -> list[str]:
    """Return the evidence beside the score, one short line each; only what the result holds."""
    lines = []
    if result.heart is not None:
        lines.append(f"Heart {result.heart.volume_ml:.0f} mL")
    for name, score in (("Coronary", result.coronary), ("Noncoronary", result.noncoronary)):
        if score is not None:
            plural = "" if score.n_lesions == 1 else "s"
            mass = "" if score.mass_mg is None else f", {score.mass_mg:.1f} mg"
            lines.append(f"{name}: {score.n_lesions} lesion{plural}")
            lines.append(f"    Agatston {format_score(score.agatston)}, {score.volume_mm3:.0f} mm³{mass}")
    lines += [f"{vessel.value}: {format_score(score.agatston)}" for vessel, score in result.vessels.items()]
    for percentile in result.percentiles:
        lines.append(f"Percentile {percentile.percentile:.0f} ({percentile.reference})")
        lines.append(f"    {percentile.group}")
    if result.arterial_age_years is not None:
        lines.append(f"Arterial age {result.arterial_age_years:.0f} years")
    return lines


def slice_lines(result: StudyResult, *, index: int, z_mm: float, width_px: int) -> tuple[str, str]:
    """Return both lines of a slice's caption: where it lies, and the lesions in it with their whole scores.

    Lesions over several slices say over how many, since their score is the sum of all; those that find no room are
    counted.
    """
    here = [lesion for lesion in result.lesions if lesion.slice_first <= index <= lesion.slice_last]
    here.sort(key=lambda lesion: (lesion.lesion_class is not CalciumClass.CORONARY, -lesion.agatston))
    words = [_lesion_words(lesion) for lesion in here]
    for n_shown in range(len(words), 0, -1):
        n_left = len(words) - n_shown
        line = "   ".join(words[:n_shown]) + (f"   +{n_left}" if n_left else "")
        if text_width_px(line, CAPTION_TEXT_PX) <= width_px:
            return f"slice {index}   z {z_mm:.1f} mm", line
    return (
        f"slice {index}   z {z_mm:.1f} mm",
        f"{len(words)} lesions" if words else "no lesion" if result.lesions else "",
    )


def _lesion_words(lesion: LesionResult) -> str:
    n_slices = lesion.slice_last - lesion.slice_first + 1
    kind = "noncoronary" if lesion.lesion_class is CalciumClass.NONCORONARY else lesion.vessel or "coronary"
    over = f" ({n_slices} slices)" if n_slices > 1 else ""
    return f"#{lesion.id} {kind} {format_score(lesion.agatston)}{over}"


def _header(result: StudyResult) -> Image.Image:
    if result.category is None or result.agatston is None:
        return _refused_header(result)
    return _scored_header(result, result.category, result.agatston)


def _scored_header(result: StudyResult, category: Category, agatston: float) -> Image.Image:
    strip, draw = _strip(176, drawing.PANEL)
    left = WIDTH_PX - 2 * EDGE_PX - METHOD_PX
    draw_text(draw, (EDGE_PX, 18), clip_text(result.study, 24, width_px=left), 24, drawing.TEXT)
    score = format_score(agatston)
    draw_text(draw, (EDGE_PX, 158), score, 104, drawing.WHITE, anchor="ls")
    x = EDGE_PX + text_width_px(score, 104) + 30
    draw_text(draw, (x, 62), "Agatston score", 20, drawing.DIM)
    end = draw_chip(draw, (x, 90), category.name, 30, drawing.CATEGORY_COLOURS[category.index])
    draw_text(
        draw,
        (end + 16, 114),
        f"category {category.index} (of 0 to 3)   {category.cac_drs}",
        20,
        drawing.TEXT,
        anchor="lm",
    )
    notes = [NO_CALCIUM if agatston == 0 else "", confidence_line(result)]
    note = "".join(f"{words}   " for words in notes if words)
    draw_text(draw, (x, 158), note, 22, drawing.WHITE, anchor="ls")
    draw_text(draw, (x + text_width_px(note, 22), 158), f"status: {result.status.value}", 18, drawing.DIM, anchor="ls")
    _method_block(draw, result)
    return strip


def _refused_header(result: StudyResult) -> Image.Image:
    lines = wrap_text(result.reason or "", 28, width_px=WIDTH_PX - 2 * EDGE_PX, max_lines=MAX_REASON_LINES)
    strip, draw = _strip(176 + 38 * len(lines), drawing.PANEL)
    left = WIDTH_PX - 2 * EDGE_PX - METHOD_PX
    draw_text(draw, (EDGE_PX, 18), clip_text(result.study, 24, width_px=left), 24, drawing.TEXT)
    end = draw_chip(draw, (EDGE_PX, 66), "REFUSED", 54, drawing.REFUSED_COLOUR)
    draw_text(draw, (end + 24, 94), "No score is given.", 26, drawing.WHITE, anchor="lm")
    draw_text(draw, (end + 24, 128), result.reason_code or "", 18, drawing.DIM, anchor="lm")
    for i, line in enumerate(lines):
        draw_text(draw, (EDGE_PX, 172 + 38 * i), line, 28, drawing.WHITE)
    _method_block(draw, result)
    return strip


def _method_block(draw: ImageDraw.ImageDraw, result: StudyResult) -> None:
    for i, line in enumerate(method_lines(result)):
        text = clip_text(line, 17, width_px=METHOD_PX)
        draw_text(
            draw,
            (WIDTH_PX - EDGE_PX, 22 + METHOD_LINE_PX * i),
            text,
            17,
            drawing.DIM if i else drawing.TEXT,
            anchor="ra",
        )


def _flag_strips(flags: tuple[QualityFlag, ...]) -> list[Image.Image]:
    """Return one strip with the gravest flags, or none without flags."""
    if not flags:
        return []
    order = list(reversed(Severity))
    shown = sorted(flags, key=lambda flag: order.index(flag.severity))[:MAX_FLAGS]
    n_left = len(flags) - len(shown)
    strip, draw = _strip(14 + FLAG_PX * (len(shown) + (n_left > 0)), drawing.BACKGROUND)
    for i, flag in enumerate(shown):
        y = 14 + FLAG_PX * i
        end = draw_chip(draw, (EDGE_PX, y), flag.severity.value, 15, drawing.SEVERITY_COLOURS[flag.severity])
        text = clip_text(f"{flag.code}: {flag.detail}", 17, width_px=WIDTH_PX - EDGE_PX - end - 12)
        draw_text(draw, (end + 12, y + 12), text, 17, drawing.TEXT, anchor="lm")
    if n_left:
        y = 14 + FLAG_PX * len(shown)
        draw_text(draw, (EDGE_PX, y + 12), f"and {n_left} more in result.json", 17, drawing.DIM, anchor="lm")
    return [strip]


def _evidence(volume: Volume | None, labels: Labels | None, result: StudyResult) -> Image.Image:
    """Return the slices with the panel of coverage, legend and facts to their right."""
    if volume is None:
        strip, draw = _strip(120, drawing.BACKGROUND)
        draw_text(draw, (WIDTH_PX // 2, 60), "No picture: the CT was not read.", 22, drawing.DIM, anchor="mm")
        return strip
    labels = None if labels is None else what_may_be_shown(labels, result)
    box = planes.heart_box(labels)
    z = box.z if box else slice(0, volume.grid.shape_zyx[0])
    shown = choose_slices(result, first=z.start, last=z.stop - 1)
    grid = _slice_grid(volume, labels, box, result, shown=shown)
    panel = _side_panel(volume, labels, box, result, shown=shown)
    strip, _ = _strip(max(grid.height, panel.height) + 2 * GAP_PX, drawing.BACKGROUND)
    strip.paste(grid, (EDGE_PX, GAP_PX))
    strip.paste(panel, (WIDTH_PX - EDGE_PX - SIDE_PANEL_PX, GAP_PX))
    return strip


def what_may_be_shown(labels: Labels, result: StudyResult) -> Labels:
    """Return the labels; of a refused study the heart alone: calcium beside a refusal would look like a result."""
    if result.coronary is not None:
        return labels
    return Labels(np.minimum(labels.labels_zyx, np.uint8(Label.HEART)), labels.grid)


def _slice_grid(
    volume: Volume, labels: Labels | None, box: HeartBox | None, result: StudyResult, *, shown: list[int]
) -> Image.Image:
    n_columns = 2 if len(shown) <= 4 else 3 if len(shown) <= 9 else 4
    side_px = (GRID_PX - (n_columns - 1) * GAP_PX) // n_columns
    n_rows = -(-len(shown) // n_columns)
    height = n_rows * (side_px + CAPTION_PX + GAP_PX)
    grid = Image.new("RGB", (GRID_PX, height), drawing.BACKGROUND)
    draw = ImageDraw.Draw(grid)
    frame = planes.frame_around(volume, box)
    for i, index in enumerate(shown):
        x, y = (i % n_columns) * (side_px + GAP_PX), (i // n_columns) * (side_px + CAPTION_PX + GAP_PX)
        grid.paste(planes.axial_picture(volume, labels, index=index, frame=frame, side_px=side_px), (x, y))
        z_mm = volume.grid.lps_mm((index, 0, 0))[2]
        place, lesions = slice_lines(result, index=index, z_mm=z_mm, width_px=side_px)
        draw_text(draw, (x + 2, y + side_px + 5), place, CAPTION_TEXT_PX, drawing.TEXT)
        draw_text(draw, (x + 2, y + side_px + 24), lesions, CAPTION_TEXT_PX, drawing.DIM)
    return grid


def _side_panel(
    volume: Volume, labels: Labels | None, box: HeartBox | None, result: StudyResult, *, shown: list[int]
) -> Image.Image:
    size = (SIDE_PANEL_PX, COVERAGE_PX)
    coronal = planes.coronal_picture(volume, labels, box, size_px=size, marked_slices=shown)
    sagittal = planes.sagittal_picture(volume, labels, box, size_px=size, marked_slices=shown)
    facts = fact_lines(result)
    height = 2 * (COVERAGE_PX + GAP_PX) + LEGEND_PX + 26 * len(facts)
    panel = Image.new("RGB", (SIDE_PANEL_PX, height), drawing.BACKGROUND)
    draw = ImageDraw.Draw(panel)
    panel.paste(coronal, (0, 0))
    panel.paste(sagittal, (0, COVERAGE_PX + GAP_PX))
    top = 2 * (COVERAGE_PX + GAP_PX)
    if result.coronary is None:
        draw_text(draw, (0, top + 15), CALCIUM_NOT_SHOWN, 16, drawing.DIM, anchor="lm")
    elif labels is not None:
        _legend(draw, top)
    for i, line in enumerate(facts):
        indent = 18 if line.startswith(" ") else 0
        text = clip_text(line, 17, width_px=SIDE_PANEL_PX - indent)
        draw_text(draw, (indent, top + LEGEND_PX + 26 * i), text, 17, drawing.DIM if indent else drawing.TEXT)
    return panel


def _legend(draw: ImageDraw.ImageDraw, top: int) -> None:
    draw.rectangle((2, top + 8, 20, top + 22), outline=drawing.CORONARY, fill=drawing.CORONARY_FILL, width=2)
    for x in (2, 9, 16):
        draw.line((x, top + 36, x + 4, top + 36), fill=drawing.NONCORONARY, width=2)
        draw.line((x, top + 48, x + 4, top + 48), fill=drawing.NONCORONARY, width=2)
    draw.line((2, top + 69, 20, top + 69), fill=drawing.HEART, width=2)
    draw.line((2, top + 96, 20, top + 96), fill=drawing.WHITE)
    for i, name in enumerate(("coronary calcium", "other calcium (dashed)", "heart", "slices shown; 0 is the lowest")):
        draw_text(draw, (32, top + 15 + 27 * i), name, 16, drawing.TEXT, anchor="lm")


def _footer(result: StudyResult) -> Image.Image:
    strip, draw = _strip(FOOTER_PX, drawing.PANEL)
    draw_text(draw, (EDGE_PX, FOOTER_PX // 2), DISCLAIMER, 20, drawing.AMBER, anchor="lm")
    made = f"CalcMap {result.provenance.version}   numbers as in result.json   window {WINDOW}"
    draw_text(draw, (WIDTH_PX - EDGE_PX, FOOTER_PX // 2), made, 15, drawing.DIM, anchor="rm")
    return strip


def _strip(height_px: int, colour: drawing.Rgb) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (WIDTH_PX, height_px), colour)
    return picture, ImageDraw.Draw(picture)


def _stack(strips: list[Image.Image]) -> Image.Image:
    picture = Image.new("RGB", (WIDTH_PX, sum(strip.height for strip in strips)), drawing.BACKGROUND)
    top = 0
    for strip in strips:
        picture.paste(strip, (0, top))
        top += strip.height
    return picture
