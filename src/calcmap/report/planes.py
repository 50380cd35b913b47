"""CT planes as pictures: windowed, enlarged to true proportions, with outlines and a scale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from calcmap.core.volume import BoolArray, Label, Labels, UInt8Array, Volume
from calcmap.report import drawing

WINDOW_LEVEL_HU = 50.0
WINDOW_WIDTH_HU = 450.0
"""The usual mediastinal window, wide enough to tell calcium from soft tissue."""
MARGIN_MM = 15.0
SCALE_BAR_MM = 20.0
LETTER_PX = 15
FILL_OPACITY = 0.25
DASH_PX = 4
RIM_PX = 2
SLAB_MM = 5.0
"""Thickness averaged for the coronal and sagittal views."""
_OPACITY_TABLE = [round(FILL_OPACITY * value) for value in range(256)]


@dataclass(frozen=True)
class Frame:
    """A square cut-out of every slice: rows and columns, both ends possibly outside the image."""

    row_start: int
    row_stop: int
    column_start: int
    column_stop: int
    side_mm: float

    def cut(self, plane_yx: NDArray[np.generic], *, fill: int) -> NDArray[np.generic]:
        """Return the cut-out of a plane, with ``fill`` where it reaches beyond the plane."""
        shape = (self.row_stop - self.row_start, self.column_stop - self.column_start)
        out = np.full(shape, fill, dtype=plane_yx.dtype)
        ny, nx = plane_yx.shape
        rows = slice(max(0, self.row_start), min(ny, self.row_stop))
        columns = slice(max(0, self.column_start), min(nx, self.column_stop))
        out[
            rows.start - self.row_start : rows.stop - self.row_start,
            columns.start - self.column_start : columns.stop - self.column_start,
        ] = plane_yx[rows, columns]
        return out


@dataclass(frozen=True)
class HeartBox:
    """Index ranges (stop excluded) of everything labelled."""

    z: slice
    y: slice
    x: slice


def heart_box(labels: Labels | None) -> HeartBox | None:
    """Return the box of the label map, or ``None`` where nothing is labelled."""
    if labels is None:
        return None
    z = _span(labels.labels_zyx.max(axis=(1, 2)))
    if z is None:
        return None
    shadow_yx = labels.labels_zyx[z].max(axis=0)
    y, x = _span(shadow_yx.max(axis=1)), _span(shadow_yx.max(axis=0))
    return None if y is None or x is None else HeartBox(z, y, x)


def _span(values: UInt8Array) -> slice | None:
    index = np.flatnonzero(values)
    return slice(int(index[0]), int(index[-1]) + 1) if index.size else None


def frame_around(volume: Volume, box: HeartBox | None) -> Frame:
    """Return a square frame around the heart with a margin of 15 mm, or around the whole slice without a heart."""
    _, ny, nx = volume.grid.shape_zyx
    _, dy, dx = volume.spacing_mm_zyx
    rows, columns, margin_mm = (slice(0, ny), slice(0, nx), 0.0) if box is None else (box.y, box.x, MARGIN_MM)
    height_mm, width_mm = (rows.stop - rows.start) * dy, (columns.stop - columns.start) * dx
    side_mm = max(height_mm, width_mm) + 2 * margin_mm
    n_rows, n_columns = max(1, round(side_mm / dy)), max(1, round(side_mm / dx))
    row_start = round((rows.start + rows.stop - n_rows) / 2)
    column_start = round((columns.start + columns.stop - n_columns) / 2)
    return Frame(row_start, row_start + n_rows, column_start, column_start + n_columns, side_mm)


def windowed(hu: NDArray[np.generic]) -> UInt8Array:
    """Return HU as grey, 0 to 255: black at level minus half the width and below, white at plus half and above."""
    grey = (np.asarray(hu, dtype=np.float32) - (WINDOW_LEVEL_HU - WINDOW_WIDTH_HU / 2)) * (255.0 / WINDOW_WIDTH_HU)
    shades: UInt8Array = np.clip(grey, 0, 255).astype(np.uint8)
    return shades


def axial_picture(volume: Volume, labels: Labels | None, *, index: int, frame: Frame, side_px: int) -> Image.Image:
    """Return one slice, cut to the frame, with heart and calcium marked, orientation letters and a 20 mm bar."""
    grey = Image.fromarray(windowed(frame.cut(volume.ct_hu_zyx[index], fill=-1024)))
    picture = grey.resize((side_px, side_px), Image.Resampling.BICUBIC).convert("RGB")
    if labels is not None:
        px_per_pixel = side_px * max(volume.spacing_mm_zyx[1:]) / frame.side_mm
        _mark(picture, frame.cut(labels.labels_zyx[index], fill=0), px_per_pixel=px_per_pixel)
    _letters(picture, left="R", right="L", top="A", bottom="P")
    _scale_bar(picture, px_per_mm=side_px / frame.side_mm)
    return picture


def coronal_picture(
    volume: Volume, labels: Labels | None, box: HeartBox | None, *, size_px: tuple[int, int], marked_slices: list[int]
) -> Image.Image:
    """Return the coronal plane through the heart's middle (the image's without heart) over the whole scan, head up.

    The outline is the heart's silhouette from the front; ticks at the left mark the slices shown beside it.
    """
    ny = volume.grid.shape_zyx[1]
    return _coverage(
        volume,
        labels,
        box,
        axis=1,
        middle=_middle(box.y if box else slice(0, ny)),
        size_px=size_px,
        ends="RL",
        marked_slices=marked_slices,
    )


def sagittal_picture(
    volume: Volume, labels: Labels | None, box: HeartBox | None, *, size_px: tuple[int, int], marked_slices: list[int]
) -> Image.Image:
    """Return the sagittal plane through the heart's middle over the whole scan, head up, front to the left."""
    nx = volume.grid.shape_zyx[2]
    return _coverage(
        volume,
        labels,
        box,
        axis=2,
        middle=_middle(box.x if box else slice(0, nx)),
        size_px=size_px,
        ends="AP",
        marked_slices=marked_slices,
    )


def _middle(part: slice) -> int:
    return int((part.start + part.stop) // 2)


def _coverage(
    volume: Volume,
    labels: Labels | None,
    box: HeartBox | None,
    *,
    axis: int,
    middle: int,
    size_px: tuple[int, int],
    ends: str,
    marked_slices: list[int],
) -> Image.Image:
    spacing = volume.spacing_mm_zyx
    dz, across_mm = spacing[0], spacing[3 - axis]
    half = max(0, round(SLAB_MM / spacing[axis]) // 2)
    slab = np.take(
        volume.ct_hu_zyx, range(max(0, middle - half), min(volume.grid.shape_zyx[axis], middle + half + 1)), axis=axis
    )
    # the picture's first row is the head, the array's first slice the feet
    plane = windowed(np.maximum(slab, -1024).mean(axis=axis))[::-1]
    px_per_mm = min(size_px[0] / (plane.shape[1] * across_mm), size_px[1] / (plane.shape[0] * dz))
    inner = (max(1, round(plane.shape[1] * across_mm * px_per_mm)), max(1, round(plane.shape[0] * dz * px_per_mm)))
    grey = Image.fromarray(np.ascontiguousarray(plane))
    picture = grey.resize(inner, Image.Resampling.BICUBIC).convert("RGB")
    if labels is not None and box is not None:
        _mark_silhouettes(picture, labels, box, axis=axis)
    _ticks(picture, marked_slices, n_slices=plane.shape[0])
    framed = Image.new("RGB", size_px, (0, 0, 0))
    framed.paste(picture, ((size_px[0] - inner[0]) // 2, (size_px[1] - inner[1]) // 2))
    _corner_letters(framed, ends)
    return framed


def _ticks(picture: Image.Image, marked_slices: list[int], *, n_slices: int) -> None:
    draw = ImageDraw.Draw(picture)
    for index in marked_slices:
        y = round((n_slices - index - 0.5) * picture.height / n_slices)
        draw.line((0, y, 9, y), fill=drawing.WHITE)


def _mark(picture: Image.Image, labels_yx: NDArray[np.generic], *, px_per_pixel: float) -> None:
    """Draw heart, other and coronary calcium of one slice into the picture."""
    _paste_line(picture, labels_yx != Label.BACKGROUND, px_per_pixel=px_per_pixel)
    if (labels_yx == Label.NONCORONARY).any():
        noncoronary, box = _enlarged_piece(labels_yx == Label.NONCORONARY, picture.size)
        dashes = ImageChops.multiply(_rim(noncoronary), _dashes(picture.size).crop(box))
        picture.paste(drawing.NONCORONARY, box[:2], dashes)
    if (labels_yx == Label.CORONARY).any():
        coronary, box = _enlarged_piece(labels_yx == Label.CORONARY, picture.size)
        picture.paste(drawing.CORONARY, box[:2], coronary.point(_OPACITY_TABLE))
        picture.paste(drawing.CORONARY, box[:2], _rim(coronary))


def _mark_silhouettes(picture: Image.Image, labels: Labels, box: HeartBox, *, axis: int) -> None:
    """Draw the heart's and the coronary calcium's silhouettes, seen along ``axis``, into a plane with the head up."""
    parts = (box.z, box.y, box.x)
    inside = labels.labels_zyx[parts]
    across = parts[3 - axis]
    shape = (labels.grid.shape_zyx[0], labels.grid.shape_zyx[3 - axis])
    heart, coronary = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    heart[box.z, across] = inside.max(axis=axis) > 0
    coronary[box.z, across] = (inside == Label.CORONARY).any(axis=axis)
    picture.paste(drawing.HEART, (0, 0), _rim(_enlarge_exactly(heart[::-1], picture.size), width_px=1))
    picture.paste(drawing.CORONARY, (0, 0), _enlarge_exactly(coronary[::-1], picture.size))


def _paste_line(picture: Image.Image, mask_yx: BoolArray, *, px_per_pixel: float) -> None:
    """Draw a smooth thin line along the mask's border in the heart's colour."""
    soft = Image.fromarray(mask_yx.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.BILINEAR)
    picture.paste(drawing.HEART, (0, 0), soft.point(_line_opacity(px_per_pixel)))


def _line_opacity(px_per_pixel: float) -> list[int]:
    """Return the line's opacity, 0 to 255, for each shade of the enlarged mask."""
    from_border = np.abs(np.arange(256, dtype=np.float32) - 127.5)
    # across a border the enlarged mask climbs 255 within one enlarged pixel; both terms make a line about 1.5 px wide,
    # the second where pixels are hardly enlarged and the climb ends before the line does
    opacity = np.minimum(1.25 - from_border * px_per_pixel / 255.0, (127.5 - from_border) / 80.0)
    return [int(value) for value in (np.clip(opacity, 0.0, 0.8) * 255).astype(np.uint8)]


def _enlarge_exactly(mask_yx: BoolArray, size: tuple[int, int]) -> Image.Image:
    """Return the mask at a picture's size with its pixels as they are, so that what was counted is what is seen."""
    return Image.fromarray(mask_yx.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)


def _enlarged_piece(mask_yx: BoolArray, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Return the part of the enlarged, non-empty mask that holds it and its rim, and that part's box in the picture.

    Calcium is small and the rim's filter slow: the whole picture would take ten times as long.
    """
    mask = _enlarge_exactly(mask_yx, size)
    left, top, right, bottom = mask.getbbox() or (0, 0, *size)
    box = (max(0, left - RIM_PX), max(0, top - RIM_PX), min(size[0], right + RIM_PX), min(size[1], bottom + RIM_PX))
    return mask.crop(box), box


def _rim(mask: Image.Image, *, width_px: int = RIM_PX) -> Image.Image:
    """Return the pixels near the mask but outside it: what is marked stays free."""
    return ImageChops.subtract(mask.filter(ImageFilter.MaxFilter(2 * width_px + 1)), mask)


@lru_cache(maxsize=4)
def _dashes(size: tuple[int, int]) -> Image.Image:
    rows, columns = np.ogrid[: size[1], : size[0]]
    return Image.fromarray((((rows + columns) // DASH_PX) % 2 * 255).astype(np.uint8))


def _letters(picture: Image.Image, *, left: str, right: str, top: str, bottom: str) -> None:
    width, height = picture.size
    _write(picture, (5, height // 2), left, anchor="lm")
    _write(picture, (width - 5, height // 2), right, anchor="rm")
    _write(picture, (width // 2, 5), top, anchor="mt")
    _write(picture, (width // 2, height - 6), bottom, anchor="mb")


def _corner_letters(picture: Image.Image, ends: str) -> None:
    """Write both ends into the upper corners, where they leave the ticks free, and head and feet in the middle."""
    width, height = picture.size
    _write(picture, (6, 6), ends[0], anchor="lt")
    _write(picture, (width - 6, 6), ends[1], anchor="rt")
    _write(picture, (width // 2, 6), "H", anchor="mt")
    _write(picture, (width // 2, height - 6), "F", anchor="mb")


def _write(picture: Image.Image, at_px: tuple[int, int], text: str, *, anchor: str) -> None:
    drawing.draw_shadowed(ImageDraw.Draw(picture), at_px, text, LETTER_PX, drawing.TEXT, anchor=anchor)


def _scale_bar(picture: Image.Image, *, px_per_mm: float) -> None:
    draw = ImageDraw.Draw(picture)
    length_px, y = round(SCALE_BAR_MM * px_per_mm), picture.height - 9
    draw.line((8, y, 8 + length_px, y), fill=drawing.DARK, width=5)
    draw.line((9, y, 7 + length_px, y), fill=drawing.WHITE, width=2)
    drawing.draw_shadowed(draw, (9, y - 5), f"{SCALE_BAR_MM:g} mm", 12, drawing.TEXT, anchor="lb")
