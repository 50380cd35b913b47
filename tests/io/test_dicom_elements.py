from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from calcmap.io.dicom_elements import ELEMENTS, MalformedDicomError, is_dicom, read_header
from ct_series import ct_images


def _content(image: Dataset | None = None) -> bytes:
    buffer = io.BytesIO()
    (ct_images()[0] if image is None else image).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_tags_and_representations_are_those_of_the_dictionary() -> None:
    assert {keyword: (tag_for_keyword(keyword), dictionary_VR(keyword)) for keyword in ELEMENTS} == ELEMENTS


def test_no_identity_of_a_patient_is_read() -> None:
    assert not {"PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"} & set(ELEMENTS)


def test_values_and_place_of_the_pixels_are_those_of_pydicom() -> None:
    content = _content()
    header, image = read_header(io.BytesIO(content)), dcmread(io.BytesIO(content))
    assert header.elements.text("SeriesInstanceUID") == image.SeriesInstanceUID
    assert header.elements.numbers("ImagePositionPatient") == tuple(float(mm) for mm in image.ImagePositionPatient)
    assert header.elements.number("Rows") == image.Rows
    assert header.pixel_length == len(image.PixelData)
    assert header.pixel_offset is not None
    assert content[header.pixel_offset : header.pixel_offset + header.pixel_length] == image.PixelData


@pytest.mark.parametrize(
    ("charset", "description"),
    [("ISO_IR 100", "Schädel"), ("ISO_IR 192", "胸部 CT"), ("ISO_IR 144", "грудь"), ("GB18030", "胸部")],
)
def test_descriptions_are_decoded(charset: str, description: str) -> None:
    image = ct_images()[0]
    image.SpecificCharacterSet, image.SeriesDescription = charset, description
    assert read_header(io.BytesIO(_content(image))).elements.text("SeriesDescription") == description


@pytest.mark.parametrize("has_undefined_length", [True, False])
@pytest.mark.parametrize("is_implicit", [True, False])
def test_nested_sequences_are_stepped_over_and_wanted_ones_kept(has_undefined_length: bool, is_implicit: bool) -> None:
    image = ct_images()[0]
    purpose, related, other = Dataset(), Dataset(), Dataset()
    purpose.CodeValue = "122403"
    related.SeriesInstanceUID, related.PurposeOfReferenceCodeSequence = "1.2.3", [purpose]
    other.ReferencedSOPInstanceUID, other.PurposeOfReferenceCodeSequence = "1.2.4", [purpose]
    image.RelatedSeriesSequence, image.ReferencedImageSequence = [related, related], [other]
    for keyword in ("RelatedSeriesSequence", "ReferencedImageSequence"):
        image[keyword].is_undefined_length = has_undefined_length
        for item in image[keyword].value:
            item.is_undefined_length_sequence_item = has_undefined_length
    image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if is_implicit else "1.2.840.10008.1.2.1"
    elements = read_header(io.BytesIO(_content(image))).elements
    items = elements.sequence("RelatedSeriesSequence")
    assert [item.text("SeriesInstanceUID") for item in items] == ["1.2.3", "1.2.3"]
    assert items[1].sequence("PurposeOfReferenceCodeSequence")[0].text("CodeValue") == "122403"
    assert elements.text("SeriesInstanceUID") == image.SeriesInstanceUID


@settings(max_examples=60, deadline=None)
@given(end=st.integers(0, 1000), flips=st.lists(st.tuples(st.integers(132, 1200), st.integers(0, 255)), max_size=6))
def test_damaged_headers_are_parsed_or_refused_and_nothing_else(end: int, flips: list[tuple[int, int]]) -> None:
    content = bytearray(_CONTENT)
    for position, value in flips:
        content[position] = value
    try:
        header = read_header(io.BytesIO(bytes(content[: len(content) - end])))
    except MalformedDicomError:
        return
    header.elements.numbers("ImagePositionPatient")
    header.elements.text("SeriesDescription")


_CONTENT = _content()


@pytest.mark.parametrize(
    ("head", "expected"),
    [(_CONTENT[:132], True), (_CONTENT[132:264], True), (b"hello world, this is text", False), (b"", False)],
)
def test_dicom_is_told_from_other_files(head: bytes, expected: bool) -> None:
    assert is_dicom(head) is expected


@pytest.mark.real_data
def test_real_headers_are_read_as_pydicom_reads_them(shared_data: Path) -> None:
    paths = [
        *(shared_data / "real_ct" / "acrin042" / "dicom").iterdir(),
        *(shared_data / "qrm_phantom" / "dicom").iterdir(),
    ]
    assert len(paths) == 182
    for path in paths[::6]:
        with path.open("rb") as stream:
            elements = read_header(stream).elements
        image = dcmread(path, stop_before_pixels=True)
        for keyword, (_, representation) in ELEMENTS.items():
            if keyword in image and representation in ("DS", "IS", "US"):
                value = image[keyword].value
                expected = [float(number) for number in (value if hasattr(value, "__iter__") else [value])]
                assert list(elements.numbers(keyword)) == expected
            elif keyword in image and representation == "UI":
                assert elements.text(keyword) == image[keyword].value
