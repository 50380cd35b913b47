from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from calcmap.core.errors import OutputError
from calcmap.io.ct_writing import CtHeader, Storage, ct_image, ct_localizer, write_ct_series
from calcmap.io.dicom_objects import save_object
from calcmap.io.reading import read_single_ct
from ct_series import small_ct, with_affine, with_values
from dciodvfy import complaints, needs_dciodvfy


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


def test_twelve_bits_without_sign_come_back_as_the_same_hu(tmp_path: Path) -> None:
    header = CtHeader(seed="x", storage=Storage.UNSIGNED_12, is_numbered_from_head=True)
    paths = write_ct_series(small_ct(), tmp_path, header=header)
    image = dcmread(paths[0])
    assert (image.BitsStored, image.PixelRepresentation, image.InstanceNumber) == (12, 0, 24)
    assert np.array_equal(read_single_ct(tmp_path).volume.ct_hu_zyx, small_ct().ct_hu_zyx)


@pytest.mark.parametrize("hu", [-1025, 3072])
def test_what_twelve_bits_cannot_hold_is_not_written(tmp_path: Path, hu: int) -> None:
    volume = with_values(small_ct(), np.full((24, 32, 40), hu))
    with pytest.raises(OutputError, match="-1024 to 3071"):
        write_ct_series(volume, tmp_path, header=CtHeader(seed="x", storage=Storage.UNSIGNED_12))


def test_padding_is_announced_as_it_is_stored(tmp_path: Path) -> None:
    ct = small_ct().ct_hu_zyx.copy()
    ct[:, :4] = -3024
    paths = write_ct_series(with_values(small_ct(), ct), tmp_path, header=CtHeader(seed="x", padding_hu=-3024))
    assert dcmread(paths[0]).PixelPaddingValue == -2000
    assert read_single_ct(tmp_path).volume.ct_hu_zyx.min() == -3024


def test_a_localizer_is_no_slice() -> None:
    header = CtHeader(seed="scout", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    image = ct_localizer(np.zeros((9, 8), np.int16), header=header, first_mm=(0.0, 0.0, 9.0), spacing_mm=(2.0, 1.0))
    row, column = np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3)
    assert np.cross(row, column) == pytest.approx([0, 1, 0])
    assert image.ImageType[2] == "LOCALIZER"


@needs_dciodvfy
def test_ct_images_hold_to_the_standard(tmp_path: Path) -> None:
    full = CtHeader(
        seed="x", rotation_s=0.5, pitch=1.375, collimation_mm=(1.25, 20.0), ctdi_vol_mgy=1.2, padding_hu=-2000,
        scan_options="HELICAL MODE", protocol="Cardiac", patient_age_years=61, patient_height_m=1.7,
        patient_weight_kg=80.0, patient_sex="F",
    )  # fmt: skip
    gated = CtHeader(seed="g", storage=Storage.UNSIGNED_12, scan_options="CINE MODE\\ECG GATED")
    scout = CtHeader(seed="s", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    objects = [
        ct_image(small_ct(), 0, header=CtHeader(seed="plain")),
        ct_image(small_ct(), 3, header=full),
        ct_image(small_ct(), 5, header=gated),
        ct_localizer(np.zeros((9, 8), np.int16), header=scout, first_mm=(0.0, 0.0, 9.0), spacing_mm=(2.0, 1.0)),
    ]
    for index, made in enumerate(objects):
        save_object(made, tmp_path / f"{index}.dcm")
    assert complaints(sorted(tmp_path.iterdir())) == []
