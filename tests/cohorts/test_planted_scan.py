from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from calcmap.cohorts.planted import AS_ACQUIRED, PlantingOrder, plant_into_scan, read_background
from calcmap.core.errors import ConfigError, GridMismatchError, InputError, UnfitScanError
from calcmap.core.volume import Label, Labels, Volume, grid_from_spacing
from calcmap.io.cases import load_case_arrays
from calcmap.io.ct_writing import CtHeader, write_ct_series
from calcmap.io.nifti import write_labels, write_volume

QUICK = PlantingOrder(cases=2, recipe=replace(AS_ACQUIRED, category_weights=(0, 1, 0, 0), p_heavy_noncoronary=0))
SHAPE_ZYX, SPACING_MM = (34, 96, 104), (4.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def chest() -> tuple[Volume, Labels]:
    """Return a body with lungs and a heart of soft tissue in fat; no aorta, no bone."""
    z, y, x = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(SHAPE_ZYX, SPACING_MM, strict=True)), indexing="ij")
    hu = np.full(SHAPE_ZYX, -1000.0)
    hu[((y - 96) / 80) ** 2 + ((x - 104) / 90) ** 2 < 1] = 40
    hu[((y - 92) / 66) ** 2 + ((x - 104) / 80) ** 2 < 1] = -850
    heart = ((z - 64) / 46) ** 2 + ((y - 80) / 44) ** 2 + ((x - 108) / 50) ** 2 < 1
    hu[heart] = -100
    hu[((z - 64) / 40) ** 2 + ((y - 80) / 37) ** 2 + ((x - 108) / 43) ** 2 < 1] = 45
    hu = ndimage.gaussian_filter(hu, (0, 0.6, 0.6)) + np.random.default_rng(0).normal(0, 8, SHAPE_ZYX)
    grid = grid_from_spacing(SHAPE_ZYX, SPACING_MM, origin_lps_mm=(-104.0, -96.0, 10.0))
    return Volume(np.rint(hu).astype(np.int16), grid), Labels(heart.astype(np.uint8), grid)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, chest: tuple[Volume, Labels]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scan")
    ct, labels, dicom = folder / "chest.nii.gz", folder / "labels.nii.gz", folder / "series"
    write_volume(chest[0], ct)
    write_labels(chest[1], labels)
    header = CtHeader(
        seed="planting",
        patient_id="p",
        patient_sex="F",
        patient_age_years=60,
        description="CT AC",
        kvp=140.0,
        slice_thickness_mm=5.0,
    )
    write_ct_series(chest[0], dicom, header=header)
    return {"nifti": ct, "dicom": dicom, "labels": labels}


def digests(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_any_ct_with_labels_becomes_a_labelled_case(tmp_path: Path, files: dict[str, Path]) -> None:
    order = PlantingOrder(cases=2, seed=3)
    folders = sorted(plant_into_scan(files["nifti"], files["labels"], tmp_path, order=order, workers=1))
    assert [folder.name for folder in folders] == ["chest-p3-000", "chest-p3-001"]
    _, labels, case = load_case_arrays(folders[0])
    assert (case.group, case.site) == ("chest", "planted")
    plaques = case.extra["plaques"]
    assert {"place", "vessel", "mass_mg", "seen_volume_mm3", "seen_agatston", "ideal_agatston"} <= set(plaques[0])
    assert case.reference_agatston is not None
    assert (case.reference_agatston > 0) == (labels.labels_zyx == Label.CORONARY).any()


def test_a_scan_whose_file_name_says_nothing_is_named_by_its_folder(tmp_path: Path, files: dict[str, Path]) -> None:
    file, series = tmp_path / "patient7" / "ct.nii.gz", tmp_path / "patient8" / "dicom"
    file.parent.mkdir()
    shutil.copy(files["nifti"], file)
    shutil.copytree(files["dicom"], series)
    names = [read_background(scan, files["labels"], order=PlantingOrder()).name for scan in (file, series)]
    assert names == ["patient7", "patient8"]


def test_outside_the_plaques_the_scan_stays_as_acquired(
    tmp_path: Path, files: dict[str, Path], chest: tuple[Volume, Labels]
) -> None:
    (folder,) = plant_into_scan(files["nifti"], files["labels"], tmp_path, order=PlantingOrder(), workers=1)
    volume, _, _ = load_case_arrays(folder)
    assert volume.grid.is_same_as(chest[0].grid)
    assert (volume.ct_hu_zyx == chest[0].ct_hu_zyx).mean() > 0.8


def test_a_dicom_series_tells_its_voltage_and_thickness(files: dict[str, Path]) -> None:
    background = read_background(files["dicom"], files["labels"], order=PlantingOrder())
    assert (background.known.kvp, background.known.thickness_mm) == (140.0, 5.0)
    told = PlantingOrder(kvp=120.0, thickness_mm=4.0)
    assert read_background(files["dicom"], files["labels"], order=told).known.kvp == 120.0
    assert read_background(files["nifti"], files["labels"], order=PlantingOrder()).known.thickness_mm is None


def test_the_bytes_are_the_same_for_any_number_of_workers(tmp_path: Path, files: dict[str, Path]) -> None:
    for workers in (1, 2):
        out = tmp_path / str(workers)
        list(plant_into_scan(files["nifti"], files["labels"], out, order=QUICK, workers=workers))
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_plaques_follow_given_paths(tmp_path: Path, files: dict[str, Path]) -> None:
    # A straight LAD, far from where the courses of any prior run: through the middle of the heart.
    line = "\n".join(f"LAD,{x},-16,74,1.5" for x in range(-20, 31, 5))
    paths = tmp_path / "paths.csv"
    paths.write_text("name,x,y,z,radius\n" + line + "\n", encoding="utf-8")
    recipe = replace(AS_ACQUIRED, category_weights=(0, 0, 0, 1))
    order = PlantingOrder(paths=paths, recipe=recipe)
    (folder,) = plant_into_scan(files["nifti"], files["labels"], tmp_path / "out", order=order, workers=1)
    plaques = load_case_arrays(folder)[2].extra["plaques"]
    centres = np.array([plaque["center_mm"] for plaque in plaques if plaque["place"] == "LAD"])
    assert len(centres) > 1
    assert np.hypot(centres[:, 1] + 16, centres[:, 2] - 74).max() < 2.0


def test_labels_of_other_formats_are_read(tmp_path: Path, files: dict[str, Path], chest: tuple[Volume, Labels]) -> None:
    shape = " ".join(str(n) for n in SHAPE_ZYX[::-1])
    header = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {shape}\nspace directions: (2,0,0) (0,2,0) (0,0,4)\nspace origin: (-104,-96,10)\n"
        "encoding: raw\nkinds: domain domain domain\n\n"
    )
    path = tmp_path / "labels.nrrd"
    path.write_bytes(header.encode() + chest[1].labels_zyx.tobytes())
    read = read_background(files["nifti"], path, order=PlantingOrder()).labels
    np.testing.assert_array_equal(read.labels_zyx, chest[1].labels_zyx)


def test_labels_that_do_not_fit_are_refused(
    tmp_path: Path, files: dict[str, Path], chest: tuple[Volume, Labels]
) -> None:
    empty, moved, odd = tmp_path / "empty.nii.gz", tmp_path / "moved.nii.gz", tmp_path / "odd.nii.gz"
    labels = chest[1].labels_zyx
    write_labels(Labels(np.zeros_like(labels), chest[1].grid), empty)
    write_labels(Labels(labels, grid_from_spacing(SHAPE_ZYX, SPACING_MM)), moved)
    nib.save(nib.Nifti1Image(labels.T * np.uint8(7), np.eye(4)), odd)
    order = PlantingOrder()
    with pytest.raises(UnfitScanError, match="no heart voxel"):
        next(plant_into_scan(files["nifti"], empty, tmp_path / "out", order=order))
    with pytest.raises(GridMismatchError):
        next(plant_into_scan(files["nifti"], moved, tmp_path / "out", order=order))
    with pytest.raises(InputError, match="values such as 7"):
        next(plant_into_scan(files["nifti"], odd, tmp_path / "out", order=order))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"), [({"cases": 0}, "0 cases"), ({"kvp": 0.0}, "kvp is 0.0"), ({"thickness_mm": -1.0}, "-1.0")]
)
def test_impossible_orders_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PlantingOrder(**changes)  # type: ignore[arg-type]
