from __future__ import annotations

import plistlib
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import UnreadableFileError
from calcmap.io.contours import pixels_inside, read_contours
from foreign_folders import LESION_YX, ct_with_lesion, erased_contour, lesion_contour, write_plist

SHAPE_YX = (32, 40)


def test_a_brush_contour_encloses_the_pixels_that_it_was_drawn_around(tmp_path: Path) -> None:
    (found,) = read_contours(write_plist(tmp_path / "1.xml", [(7, lesion_contour(ct_with_lesion()))]))
    inside = pixels_inside(found.points_xy_px, SHAPE_YX)
    assert {(int(y), int(x)) for y, x in np.argwhere(inside)} == set(LESION_YX)
    assert (found.image_index, found.range_hu) == (7, (272.0, 274.0))


def test_an_erased_contour_is_left_out(tmp_path: Path) -> None:
    assert read_contours(write_plist(tmp_path / "1.xml", [(7, erased_contour())])) == ()


def test_positions_that_do_not_match_the_points_are_no_positions(tmp_path: Path) -> None:
    entry = lesion_contour(ct_with_lesion())
    entry["Point_mm"] = entry["Point_mm"][:-1]
    (found,) = read_contours(write_plist(tmp_path / "1.xml", [(7, entry)]))
    assert found.points_lps_mm is None


@pytest.mark.parametrize(
    ("points", "n"),
    [
        ([(2.0, 2.0), (6.0, 2.0), (6.0, 5.0), (2.0, 5.0)], 4 * 3),
        ([(2.5, 2.5), (6.5, 2.5), (6.5, 5.5), (2.5, 5.5)], 4 * 3),
        ([(-5.0, -5.0), (2.5, -5.0), (2.5, 1.5), (-5.0, 1.5)], 3 * 2),
        ([(3.0, 3.0), (3.0, 3.0), (3.0, 3.0)], 0),
        ([(0.0, 0.0), (4.0, 4.0), (4.0, 0.0), (0.0, 4.0)], 8),
    ],
    ids=["on centres", "between centres", "beyond the image", "a point", "crossing itself"],
)
def test_pixels_inside_a_polygon(points: list[tuple[float, float]], n: int) -> None:
    assert pixels_inside(np.array(points), SHAPE_YX).sum() == n


def test_the_direction_of_a_polygon_does_not_matter() -> None:
    points = np.random.default_rng(3).uniform(0, 30, (9, 2))
    assert np.array_equal(pixels_inside(points, SHAPE_YX), pixels_inside(points[::-1], SHAPE_YX))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Plantedname Zebedee",
        b"<?xml version='1.0'?><plist><dict><key>Images</key>",
        plistlib.dumps([]),
        plistlib.dumps({"Images": [{"ImageIndex": 3}]}),
        plistlib.dumps({"Images": [{"ImageIndex": "Zebedee", "ROIs": [{}]}]}),
        plistlib.dumps({"Images": [{"ImageIndex": 3, "ROIs": [{"Name": "a"}]}]}),
        plistlib.dumps({"Images": [{"ImageIndex": 3, "ROIs": [{"Name": "a", "Point_px": ["(1, 2, 3)"]}]}]}),
        plistlib.dumps({"Images": [{"ImageIndex": 3, "ROIs": [{"Name": "a", "Point_px": ["Zebedee"]}]}]}),
    ],
    ids=["empty", "text", "cut off", "a list", "no contours", "no index", "no points", "three numbers", "words"],
)
def test_what_holds_no_contours_is_refused_without_its_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.xml").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"1\.xml") as refused:
        read_contours(tmp_path / "1.xml")
    assert "Zebedee" not in str(refused.value)
