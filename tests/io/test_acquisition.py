from __future__ import annotations

import io

import pytest

from calcmap.core.scan import Acquisition
from calcmap.io.acquisition import gating_evidence, read_acquisition
from calcmap.io.dicom_elements import read_header
from calcmap.io.headers import Instance
from calcmap.io.sources import FileSource
from ct_series import ct_images


def _instance(**values: object) -> Instance:
    image = ct_images()[0]
    for keyword, value in values.items():
        setattr(image, keyword, value)
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    header = read_header(io.BytesIO(buffer.getvalue()))
    return Instance(FileSource.__new__(FileSource), header.elements, header.transfer_syntax, 0, 0)


def _acquisition(**values: object) -> Acquisition:
    return read_acquisition(_instance(**values), thickness_mm=None, padding_hu=None)


@pytest.mark.parametrize(
    ("values", "evidence"),
    [
        ({"ScanOptions": "ECG GATED"}, "ScanOptions ECG GATED"),
        ({"CardiacSynchronizationTechnique": "PROSPECTIVE"}, "CardiacSynchronizationTechnique PROSPECTIVE"),
        ({"CardiacSynchronizationTechnique": "NONE"}, None),
        ({"NominalPercentageOfCardiacPhase": 75.0}, "NominalPercentageOfCardiacPhase 75"),
        ({"TriggerTime": "640"}, "TriggerTime 640 ms"),
        ({"ScanOptions": "HELICAL MODE"}, None),
        ({}, None),
    ],
)
def test_gating_is_shown_by_the_header(values: dict[str, object], evidence: str | None) -> None:
    assert gating_evidence(_instance(**values)) == evidence
    assert _acquisition(**values).is_gated is (True if evidence else None)


@pytest.mark.parametrize(("text", "years"), [("061Y", 61.0), ("018M", 1.5), ("", None), ("61", None)])
def test_ages_are_read_in_years(text: str, years: float | None) -> None:
    instance = _instance()
    instance.header.values[0x00101010] = text.encode()
    assert read_acquisition(instance, thickness_mm=None, padding_hu=None).patient_age_years == years


def test_the_mass_factor_of_the_patient_is_taken() -> None:
    assert _acquisition(CalciumScoringMassFactorPatient=0.75).mass_factor_mg_per_cm3_hu == 0.75
    assert _acquisition().mass_factor_mg_per_cm3_hu is None


def test_what_the_header_does_not_say_stays_open() -> None:
    acquisition = _acquisition(KVP="0", PatientSex="O", ConvolutionKernel="")
    assert (acquisition.kvp, acquisition.patient_sex, acquisition.kernel) == (None, None, None)
