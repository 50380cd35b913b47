"""Pictures that are no images of a patient's inside: report screens and dose pages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from calcmap.core.volume import Float32Array, Int16Array, UInt8Array, Volume
from calcmap.simulation.nuclear.camera import attenuation_per_mm

PAGE_SIZE = (512, 512)
LINE_PX = 18
SCOUT_ROW_MM = 2.0
SCOUT_RANGE = (-1000.0, 1000.0)
"""Stored values of a localizer's darkest and brightest pixel (our choice)."""


def text_page(lines: Sequence[str]) -> UInt8Array:
    """Return a black page with white lines of text, shape (rows, columns)."""
    page = Image.new("L", PAGE_SIZE)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((16, 16 + LINE_PX * number), line, fill=255)
    return np.asarray(page, dtype=np.uint8)


def slice_page(picture_zyx: Float32Array, *, title: str, middle_zyx: tuple[int, int, int], half: int) -> UInt8Array:
    """Return a page of sixteen slices about a middle, in a hot colour scale.

    Parameters
    ----------
    picture_zyx : ndarray of float32
        A nuclear picture.
    title : str
        Written above.
    middle_zyx : tuple of int
        Voxel in the middle of the page.
    half : int
        Half the side of each square, pixels; squares that stick out are cut by black.

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
        Red, green and blue.
    """
    z, y, x = middle_zyx
    padded = np.pad(picture_zyx, ((0, 0), (half, half), (half, half)))
    tiles = [
        padded[int(np.clip(k, 0, len(padded) - 1)), y : y + 2 * half, x : x + 2 * half] for k in range(z - 8, z + 8)
    ]
    sheet = np.block([[tiles[4 * row + column] for column in range(4)] for row in range(4)])
    share = np.clip(sheet / max(float(sheet.max()), 1e-6), 0, 1)
    colours = np.stack([np.clip(3 * share - k, 0, 1) for k in range(3)], axis=-1)
    page = Image.fromarray((255 * colours).astype(np.uint8)).resize(PAGE_SIZE, Image.Resampling.NEAREST)
    ImageDraw.Draw(page).text((8, 4), title, fill=(255, 255, 255))
    return np.asarray(page, dtype=np.uint8)


def front_view(ct: Volume) -> Int16Array:
    """Return the projection of a CT from the front, rows from head to feet every `SCOUT_ROW_MM`."""
    dz, dy, _ = ct.spacing_mm_zyx
    every_second = ct.ct_hu_zyx[:, ::2].astype(np.float32)
    paths = np.stack([attenuation_per_mm(plane).sum(axis=0) for plane in every_second]) * 2 * dy
    n_rows = max(int((len(paths) - 1) * dz / SCOUT_ROW_MM) + 1, 2)
    place = np.clip((len(paths) - 1) - np.arange(n_rows) * SCOUT_ROW_MM / dz, 0, len(paths) - 1)
    lower = np.minimum(place.astype(int), len(paths) - 2)
    share = (place - lower)[:, None]
    rows = (1 - share) * paths[lower] + share * paths[lower + 1]
    low, high = SCOUT_RANGE
    view: Int16Array = np.rint(low + (high - low) * rows / max(float(rows.max()), 1e-6)).astype(np.int16)
    return view
