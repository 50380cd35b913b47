from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from calcmap.core.errors import OutputError
from calcmap.core.volume import grid_from_spacing
from calcmap.io.dicom_objects import save_object
from calcmap.io.nuclear_writing import (
    NuclearHeader,
    Rotation,
    Tracer,
    pet_slices,
    spect_projections,
    spect_volume,
)
from dciodvfy import complaints, needs_dciodvfy

GRID = grid_from_spacing((5, 8, 8), (6.0, 6.4, 6.4), origin_lps_mm=(-20.0, -30.0, 100.0))
COUNTS = np.arange(5 * 8 * 8, dtype=np.float32).reshape(5, 8, 8)
HEADER = NuclearHeader(seed="nm", study_seed="s", description="Stress AC", corrections=("ATTN", "SCAT"), method="OSEM")


def test_spect_slices_come_back_with_their_place_and_step() -> None:
    image = spect_volume(COUNTS, GRID, header=HEADER)
    assert np.array_equal(image.pixel_array, COUNTS)
    assert [float(mm) for mm in image.DetectorInformationSequence[0].ImagePositionPatient] == [-20.0, -30.0, 100.0]
    assert (float(image.SpacingBetweenSlices), image.NumberOfSlices, list(image.SliceVector)) == (
        6.0,
        5,
        [1, 2, 3, 4, 5],
    )
    assert list(image.ImageType) == ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]


def test_the_corrected_image_names_the_ct_and_an_uncorrected_one_names_nothing() -> None:
    named = spect_volume(COUNTS, GRID, header=NuclearHeader(seed="a", study_seed="s", correction_series_uid="1.2.3"))
    (related,) = named.RelatedSeriesSequence
    (purpose,) = related.PurposeOfReferenceCodeSequence
    assert related.SeriesInstanceUID == "1.2.3"
    assert related.StudyInstanceUID == named.StudyInstanceUID
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("122403", "DCM")
    assert "RelatedSeriesSequence" not in spect_volume(COUNTS, GRID, header=HEADER)


def test_each_head_takes_its_part_of_the_views() -> None:
    views = np.ones((6, 4, 8), dtype=np.float32)
    image = spect_projections(
        views, spacing_mm=6.4, rotation=Rotation(start_degrees=45, step_degrees=30), header=HEADER
    )
    assert list(image.DetectorVector) == [1, 1, 1, 2, 2, 2]
    assert list(image.AngularViewVector) == [1, 2, 3, 1, 2, 3]
    assert [float(head.StartAngle) for head in image.DetectorInformationSequence] == [45.0, 135.0]


def test_pet_slices_keep_their_activity_within_a_step_of_their_own_slope() -> None:
    activity = COUNTS * 250.0
    images = pet_slices(activity, GRID, header=HEADER)
    for image, slice_bqml in zip(images, activity, strict=True):
        slope = float(image.RescaleSlope)
        assert image.pixel_array * slope == pytest.approx(slice_bqml, abs=0.5 * slope + 0.01)
    assert [float(image.ImagePositionPatient[2]) for image in images] == [100.0, 106.0, 112.0, 118.0, 124.0]
    assert images[0].Units == "BQML"


@pytest.mark.parametrize("value", [-1.0, 40000.0])
def test_counts_that_cannot_be_stored_are_not_written(value: float) -> None:
    with pytest.raises(OutputError, match="32767"):
        spect_volume(np.full_like(COUNTS, value), GRID, header=HEADER)


def test_an_impossible_age_is_not_written() -> None:
    with pytest.raises(OutputError, match="1000 years"):
        NuclearHeader(seed="x", patient_age_years=1000)


@needs_dciodvfy
def test_nuclear_objects_hold_to_the_standard(tmp_path: Path) -> None:
    rubidium = NuclearHeader(
        seed="pt", study_seed="s", tracer=Tracer.RUBIDIUM, corrections=("DECY", "ATTN", "SCAT"), method="3D IR",
        attenuation_method="measured,CTAC", correction_series_uid="1.2.3",
    )  # fmt: skip
    mu_map = NuclearHeader(seed="mu", study_seed="s", is_transmission=True, is_derived=True)
    views = spect_projections(np.ones((60, 4, 8), np.float32), spacing_mm=6.4, rotation=Rotation(), header=HEADER)
    objects = [
        spect_volume(COUNTS, GRID, header=HEADER),
        spect_volume(COUNTS, GRID, header=mu_map),
        views,
        *pet_slices(COUNTS, GRID, header=rubidium),
    ]
    paths = [tmp_path / f"{index}.dcm" for index in range(len(objects))]
    for made, path in zip(objects, paths, strict=True):
        save_object(made, path)
        assert dcmread(path).SOPInstanceUID == made.SOPInstanceUID
    assert complaints(paths) == []
