"""Planes are shown in true proportion, the right way round, with marks where the labels are."""

import numpy as np
import pytest
from PIL import Image

from calcmap.core.volume import Label, Labels, Volume, grid_from_spacing
from calcmap.report import drawing, planes
from calcmap.report.planes import (
    HeartBox,
    axial_picture,
    coronal_picture,
    frame_around,
    heart_box,
    sagittal_picture,
    windowed,
)

SHAPE = (10, 40, 60)


def make(spacing_mm_zyx: tuple[float, float, float] = (5.0, 2.0, 1.0)) -> tuple[Volume, np.ndarray]:
    grid = grid_from_spacing(SHAPE, spacing_mm_zyx)
    return Volume(np.full(SHAPE, -1000, dtype=np.int16), grid), np.zeros(SHAPE, dtype=np.uint8)


def rows_columns(picture: Image.Image, colour: drawing.Rgb, *, tolerance: int = 12) -> np.ndarray:
    """Return row and column of every pixel of about that colour."""
    difference = np.abs(np.asarray(picture).astype(int) - np.array(colour)).max(axis=2)
    return np.argwhere(difference <= tolerance)


def test_the_window_runs_from_minus_175_to_275_hu() -> None:
    np.testing.assert_array_equal(windowed(np.array([-1000, -175, 50, 275, 3000])), [0, 0, 127, 255, 255])


def test_an_empty_label_map_has_no_box() -> None:
    volume, labels = make()
    assert heart_box(None) is None
    assert heart_box(Labels(labels, volume.grid)) is None


def test_the_box_holds_everything_labelled() -> None:
    volume, labels = make()
    labels[2:5, 10:20, 30:33] = Label.HEART
    labels[5, 20, 40] = Label.NONCORONARY
    assert heart_box(Labels(labels, volume.grid)) == HeartBox(slice(2, 6), slice(10, 21), slice(30, 41))


def test_a_frame_is_square_in_mm_around_the_box() -> None:
    volume, _ = make()
    # rows 10..20 are 20 mm, columns 20..40 are 20 mm; 15 mm on each side make 50 mm: 25 rows, 50 columns
    frame = frame_around(volume, HeartBox(slice(0, 3), slice(10, 20), slice(20, 40)))
    assert frame.side_mm == 50.0
    assert (frame.row_stop - frame.row_start, frame.column_stop - frame.column_start) == (25, 50)
    assert abs((frame.row_start + frame.row_stop) / 2 - 15) <= 0.5
    assert abs((frame.column_start + frame.column_stop) / 2 - 30) <= 0.5


def test_without_a_heart_the_frame_is_the_slice() -> None:
    volume, _ = make()
    # 80 mm deep, 60 mm wide: 80 mm
    frame = frame_around(volume, None)
    assert (frame.row_start, frame.row_stop, frame.side_mm) == (0, 40, 80.0)
    assert frame.column_stop - frame.column_start == 80


def test_a_cut_beyond_the_image_is_filled() -> None:
    volume, _ = make()
    frame = frame_around(volume, None)
    cut = frame.cut(np.ones((40, 60), dtype=np.int16), fill=7)
    assert cut.shape == (40, 80)
    assert (cut[:, :10] == 7).all()
    assert (cut[:, 10:70] == 1).all()
    assert (cut[:, 70:] == 7).all()


@pytest.mark.parametrize("spacing", [(5.0, 2.0, 1.0), (5.0, 1.0, 2.0), (3.0, 1.0, 1.0)])
def test_a_round_body_stays_round_whatever_the_pixels(spacing: tuple[float, float, float]) -> None:
    volume, _ = make(spacing)
    hu = volume.ct_hu_zyx.copy()
    _, dy, dx = spacing
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    hu[:, ((y - 20) * dy) ** 2 + ((x - 30) * dx) ** 2 <= 15.0**2] = 1000
    picture = axial_picture(Volume(hu, volume.grid), None, index=5, frame=frame_around(volume, None), side_px=400)
    bright = rows_columns(picture, (255, 255, 255), tolerance=60)
    # the bright body alone: letters stand at the rim, the scale bar below
    body = bright[(np.abs(bright - 200) < 150).all(axis=1)]
    height, width = np.ptp(body, axis=0)
    assert height == pytest.approx(width, rel=0.12)


def test_the_front_is_up_and_the_patients_right_is_left() -> None:
    volume, _ = make((5.0, 1.0, 1.0))
    hu = volume.ct_hu_zyx.copy()
    hu[:, 5:10, 8:13] = 1000
    picture = axial_picture(Volume(hu, volume.grid), None, index=0, frame=frame_around(volume, None), side_px=600)
    patch = np.asarray(picture)[130:180, 90:120, 0]
    # 10 px a pixel, 10 rows of padding above: rows 150..200, columns 80..130
    assert patch[30:45, 5:20].min() > 250


def test_coronary_calcium_is_filled_and_other_calcium_is_an_open_dashed_line() -> None:
    volume, labels = make((5.0, 1.0, 1.0))
    labels[5, 10:20, 10:20] = Label.CORONARY
    labels[5, 10:20, 40:50] = Label.NONCORONARY
    frame = frame_around(volume, None)
    picture = axial_picture(volume, Labels(labels, volume.grid), index=5, frame=frame, side_px=600)
    red, green = rows_columns(picture, drawing.CORONARY), rows_columns(picture, drawing.NONCORONARY)
    assert red[:, 1].max() < 300 < green[:, 1].min()
    pixels = np.asarray(picture)
    # rows shift by 10 of padding: calcium 200..300; a quarter of red over black inside, nothing inside the other
    np.testing.assert_allclose(pixels[250, 150], 0.25 * np.array(drawing.CORONARY), atol=1)
    assert tuple(pixels[250, 450]) == (0, 0, 0)
    assert len(green) < 0.8 * len(red)


def test_the_hearts_line_follows_its_border() -> None:
    volume, labels = make((5.0, 1.0, 1.0))
    labels[5, 10:30, 20:40] = Label.HEART
    frame = frame_around(volume, None)
    picture = axial_picture(volume, Labels(labels, volume.grid), index=5, frame=frame, side_px=600)
    pixels = np.asarray(picture).astype(int)
    # columns 200..400, rows 200..400
    assert pixels[300, 195:206, 0].max() > 150
    assert pixels[300, 300].tolist() == [0, 0, 0]


def test_coronal_and_sagittal_views_have_the_head_up() -> None:
    volume, _ = make()
    hu = volume.ct_hu_zyx.copy()
    hu[8:] = 1000
    for view in (coronal_picture, sagittal_picture):
        picture = view(Volume(hu, volume.grid), None, None, size_px=(200, 160), marked_slices=[])
        column = np.asarray(picture)[:, 60, 0]
        assert column[: len(column) // 4].max() > 250
        assert column[len(column) // 2 :].max() < 100


def test_silhouettes_and_ticks_are_marked() -> None:
    volume, labels = make()
    labels[3:7, 10:30, 20:40] = Label.HEART
    labels[5, 15:20, 25:30] = Label.CORONARY
    marked = Labels(labels, volume.grid)
    for view in (coronal_picture, sagittal_picture):
        picture = view(volume, marked, heart_box(marked), size_px=(200, 160), marked_slices=[5])
        assert len(rows_columns(picture, drawing.HEART)) > 50
        assert len(rows_columns(picture, drawing.CORONARY)) > 5
        ticks = rows_columns(picture, drawing.WHITE)
        assert np.unique(ticks[:, 0]).size == 1


def test_a_heart_without_calcium_has_no_red() -> None:
    volume, labels = make()
    labels[3:7, 10:30, 20:40] = Label.HEART
    marked = Labels(labels, volume.grid)
    picture = coronal_picture(volume, marked, heart_box(marked), size_px=(200, 160), marked_slices=[])
    assert len(rows_columns(picture, drawing.CORONARY)) == 0


@pytest.mark.parametrize("corner", [(0, 0), (9, 3), (17, 18), (5, 11)])
def test_calcium_marked_in_its_own_box_looks_as_marked_in_the_whole_picture(corner: tuple[int, int]) -> None:
    mask_yx = np.zeros((20, 20), dtype=bool)
    mask_yx[corner[0] : corner[0] + 3, corner[1] : corner[1] + 2] = True
    mask_yx[10, 10] = True
    size = (97, 97)
    piece, box = planes._enlarged_piece(mask_yx, size)
    in_its_box = Image.new("L", size, 0)
    in_its_box.paste(planes._rim(piece), box[:2])
    whole = planes._rim(planes._enlarge_exactly(mask_yx, size))
    np.testing.assert_array_equal(np.asarray(in_its_box), np.asarray(whole))
