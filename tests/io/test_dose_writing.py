from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from calcmap.io.dicom_objects import SeriesHeader, save_object
from calcmap.io.dose_writing import Irradiation, dose_report
from dciodvfy import complaints, needs_dciodvfy

HEADER = SeriesHeader(seed="dose", study_seed="s", description="Dose", study_time="080000")
SCOUT = Irradiation(
    protocol="Scout", kvp=120.0, tube_current_ma=10.0, exposure_s=3.0, rotation_s=1.0, length_mm=300.0,
    ctdi_vol_mgy=0.04, collimation_mm=(1.25, 5.0), is_localizer=True,
)  # fmt: skip
HELIX = Irradiation(
    protocol="CTAC", kvp=120.0, tube_current_ma=20.0, exposure_s=8.0, rotation_s=0.8, length_mm=250.0,
    ctdi_vol_mgy=1.2, collimation_mm=(1.25, 20.0), pitch=1.375,
)  # fmt: skip
STEPS = Irradiation(
    protocol="CaSc", kvp=120.0, tube_current_ma=60.0, exposure_s=2.0, rotation_s=0.35, length_mm=120.0,
    ctdi_vol_mgy=2.0, collimation_mm=(1.25, 20.0),
)  # fmt: skip


def _items(node: Dataset) -> Iterator[Dataset]:
    for item in node.get("ContentSequence", []):
        yield item
        yield from _items(item)


def _values(report: Dataset, code: str) -> list[float]:
    named = [item for item in _items(report) if item.ConceptNameCodeSequence[0].CodeValue == code]
    return [float(item.MeasuredValueSequence[0].NumericValue) for item in named]


def test_the_total_dose_is_the_sum_of_the_irradiations() -> None:
    report = dose_report([SCOUT, HELIX, STEPS], header=HEADER, ended_at="081500")
    # 1.2 mGy over 25 cm, 2 mGy over 12 cm, 0.04 mGy over 30 cm
    assert _values(report, "113838") == [30.0, 24.0]
    assert _values(report, "113813") == [pytest.approx(55.2)]
    assert _values(report, "113812") == [3.0]


def test_only_a_helix_has_a_pitch() -> None:
    report = dose_report([SCOUT, HELIX, STEPS], header=HEADER, ended_at="081500")
    assert _values(report, "113828") == [1.375]
    kinds = [item for item in _items(report) if item.ConceptNameCodeSequence[0].CodeValue == "113820"]
    meanings = [item.ConceptCodeSequence[0].CodeMeaning for item in kinds]
    assert meanings == ["Constant Angle Acquisition", "Spiral Acquisition", "Sequenced Acquisition"]


@needs_dciodvfy
def test_the_dose_report_holds_to_the_standard(tmp_path: Path) -> None:
    save_object(dose_report([SCOUT, HELIX, STEPS], header=HEADER, ended_at="081500"), tmp_path / "dose.dcm")
    assert complaints([tmp_path / "dose.dcm"]) == []
