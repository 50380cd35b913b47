from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.fileset import FileSet

from calcmap.core.errors import OutputError
from calcmap.io.capture_writing import secondary_capture
from calcmap.io.dicom_objects import SeriesHeader
from calcmap.io.dicomdir import referenced_files
from calcmap.io.dose_writing import dose_report
from calcmap.io.finding import find_studies
from calcmap.io.study_writing import Layout, write_objects
from ct_series import HEADER, ct_images, small_ct
from dciodvfy import complaints, needs_dciodvfy

OTHER = SeriesHeader(seed="other", study_seed="a", description="Report: [page] 1/2", series_number=901)
DOSE = SeriesHeader(seed="dose", study_seed="a", description="Dose", series_number=999)


def _objects() -> list[list[FileDataset]]:
    page = np.zeros((9, 7), dtype=np.uint8)
    report = dose_report([], header=DOSE, ended_at="120000")
    return [ct_images(small_ct(), header=HEADER), [secondary_capture(page, header=OTHER)], [report]]


@pytest.mark.parametrize("layout", Layout)
def test_every_layout_is_found_as_one_study(tmp_path: Path, layout: Layout) -> None:
    paths = write_objects(_objects(), tmp_path / "study", layout=layout)
    assert all(path.is_file() for path in paths)
    (study,) = find_studies([tmp_path / "study"])
    assert sorted(series.n_images for series in study.series) == [1, 24]


def test_flat_names_tell_neither_series_nor_order(tmp_path: Path) -> None:
    paths = write_objects(_objects(), tmp_path, layout=Layout.FLAT)
    assert {path.parent for path in paths} == {tmp_path}
    assert [path.stem for path in paths[:24]] != sorted(path.stem for path in paths[:24])


def test_series_folders_carry_clean_names(tmp_path: Path) -> None:
    write_objects(_objects(), tmp_path, layout=Layout.SERIES_FOLDERS)
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert folders == ["CT_001_CTAC_synthetic", "OT_901_Report_page_1_2", "SR_999_Dose"]


def test_the_directory_of_a_disc_lists_every_file_at_its_place(tmp_path: Path) -> None:
    paths = write_objects(_objects(), tmp_path, layout=Layout.DISC)
    assert referenced_files(paths[-1]) == sorted(paths[:-1])
    file_set = FileSet(paths[-1])
    assert sorted(Path(instance.path) for instance in file_set) == sorted(paths[:-1])
    file_set._stage["t"].cleanup()  # pydicom leaves it to the garbage collector, which warns
    (study,) = find_studies([paths[-1]])
    assert sorted(series.n_images for series in study.series) == [1, 24]


def test_the_same_objects_give_the_same_directory(tmp_path: Path) -> None:
    first = write_objects(_objects(), tmp_path / "a", layout=Layout.DISC)[-1]
    second = write_objects(_objects(), tmp_path / "b", layout=Layout.DISC)[-1]
    assert first.read_bytes() == second.read_bytes()


def test_a_picture_of_another_shape_is_not_written() -> None:
    with pytest.raises(OutputError, match="shape"):
        secondary_capture(np.zeros((4, 4, 2), dtype=np.uint8), header=OTHER)


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        write_objects(_objects(), tmp_path / "file", layout=Layout.FLAT)


@needs_dciodvfy
def test_a_disc_holds_to_the_standard(tmp_path: Path) -> None:
    paths = write_objects(_objects(), tmp_path, layout=Layout.DISC)
    assert complaints([*paths[:2], *paths[-3:]]) == []
