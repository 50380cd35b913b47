"""Scans with one defect each, and what must be said of them.

Rooms from ``io`` up to ``cli`` run over this one table: each row is refused with its error code or read with its flag.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import generate_uid

from calcmap.core.volume import Volume
from calcmap.io.ct_writing import CtHeader
from calcmap.io.nifti import write_volume
from ct_series import HEADER, ct_images, save, small_ct, with_values


class Malformed(NamedTuple):
    """One row: how to make it in a folder, and the error code or flag that must come out."""

    build: Callable[[Path], Path]
    expected: str
    is_refused: bool


def _uid(*words: object) -> str:
    return str(generate_uid(entropy_srcs=[str(word) for word in words]))


def _renamed(image: FileDataset, *words: object) -> FileDataset:
    """Return a copy under another SOP Instance UID."""
    twin = copy.deepcopy(image)
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = _uid("twin", image.SOPInstanceUID, *words)
    return twin


def _moved(image: FileDataset, shift_mm: tuple[float, float, float]) -> None:
    image.ImagePositionPatient = [
        round(float(mm) + shift, 3) for mm, shift in zip(image.ImagePositionPatient, shift_mm, strict=True)
    ]


def _edited(edit: Callable[[list[FileDataset]], list[FileDataset] | None]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        images = ct_images()
        return save(edit(images) or images, folder)

    return build


def _each(**values: object) -> Callable[[Path], Path]:
    """Build a series with some elements of every image set, or removed when ``None``."""

    def edit(images: list[FileDataset]) -> None:
        for image in images:
            for keyword, value in values.items():
                if value is None:
                    del image[keyword]
                else:
                    setattr(image, keyword, value)

    return _edited(edit)


def _of(make: Callable[[], Volume], *, header: CtHeader = HEADER) -> Callable[[Path], Path]:
    return lambda folder: save(ct_images(make(), header=header), folder)


def _mixed_size(images: list[FileDataset]) -> None:
    image = images[5]
    image.Rows = 30
    image.PixelData = image.PixelData[: 30 * image.Columns * 2]


def _mixed(keyword: str, value: object) -> Callable[[Path], Path]:
    return _edited(lambda images: setattr(images[-1], keyword, value))


def _second_acquisition(shift_mm: float) -> Callable[[Path], Path]:
    def edit(images: list[FileDataset]) -> list[FileDataset]:
        others = [_renamed(image, "second") for image in images]
        for number, image in enumerate(others):
            image.AcquisitionNumber = 2
            _moved(image, (0.0, 0.0, shift_mm))
            image.PixelData = np.roll(np.frombuffer(image.PixelData, "<i2"), number + 1).tobytes()
        return images + others

    return _edited(edit)


def _two_regular_acquisitions(images: list[FileDataset]) -> None:
    for image in images[12:]:
        image.AcquisitionNumber = 2


def _with_localizer(images: list[FileDataset]) -> list[FileDataset]:
    localizer = _renamed(images[0])
    localizer.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    localizer.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    localizer.Rows, localizer.Columns = 20, 64
    return [localizer, *images]


def _sheared(images: list[FileDataset]) -> None:
    for number, image in enumerate(images):
        _moved(image, (0.0, 0.3 * number, 0.0))


def _different_duplicate(images: list[FileDataset]) -> list[FileDataset]:
    twin = _renamed(images[7])
    twin.PixelData = images[8].PixelData
    return [*images, twin]


def _irregular(images: list[FileDataset]) -> None:
    for image in images[10:]:
        _moved(image, (0.0, 0.0, 1.3))


def _eight_bit(images: list[FileDataset]) -> None:
    for image in images:
        stored = np.frombuffer(image.PixelData, "<i2")
        image.PixelData = np.clip(stored / 8, 0, 255).astype(np.uint8).tobytes()
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0


def _colour(images: list[FileDataset]) -> None:
    for image in images:
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
        image.PixelData = image.PixelData * 3


def _without_pixels(images: list[FileDataset]) -> None:
    for image in images:
        del image["PixelData"], image["Rows"], image["Columns"]
        image.Modality, image.SOPClassUID = "SR", "1.2.840.10008.5.1.4.1.1.88.33"


def _encrypted(images: list[FileDataset]) -> None:
    for image in images:
        sealed = Dataset()
        sealed.EncryptedContentTransferSyntaxUID = "1.2.840.10008.1.2.1"
        sealed.EncryptedContent = b"\x01\x02\x03\x04"
        image.EncryptedAttributesSequence = [sealed]
        del image["PixelData"]


def _cut(
    *, before_pixels: bool = False, keep_share: float = 1.0, which: slice = slice(11, 12)
) -> Callable[[Path], Path]:
    """Build a series of which some files end early."""

    def build(folder: Path) -> Path:
        save(ct_images(), folder)
        for path in sorted(folder.iterdir())[which]:
            content = path.read_bytes()
            end = content.index(b"\xe0\x7f\x10\x00") if before_pixels else int(len(content) * keep_share)
            path.write_bytes(content[:end])
        return folder

    return build


def _padded(padding_hu: int, *, is_declared: bool = False) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        ct = small_ct().ct_hu_zyx.copy()
        ct[:, :5], ct[:, :, -4:] = padding_hu, padding_hu
        images = ct_images(with_values(small_ct(), ct))
        if is_declared:
            for image in images:
                image.add_new("PixelPaddingValue", "SS", padding_hu + 1024)
        return save(images, folder)

    return build


def _files(**contents: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name.replace("_", ".")).write_bytes(content)
        return folder

    return build


def _nifti(
    make: Callable[[], Volume], *, keep_share: float = 1.0, forget_orientation: bool = False
) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "scan.nii"
        write_volume(make(), path)
        content = bytearray(path.read_bytes())
        if forget_orientation:
            content[252:256] = bytes(4)  # qform_code and sform_code
        path.write_bytes(content[: int(len(content) * keep_share)])
        return path

    return build


def _windowed() -> Volume:
    ct = np.clip(small_ct().ct_hu_zyx.astype(np.float64) / 6 + 100, 0, 255)
    return with_values(small_ct(), ct)


MALFORMED: dict[str, Malformed] = {
    "missing slice": Malformed(_edited(lambda images: images[:9] + images[10:]), "missing_slice", True),
    "several missing slices": Malformed(
        _edited(lambda images: images[:6] + images[8:15] + images[16:]), "missing_slice", True
    ),
    "duplicate slice": Malformed(
        _edited(lambda images: [*images, _renamed(images[7])]), "duplicate_slice_dropped", False
    ),
    "duplicate position, other pixels": Malformed(_edited(_different_duplicate), "duplicate_position", True),
    "mixed sizes": Malformed(_edited(_mixed_size), "mixed_series", True),
    "mixed pixel spacings": Malformed(_mixed("PixelSpacing", [4.0, 4.2]), "mixed_series", True),
    "mixed orientations": Malformed(_mixed("ImageOrientationPatient", [-1, 0, 0, 0, -1, 0]), "mixed_series", True),
    "mixed frames of reference": Malformed(_mixed("FrameOfReferenceUID", _uid("other")), "mixed_series", True),
    "two acquisitions, one stack": Malformed(_edited(_two_regular_acquisitions), "several_acquisitions", False),
    "two acquisitions, same positions": Malformed(_second_acquisition(0.0), "multiple_acquisitions", True),
    "two acquisitions, interleaved": Malformed(_second_acquisition(0.9), "multiple_acquisitions", True),
    "localizer inside": Malformed(_edited(_with_localizer), "localizer_dropped", False),
    "localizer only": Malformed(_each(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "no_scorable_series", True),
    "gantry tilt": Malformed(_each(GantryDetectorTilt="12.5"), "gantry_tilt", True),
    "sheared positions": Malformed(_edited(_sheared), "gantry_tilt", True),
    "irregular spacing": Malformed(_edited(_irregular), "irregular_spacing", True),
    "slice moved sideways": Malformed(
        _edited(lambda images: _moved(images[10], (2.0, 0.0, 0.0))), "irregular_spacing", True
    ),
    "wrong modality": Malformed(_each(Modality="MR"), "wrong_modality", True),
    "secondary capture": Malformed(_each(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "not_hounsfield", True),
    "no rescale": Malformed(_each(RescaleSlope=None, RescaleIntercept=None), "not_hounsfield", True),
    "slope zero": Malformed(_each(RescaleSlope="0"), "not_hounsfield", True),
    "rescale to another unit": Malformed(_each(RescaleType="OD"), "not_hounsfield", True),
    "non-square pixels": Malformed(_of(lambda: small_ct(spacing_mm_zyx=(3.0, 4.0, 3.5))), "non_square_pixels", False),
    "eight bits": Malformed(_edited(_eight_bit), "not_hounsfield", True),
    "colour": Malformed(_edited(_colour), "not_hounsfield", True),
    "windowed values": Malformed(_of(_windowed), "not_hounsfield", True),
    "constant": Malformed(_of(lambda: with_values(small_ct(), np.zeros((24, 32, 40)))), "not_hounsfield", True),
    "truncated pixels": Malformed(_cut(keep_share=0.7), "unreadable_file", True),
    "pixels cut off": Malformed(_cut(before_pixels=True), "unreadable_file", True),
    "top slice without pixels": Malformed(_cut(before_pixels=True, which=slice(23, 24)), "unreadable_file", True),
    "top slice cut off in its header": Malformed(_cut(keep_share=0.1, which=slice(23, 24)), "unreadable_files", False),
    "every header cut off": Malformed(_cut(keep_share=0.2, which=slice(None)), "unreadable_file", True),
    "encrypted": Malformed(_edited(_encrypted), "unreadable_file", True),
    "no image": Malformed(_edited(_without_pixels), "not_an_image", True),
    "padding -2000": Malformed(_padded(-2000), "hu_padding", False),
    "padding -2048": Malformed(_padded(-2048), "hu_padding", False),
    "padding -3024": Malformed(_padded(-3024), "hu_padding", False),
    "padding declared": Malformed(_padded(-1500, is_declared=True), "hu_padding", False),
    "too few slices": Malformed(_edited(lambda images: images[:8]), "too_few_slices", True),
    "too little coverage": Malformed(_of(lambda: small_ct(spacing_mm_zyx=(1.0, 4.0, 4.0))), "too_few_slices", True),
    "gaps between slices": Malformed(_each(SliceThickness="2"), "slice_gap", False),
    "overlapping slices": Malformed(_each(SliceThickness="4"), "slice_overlap", False),
    "coronal": Malformed(_each(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "not_axial", True),
    "no positions": Malformed(_each(ImagePositionPatient=None), "geometry_error", True),
    "no pixel spacing": Malformed(_each(PixelSpacing=None), "geometry_error", True),
    "contrast": Malformed(_each(ContrastBolusAgent="IOHEXOL"), "no_scorable_series", True),
    "empty folder": Malformed(_files(), "no_scorable_series", True),
    "text only": Malformed(_files(notes_txt=b"hello"), "no_scorable_series", True),
    "garbage": Malformed(_files(a_dcm=bytes(range(256)) * 8), "unreadable_file", True),
    "empty file": Malformed(_files(a_dcm=b""), "unreadable_file", True),
    "damaged zip": Malformed(_files(a_zip=b"PK\x03\x04 no archive"), "unreadable_file", True),
    "windowed NIfTI": Malformed(_nifti(_windowed), "not_hounsfield", True),
    "truncated NIfTI": Malformed(_nifti(small_ct, keep_share=0.6), "unreadable_file", True),
    "NIfTI without orientation": Malformed(
        _nifti(small_ct, forget_orientation=True), "nifti_without_orientation", False
    ),
}
