from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from calcmap.core.errors import OutputError
from calcmap.io.ct_writing import CtHeader, write_ct_series
from calcmap.io.reading import read_single_ct
from ct_series import small_ct, with_affine, with_values


def test_a_series_comes_back_as_written_with_its_fractional_geometry(tmp_path: Path) -> None:
    affine = small_ct().grid.affine_lps_mm.copy()
    affine[:3, :3] = affine[:3, :3] * [1 / 3, 0.123456789012, 1.1]
    affine[:3, 3] = -123.456789012345, 1e-7, 987.654321
    volume = with_affine(small_ct(), affine)
    assert len(write_ct_series(volume, tmp_path / "ct", header=CtHeader(seed="x"))) == 24
    scan = read_single_ct(tmp_path / "ct")
    assert np.array_equal(scan.volume.ct_hu_zyx, volume.ct_hu_zyx)
    assert scan.volume.grid.affine_lps_mm == pytest.approx(affine, abs=1e-6)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_ct_series(small_ct(), tmp_path / "a", header=CtHeader(seed="x"))
    second = write_ct_series(small_ct(), tmp_path / "b", header=CtHeader(seed="x"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_patient_is_marked_as_made_up(tmp_path: Path) -> None:
    image = dcmread(write_ct_series(small_ct(), tmp_path, header=CtHeader(seed="x", patient_id="p7"))[0])
    assert str(image.PatientName) == "Synthetic^p7"
    assert "not a patient" in image.PatientComments
    missing = [keyword for keyword in TYPE_1 if not image.get(keyword)]
    assert missing == []


TYPE_1 = (
    *("SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"),
    *("ImageType", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows"),
    *("Columns", "PixelData"),
)
"""What PS3.3 A.3 wants of a CT image with a value, as far as it applies to a single-energy reconstruction."""


def test_values_that_do_not_fit_are_not_written(tmp_path: Path) -> None:
    too_dense = with_values(small_ct(), np.full((24, 32, 40), 32000))
    with pytest.raises(OutputError, match="31743"):
        write_ct_series(too_dense, tmp_path, header=CtHeader(seed="x"))


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        write_ct_series(small_ct(), tmp_path / "file", header=CtHeader(seed="x"))
