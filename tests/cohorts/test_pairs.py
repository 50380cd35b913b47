from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from calcmap.cohorts.adapters.conversion import Candidate
from calcmap.cohorts.adapters.pairs import (
    ORCASCORE,
    OWN_PAIRS,
    PairLayout,
    Part,
    find_pairs,
    parse_label_map,
    translate_labels,
)
from calcmap.core.errors import ConfigError, GridMismatchError, InputError
from calcmap.core.volume import Labels, Volume
from calcmap.io.nifti import write_labels, write_volume
from calcmap.scoring.agatston import VesselCode
from ct_series import SHAPE_ZYX, ct_images, save, small_ct
from foreign_folders import write_metaimage


def _values() -> np.ndarray:
    values = np.zeros(SHAPE_ZYX, np.uint8)
    values[5:20, 8:20, 10:30] = 1
    values[9, 12:14, 14:18] = 2
    values[11, 15, 15:17] = 3
    return values


def _write_pair(ct: Path, labels: Path, *, values: np.ndarray | None = None) -> Volume:
    volume = small_ct()
    for path in (ct, labels):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(volume, ct)
    write_labels(Labels(_values() if values is None else values, volume.grid), labels)
    return volume


def _one(folder: Path, layout: PairLayout = OWN_PAIRS) -> Candidate:
    (candidate,) = find_pairs(folder, layout)
    return candidate


def test_a_pair_is_read_voxel_by_voxel(tmp_path: Path) -> None:
    volume = _write_pair(tmp_path / "a" / "ct.nii.gz", tmp_path / "a" / "labels.nii.gz")
    candidate = _one(tmp_path)
    scan = candidate.load()
    assert candidate.name == "a"
    assert np.array_equal(scan.volume.ct_hu_zyx, volume.ct_hu_zyx)
    assert np.array_equal(scan.labels.labels_zyx, _values())
    assert scan.vessels_zyx is None


def test_names_are_what_the_star_stands_for(tmp_path: Path) -> None:
    for name in ("p2", "p10"):
        _write_pair(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", tmp_path / "labelsTr" / f"{name}.nii.gz")
    found = find_pairs(tmp_path, replace(OWN_PAIRS, ct="imagesTr/*_0000.nii.gz", labels="labelsTr/*.nii.gz"))
    assert [candidate.name for candidate in found] == ["p10", "p2"]


def test_labels_stored_in_another_orientation_land_on_the_same_voxels(tmp_path: Path) -> None:
    _write_pair(tmp_path / "a" / "ct.nii.gz", tmp_path / "a" / "labels.nii.gz")
    stored = nib.load(tmp_path / "a" / "labels.nii.gz")
    flipped = nib.as_closest_canonical(stored)
    turned = flipped.as_reoriented([[2, -1], [0, 1], [1, -1]])
    nib.save(turned, tmp_path / "a" / "labels.nii.gz")
    assert np.array_equal(_one(tmp_path).load().labels.labels_zyx, _values())


def test_orcascore_gives_coronary_calcium_with_its_vessels(tmp_path: Path) -> None:
    volume = small_ct()
    reference = np.zeros(SHAPE_ZYX, np.uint8)
    reference[4, 12, 14:17], reference[6, 13, 15], reference[8, 14, 16] = 1, 2, 3
    write_metaimage(volume.ct_hu_zyx, volume, tmp_path / "Images" / "TRV1P1CTI.mhd")
    write_metaimage(volume.ct_hu_zyx + 300, volume, tmp_path / "Images" / "TRV1P1CTAI.mhd")
    write_metaimage(reference, volume, tmp_path / "Reference standard" / "TRV1P1R.mhd")
    candidate = _one(tmp_path, ORCASCORE)
    scan = candidate.load()
    assert candidate.name == "TRV1P1"
    assert np.array_equal(scan.volume.ct_hu_zyx, volume.ct_hu_zyx)
    assert np.array_equal(scan.labels.labels_zyx, 2 * (reference > 0))
    assert scan.vessels_zyx is not None
    for stored, vessel in ((1, VesselCode.LAD), (2, VesselCode.LCX), (3, VesselCode.RCA)):
        assert np.array_equal(scan.vessels_zyx == vessel, reference == stored)


def test_a_ct_may_be_a_dicom_folder(tmp_path: Path) -> None:
    volume = small_ct()
    save(ct_images(volume), tmp_path / "a" / "dicom")
    write_labels(Labels(_values(), volume.grid), tmp_path / "a" / "labels.nii.gz")
    scan = _one(tmp_path, replace(OWN_PAIRS, ct="*/dicom")).load()
    assert np.array_equal(scan.volume.ct_hu_zyx, volume.ct_hu_zyx)


def test_other_values_are_translated_by_the_map() -> None:
    values = np.array([[[0, 500, 7, 8, 9, 4]]], np.float32)
    parts = parse_label_map("heart=500, coronary=7,coronary=8, NONCORONARY=9, background=4")
    labels, vessels = translate_labels(values, parts)
    assert labels.ravel().tolist() == [0, 1, 2, 2, 3, 0]
    assert vessels is None


@pytest.mark.parametrize(
    "text", ["", "heart", "heart=", "heart=one", "heart=0", "heart=-1", "liver=5", "heart=1,lad=1", "heart=99999"]
)
def test_a_malformed_map_is_a_settings_error(text: str) -> None:
    with pytest.raises(ConfigError, match="label map"):
        parse_label_map(text)


def test_all_complaints_about_a_map_come_at_once() -> None:
    with pytest.raises(ConfigError, match=r"liver=5.*value 1 is named twice"):
        parse_label_map("liver=5,heart=1,rca=1")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[[0, 1, 5]]]), r"value\(s\) 5.*background=5"),
        (np.array([[[0, 0.5]]]), "not whole"),
        (np.array([[[0, np.nan]]]), "not whole"),
        (np.array([[[0, -1]]]), "run from -1"),
        (np.array([[[0, 70000]]]), "70000"),
    ],
)
def test_values_without_a_meaning_are_refused(values: np.ndarray, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        translate_labels(values, {1: Part.HEART})


def test_labels_of_another_grid_are_refused(tmp_path: Path) -> None:
    _write_pair(tmp_path / "a" / "ct.nii.gz", tmp_path / "a" / "labels.nii.gz")
    other = small_ct(spacing_mm_zyx=(3.0, 4.0, 4.5))
    write_labels(Labels(_values(), other.grid), tmp_path / "a" / "labels.nii.gz")
    with pytest.raises(GridMismatchError):
        _one(tmp_path).load()


@pytest.mark.parametrize("missing", ["ct.nii.gz", "labels.nii.gz"])
def test_half_a_pair_is_refused(tmp_path: Path, missing: str) -> None:
    for name in ("a", "b"):
        _write_pair(tmp_path / name / "ct.nii.gz", tmp_path / name / "labels.nii.gz")
    (tmp_path / "b" / missing).unlink()
    with pytest.raises(InputError, match="there is no"):
        find_pairs(tmp_path, OWN_PAIRS)[1].load()


def test_hidden_files_are_no_cases(tmp_path: Path) -> None:
    _write_pair(tmp_path / "a_ct.nii", tmp_path / "a_seg.nii")
    _write_pair(tmp_path / "._a_ct.nii", tmp_path / "._a_seg.nii")
    assert _one(tmp_path, replace(OWN_PAIRS, ct="*_ct.nii", labels="*_seg.nii")).name == "a"


@pytest.mark.parametrize("pattern", ["ct.nii.gz", "*/*.nii.gz", "/data/*.nii", "../*.nii"])
def test_a_pattern_needs_one_star_below_the_folder(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="one \\*"):
        find_pairs(tmp_path, replace(OWN_PAIRS, ct=pattern))


def test_a_folder_without_pairs_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"0 x \*/ct\.nii\.gz.*--ct and --labels"):
        find_pairs(tmp_path, OWN_PAIRS)
