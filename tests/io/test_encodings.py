from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from calcmap.core.errors import InputError, UnreadableFileError
from calcmap.core.scan import Scan
from calcmap.io.choosing import choose_series
from calcmap.io.finding import find_studies
from calcmap.io.reading import load_scan, read_single_ct
from ct_series import HEADER, ct_images, save, save_with_directory, small_ct
from gdcm_recompression import recompress
from stored_ways import enhanced_ct


def _as_native(syntax: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        folder.mkdir()
        for number, image in enumerate(ct_images()):
            image.file_meta.TransferSyntaxUID = syntax
            if syntax == ExplicitVRBigEndian:
                image.PixelData = np.frombuffer(image.PixelData, "<i2").astype(">i2").tobytes()
                image.set_original_encoding(False, False)
            image["PixelData"].VR = "OW"
            image.save_as(folder / f"{number}", enforce_file_format=True)
        return folder

    return build


def _by_pydicom(syntax: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        images = ct_images()
        for image in images:
            image.compress(syntax, generate_instance_uid=False)
        return save(images, folder)

    return build


def _by_gdcm(syntax: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        save(ct_images(), folder)
        for path in folder.iterdir():
            recompress(path, path, syntax=syntax)
        return folder

    return build


def _without_preamble(folder: Path) -> Path:
    _as_native(ImplicitVRLittleEndian)(folder)
    for path in folder.iterdir():
        content = path.read_bytes()
        meta_length = int.from_bytes(content[140:144], "little")
        path.write_bytes(content[144 + meta_length :])
    return folder


def _zipped(folder: Path) -> Path:
    save(ct_images(), folder)
    archive_path = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive_path, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, f"somewhere/{path.name}")
        archive.writestr("__MACOSX/._0001.dcm", b"resource fork")
    return archive_path


def _dicomdir(folder: Path) -> Path:
    return save_with_directory(ct_images(), folder)


def _shuffled(folder: Path) -> Path:
    order = np.random.default_rng(3).permutation(24)
    images = ct_images()
    return save([images[i] for i in order], folder)


def _in_subfolders(folder: Path) -> Path:
    images = ct_images()
    save(images[:10], folder / "b")
    save(images[10:], folder / "a" / "c")
    (folder / "readme.txt").write_text("hello")
    (folder / ".hidden.dcm").write_bytes(b"")
    return folder


def _rescaled_slice_by_slice(folder: Path) -> Path:
    images = ct_images()
    for number, image in enumerate(images):
        intercept = -1024 - number
        image.RescaleIntercept = str(intercept)
        stored = np.frombuffer(image.PixelData, "<i2") - 1024 - intercept
        image.PixelData = stored.astype("<i2").tobytes()
    return save(images, folder)


def _unsigned_twelve_bits_with_overlay(folder: Path) -> Path:
    images = ct_images()
    for image in images:
        stored = np.frombuffer(image.PixelData, "<i2").astype("<u2") | 0x3000
        image.PixelData = stored.tobytes()
        image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, 0
    return save(images, folder)


def _signed_twelve_bits(folder: Path) -> Path:
    images = ct_images()
    for image in images:
        stored = np.frombuffer(image.PixelData, "<i2") - 1024
        image.PixelData = (stored.astype("<u2") & 0x0FFF).tobytes()
        image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, 1
        image.RescaleIntercept = "0"
    return save(images, folder)


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "explicit": _as_native(ExplicitVRLittleEndian),
    "implicit": _as_native(ImplicitVRLittleEndian),
    "big endian": _as_native(ExplicitVRBigEndian),
    "deflated": _as_native(DeflatedExplicitVRLittleEndian),
    "no preamble": _without_preamble,
    "RLE": _by_pydicom(RLELossless),
    "JPEG 2000": _by_gdcm(JPEG2000Lossless),
    "JPEG lossless": _by_gdcm(JPEGLosslessSV1),
    "JPEG-LS": _by_gdcm(JPEGLSLossless),
    "zip": _zipped,
    "DICOMDIR": _dicomdir,
    "shuffled names": _shuffled,
    "subfolders": _in_subfolders,
    "rescale slice by slice": _rescaled_slice_by_slice,
    "twelve bits under an overlay": _unsigned_twelve_bits_with_overlay,
    "twelve bits signed": _signed_twelve_bits,
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())
def test_every_encoding_and_packing_gives_the_same_scan(build: Callable[[Path], Path], tmp_path: Path) -> None:
    scan = read_single_ct(build(tmp_path / "study"))
    assert np.array_equal(scan.volume.ct_hu_zyx, small_ct().ct_hu_zyx)
    assert scan.volume.grid.is_same_as(small_ct().grid)
    assert scan.series_uid == HEADER.series_uid
    assert scan.input_sha256 == _reference_scan(tmp_path / "reference").input_sha256
    assert scan.flags == ()


def _reference_scan(folder: Path) -> Scan:
    return read_single_ct(save(ct_images(), folder))


def test_acquisition_facts_come_from_the_header(tmp_path: Path) -> None:
    acquisition = _reference_scan(tmp_path).acquisition
    assert (acquisition.source_format, acquisition.kvp, acquisition.tube_current_ma) == ("dicom", 120.0, 20.0)
    assert (acquisition.patient_sex, acquisition.patient_age_years) == ("F", 61.0)
    assert (acquisition.slice_thickness_mm, acquisition.kernel, acquisition.is_gated) == (3.0, "STANDARD", None)


def test_fractional_rescale_is_rounded_half_to_even(tmp_path: Path) -> None:
    images = ct_images()
    for image in images:
        image.RescaleSlope, image.RescaleIntercept = "0.5", "-1024"
    scan = read_single_ct(save(images, tmp_path))
    stored = small_ct().ct_hu_zyx.astype(np.float64) + 1024
    assert np.array_equal(scan.volume.ct_hu_zyx, np.rint(stored * 0.5 - 1024))


def test_values_beyond_int16_are_clipped_with_a_flag(tmp_path: Path) -> None:
    images = ct_images()
    for image in images:
        image.RescaleSlope = "30"
        image.RescaleIntercept = "-3000"
    assert "hu_clipped" in [flag.code for flag in read_single_ct(save(images, tmp_path)).flags]


def test_damaged_compressed_pixels_are_unreadable(tmp_path: Path) -> None:
    folder = _by_gdcm(JPEG2000Lossless)(tmp_path / "study")
    path = sorted(folder.iterdir())[3]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 900])
    with pytest.raises(UnreadableFileError):
        read_single_ct(folder)


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_an_enhanced_ct_gives_the_same_volume(tmp_path: Path, syntax: str | None) -> None:
    order = [int(i) for i in np.random.default_rng(5).permutation(24)]
    image = enhanced_ct(ct_images(), order=order)
    if syntax is not None:
        image.compress(syntax, generate_instance_uid=False)
    (study,) = find_studies([save([image], tmp_path)])
    choice = choose_series(study)
    assert choice.chosen is not None
    assert (choice.chosen.n_images, "slices lie 3 mm apart" in choice.chosen.reason) == (24, True)
    scan = load_scan(study, choice.chosen.series_uid)
    assert np.array_equal(scan.volume.ct_hu_zyx, small_ct().ct_hu_zyx)
    assert scan.volume.grid.is_same_as(small_ct().grid)
    assert scan.acquisition.slice_thickness_mm == 3.0


def test_an_enhanced_ct_that_lacks_frames_is_unreadable(tmp_path: Path) -> None:
    image = enhanced_ct(ct_images(), order=list(range(24)))
    image.NumberOfFrames = 23
    with pytest.raises(UnreadableFileError, match="23 frames"):
        read_single_ct(save([image], tmp_path))


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.nrrd", "ct.nhdr", "ct.mha", "ct.mhd"])
@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_voxel_files_of_simpleitk_give_the_same_volume(
    tmp_path: Path, name: str, is_compressed: bool, angle: float
) -> None:
    volume = small_ct()
    image = sitk.GetImageFromArray(volume.ct_hu_zyx[::-1, :, ::-1])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    directions = turn @ np.diag([-1.0, 1.0, -1.0])
    image.SetDirection(directions.ravel().tolist())
    image.SetSpacing((4.0, 4.0, 3.0))
    image.SetOrigin((11.0, -20.0, 30.0))
    sitk.WriteImage(image, str(tmp_path / name), is_compressed)
    scan = read_single_ct(tmp_path / name)
    assert np.array_equal(scan.volume.ct_hu_zyx, volume.ct_hu_zyx)
    expected_origin = image.TransformIndexToPhysicalPoint((39, 0, 23))
    assert scan.volume.grid.lps_mm((0, 0, 0)) == pytest.approx(expected_origin, abs=1e-3)
    assert scan.volume.grid.affine_lps_mm[:3, :3] == pytest.approx(turn @ np.diag([4.0, 4.0, 3.0]), abs=1e-4)


def test_a_ras_nrrd_of_big_endian_numbers_is_turned(tmp_path: Path) -> None:
    ct = small_ct().ct_hu_zyx
    header = (
        "NRRD0004\n# comment\ntype: short\ndimension: 3\nspace: RAS\nsizes: 40 32 24\nendian: big\nencoding: raw\n"
        "space directions: (-4,0,0) (0,-4,0) (0,0,3)\nspace origin: (80,60,-200)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + ct.astype(">i2").tobytes())
    scan = read_single_ct(tmp_path / "a.nrrd")
    assert np.array_equal(scan.volume.ct_hu_zyx, ct)
    assert scan.volume.grid.is_same_as(small_ct().grid)


def test_an_nrrd_without_space_is_flagged(tmp_path: Path) -> None:
    header = "NRRD0001\ntype: short\ndimension: 3\nsizes: 40 32 24\nspacings: 4 4 3\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + small_ct().ct_hu_zyx.astype("<i2").tobytes())
    assert [flag.code for flag in read_single_ct(tmp_path / "a.nrrd").flags] == ["nrrd_without_space"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.nrrd", b"nothing"),
        ("a.nrrd", b"NRRD0001\ntype: short\ndimension: 3\nsizes: 4 4 4\nspacings: 1 1 1\nencoding: raw\n\n1234"),
        ("a.nrrd", b"NRRD0001\ntype: short\ndimension: 3\nsizes: 4 4 4\nspacings: 1 1 1\nencoding: ascii\n\n1 2"),
        ("a.nrrd", b"NRRD0001\ntype: block\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n\n"),
        ("a.nrrd", b"NRRD0004\ntype: short\nsizes: 4 4 4\nspace: scanner-xyz\nspace directions: (1,0,0)\n\n"),
        ("a.nhdr", b"NRRD0004\ntype: short\nsizes: 2 2 2\nspacings: 1 1 1\nencoding: raw\ndata file: ../x.raw\n\n"),
        ("a.nhdr", b"NRRD0004\ntype: short\nsizes: 2 2 2\nspacings: 1 1 1\nencoding: raw\ndata file: x.raw\n\n"),
        ("a.mha", b"nothing"),
        ("a.mha", b"NDims = 2\nDimSize = 4 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(99)),
        ("a.mha", b"NDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(9)),
        ("a.mha", b"DimSize = 4 4 4\nElementType = MET_ODD\nElementDataFile = LOCAL\n"),
        ("a.mha", b"DimSize = 4 4 4\nElementType = MET_SHORT\nCompressedData = True\nElementDataFile = LOCAL\nabc"),
        (
            "a.mha",
            b"DimSize = 1 1 1\nElementType = MET_CHAR\nElementNumberOfChannels = 3\nElementDataFile = LOCAL\n   ",
        ),
        ("a.mhd", b"NDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = /etc/passwd\n"),
    ],
)
def test_damaged_text_headers_are_unreadable(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    (study,) = find_studies([tmp_path / name])
    with pytest.raises(UnreadableFileError, match=r"a\.|x\.raw|passwd"):
        load_scan(study, study.series[0].uid)


def test_two_studies_are_not_one_ct(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"")
    (tmp_path / "b.nii").write_bytes(b"")
    with pytest.raises(InputError, match="2 studies"):
        read_single_ct(tmp_path)
