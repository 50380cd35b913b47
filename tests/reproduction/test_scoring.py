"""A simulated patient from images to a score, as `calcmap reproduce` makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from calcmap.cohorts.order import SimulationOrder
from calcmap.core.errors import InputError
from calcmap.reproduction.scoring import RESULT_FILE, networks_of, read_scored_patients, score_patients

ORDER = SimulationOrder(patients=1, site="pet_ct", seed=5)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scored")
    list(score_patients(ORDER, out, workers=1))
    return out


def test_a_patient_has_a_result_and_no_images(scored: Path) -> None:
    (patient,) = read_scored_patients(ORDER, scored)

    assert patient.name == ORDER.name_of(0)
    assert patient.result["status"] == "scored"
    assert patient.against_labels.dice_heart > 0.9
    # both ways from image to score are one way: through DICOM and from the array itself
    assert patient.result["agatston"] == pytest.approx(patient.against_labels.agatston, abs=1e-6)
    assert {path.suffix for path in (scored / patient.name).iterdir()} == {".json"}
    assert set(networks_of([patient])) >= {"heart", "calcium"}


def test_a_second_run_keeps_what_is_scored(scored: Path) -> None:
    result = scored / ORDER.name_of(0) / RESULT_FILE
    before = result.stat().st_mtime_ns

    assert list(score_patients(ORDER, scored, workers=1)) == [result.parent]
    assert result.stat().st_mtime_ns == before


def test_a_patient_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pet_ct-5-00000 holds no scored patient"):
        read_scored_patients(ORDER, tmp_path)
