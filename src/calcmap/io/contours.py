"""Contours drawn in OsiriX or Horos, as the ROI export writes them: an XML property list."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np

from calcmap.core.errors import UnreadableFileError
from calcmap.core.volume import Float64Array
from calcmap.io.sources import FileSource

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
MIN_POINTS = 3
"""Fewer points enclose nothing."""


@dataclass(frozen=True, eq=False)
class Contour:
    """One closed contour on one image.

    Parameters
    ----------
    image_index : int
        Zero-based place of the image in the viewer's order, which is not that of the files (see ``cohorts.adapters``).
    name : str
        What the reader called it; free text, so it is never shown nor logged.
    points_xy_px : ndarray of float64, shape (n, 2)
        Corners as column, row of the stored image. Whole numbers are pixel centres: a contour around a mask passes
        outside the centres of its pixels by a little less than one pixel.
    points_lps_mm : ndarray of float64, shape (n, 3), or None
        The same corners in the patient; the viewer shifts them by half a pixel within the slice. ``None`` where the
        file leaves them out.
    range_hu : tuple of float, or None
        Lowest and highest HU that the viewer measured inside.
    """

    image_index: int
    name: str
    points_xy_px: Float64Array
    points_lps_mm: Float64Array | None
    range_hu: tuple[float, float] | None


def read_contours(path: Path) -> tuple[Contour, ...]:
    """Return the contours of a file in its order; those without area (erased ones stay in the export) are left out.

    Raises
    ------
    UnreadableFileError
        No property list, or not of images with contours.
    """
    content = FileSource(path).read_bytes()
    try:
        images = plistlib.loads(content)["Images"]
        contours = [_contour(int(image["ImageIndex"]), roi) for image in images for roi in image["ROIs"]]
    except (plistlib.InvalidFileException, ExpatError) as error:
        raise UnreadableFileError(f"{path.name} is no complete XML property list") from error
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        # The message names no content: it may be free text about a patient.
        raise UnreadableFileError(f"{path.name} holds no Images with ImageIndex and ROIs of points") from error
    return tuple(contour for contour in contours if len(contour.points_xy_px) >= MIN_POINTS)


def pixels_inside(points_xy_px: Float64Array, shape_yx: tuple[int, int]) -> np.ndarray:
    """Return a mask (rows, columns) of the pixels whose centres a closed polygon encloses, by the even-odd rule.

    A centre on a left or upper edge is inside, one on a right or lower edge is not; what lies outside the image is
    left out.
    """
    rows, columns = np.arange(shape_yx[0])[:, None], np.arange(shape_yx[1])[None, :]
    inside = np.zeros(shape_yx, dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(points_xy_px, np.roll(points_xy_px, -1, axis=0), strict=True):
        if y0 != y1:
            crossed_rows = (y0 > rows) != (y1 > rows)
            inside ^= crossed_rows & (columns < x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _contour(image_index: int, roi: dict[str, Any]) -> Contour:
    points_px = _points(roi["Point_px"], 2)
    points_mm = _points(roi.get("Point_mm", []), 3)
    has_range = "Min" in roi and "Max" in roi
    return Contour(
        image_index,
        str(roi["Name"]).strip(),
        points_px,
        points_mm if len(points_mm) == len(points_px) else None,
        (float(roi["Min"]), float(roi["Max"])) if has_range else None,
    )


def _points(words: Sequence[str], n_numbers: int) -> Float64Array:
    """Return points written as ``(1.0, 2.0)``."""
    points = [[float(number) for number in _NUMBER.findall(word)] for word in words]
    if any(len(point) != n_numbers for point in points):
        raise ValueError(f"a point does not have {n_numbers} numbers")
    return np.array(points, dtype=np.float64).reshape(-1, n_numbers)
