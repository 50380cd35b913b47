from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.core.errors import GridMismatchError, OutputError, UnreadableFileError
from calcmap.core.volume import Float64Array, Grid, Labels, Volume, grid_from_spacing
from calcmap.io.canonical import LPS_FROM_RAS, to_canonical
from calcmap.io.nifti import read_labels, read_nifti, read_nifti_volume, write_labels, write_volume

SHAPE_ZYX = (4, 5, 6)


def _rotation(angles: tuple[float, float, float]) -> Float64Array:
    rotation = np.eye(3)
    for (i, j), angle in zip(((0, 1), (0, 2), (1, 2)), angles, strict=True):
        turn = np.eye(3)
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    return rotation


def _affine(angles: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Float64Array:
    affine = np.eye(4)
    affine[:3, :3] = _rotation(angles) @ np.diag([0.6, 0.7, 3.0])
    affine[:3, 3] = -101.5, 33.25, -700.0
    return affine


def _volume(angles: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Volume:
    ct = np.random.default_rng(1).integers(-1024, 3000, SHAPE_ZYX).astype(np.int16)
    return Volume(ct, Grid(SHAPE_ZYX, _affine(angles)))


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.2, -0.15, 0.3)])
def test_nibabel_and_simpleitk_read_what_is_written(
    tmp_path: Path, name: str, angles: tuple[float, float, float]
) -> None:
    volume = _volume(angles)
    write_volume(volume, tmp_path / name)
    by_nibabel = nib.load(tmp_path / name)
    assert np.array_equal(np.asarray(by_nibabel.dataobj).T, volume.ct_hu_zyx)
    assert np.allclose(LPS_FROM_RAS @ by_nibabel.get_sform(), volume.grid.affine_lps_mm, atol=1e-4)
    assert np.allclose(LPS_FROM_RAS @ by_nibabel.get_qform(), volume.grid.affine_lps_mm, atol=1e-3)
    assert by_nibabel.header.get_xyzt_units()[0] == "mm"
    by_itk = sitk.ReadImage(str(tmp_path / name))
    assert np.array_equal(sitk.GetArrayFromImage(by_itk), volume.ct_hu_zyx)
    assert np.allclose(by_itk.GetOrigin(), volume.grid.affine_lps_mm[:3, 3], atol=1e-4)
    directions = np.array(by_itk.GetDirection()).reshape(3, 3) @ np.diag(by_itk.GetSpacing())
    assert np.allclose(directions, volume.grid.affine_lps_mm[:3, :3], atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    permutation=st.permutations([0, 1, 2]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    angles=st.tuples(*[st.floats(-0.3, 0.3)] * 3),
)
def test_any_stored_orientation_arrives_as_the_same_volume(
    permutation: list[int], flips: tuple[bool, bool, bool], angles: tuple[float, float, float]
) -> None:
    volume = _volume(angles)
    stored, affine = volume.ct_hu_zyx.T, volume.grid.affine_lps_mm.copy()
    for axis, is_flipped in enumerate(flips):
        if is_flipped:
            affine[:, 3] += affine[:, axis] * (stored.shape[axis] - 1)
            affine[:, axis] *= -1
            stored = np.flip(stored, axis)
    stored, affine[:, :3] = stored.transpose(permutation), affine[:, permutation]
    voxels_zyx, grid = to_canonical(stored.T, affine)
    assert np.array_equal(voxels_zyx, volume.ct_hu_zyx)
    assert grid.is_same_as(volume.grid)


def test_a_volume_comes_back_as_written(tmp_path: Path) -> None:
    volume = _volume((0.1, 0.0, -0.2))
    write_volume(volume, tmp_path / "ct.nii.gz")
    back = read_nifti_volume(tmp_path / "ct.nii.gz")
    assert np.array_equal(back.ct_hu_zyx, volume.ct_hu_zyx)
    assert back.grid.is_same_as(volume.grid)


def test_a_sheared_affine_is_kept_in_the_sform_alone(tmp_path: Path) -> None:
    affine = _affine()
    affine[1, 2] = 0.4
    write_volume(Volume(np.zeros(SHAPE_ZYX, np.int16), Grid(SHAPE_ZYX, affine)), tmp_path / "ct.nii")
    image = nib.load(tmp_path / "ct.nii")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 1)
    assert np.allclose(LPS_FROM_RAS @ image.affine, affine, atol=1e-4)


def test_slope_and_intercept_are_applied_and_rounded(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.array([[[0, 1, 2]]], np.int16), np.eye(4))
    image.header.set_slope_inter(1.6, -1000.0)
    image.to_filename(tmp_path / "ct.nii")
    assert read_nifti_volume(tmp_path / "ct.nii").ct_hu_zyx.ravel().tolist() == [-1000, -998, -997]


def test_nifti_2_and_a_trailing_time_axis_are_read() -> None:
    image = nib.Nifti2Image(np.ones((6, 5, 4, 1), np.int16), np.eye(4))
    assert read_nifti(image.to_bytes(), name="x").voxels_zyx.shape == SHAPE_ZYX


def test_a_file_without_orientation_is_flagged() -> None:
    image = nib.Nifti1Image(np.ones((6, 5, 4), np.int16), None)
    image.header.set_qform(None, 0)
    image.header.set_sform(None, 0)
    assert [flag.code for flag in read_nifti(image.to_bytes(), name="x").flags] == ["nifti_without_orientation"]


def _nifti_bytes() -> bytes:
    return bytes(nib.Nifti1Image(np.arange(8000, dtype=np.int16).reshape(20, 20, 20), np.eye(4)).to_bytes())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ab",
        b"not a nifti file at all" * 40,
        _nifti_bytes()[:3000],
        gzip.compress(_nifti_bytes())[:4000],
        bytes(nib.Nifti1Image(np.ones((3, 3, 3, 2), np.int16), np.eye(4)).to_bytes()),
        bytes(nib.Nifti1Image(np.ones((3, 3, 3), np.complex64), np.eye(4)).to_bytes()),
    ],
    ids=["empty", "two bytes", "text", "truncated", "truncated gzip", "four-dimensional", "complex"],
)
def test_what_is_not_one_complete_image_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableFileError, match="x"):
        read_nifti(content, name="x")


def test_labels_come_back_on_the_grid_of_their_ct(tmp_path: Path) -> None:
    volume = _volume((0.1, 0.1, 0.0))
    labels = Labels((volume.ct_hu_zyx % 4).astype(np.uint8), volume.grid)
    write_labels(labels, tmp_path / "labels.nii.gz")
    back = read_labels(tmp_path / "labels.nii.gz", volume=volume)
    assert back.grid is volume.grid
    assert np.array_equal(back.labels_zyx, labels.labels_zyx)


def test_labels_stored_as_whole_floats_are_read(tmp_path: Path) -> None:
    nib.Nifti1Image(np.full((3, 3, 3), 2.0, np.float32), np.eye(4)).to_filename(tmp_path / "l.nii")
    assert read_labels(tmp_path / "l.nii").labels_zyx.max() == 2


@pytest.mark.parametrize("value", [0.5, 4.0, -1.0, np.nan])
def test_values_that_are_no_label_are_refused(tmp_path: Path, value: float) -> None:
    nib.Nifti1Image(np.full((3, 3, 3), value, np.float32), np.eye(4)).to_filename(tmp_path / "l.nii")
    with pytest.raises(UnreadableFileError, match="labels"):
        read_labels(tmp_path / "l.nii")


def test_labels_on_another_grid_are_refused(tmp_path: Path) -> None:
    grid = grid_from_spacing(SHAPE_ZYX, (3.0, 0.7, 0.6))
    write_labels(Labels(np.zeros(SHAPE_ZYX, np.uint8), grid), tmp_path / "l.nii")
    with pytest.raises(GridMismatchError):
        read_labels(tmp_path / "l.nii", volume=_volume())


def test_an_unwritable_path_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_volume(_volume(), tmp_path / "missing" / "ct.nii")
