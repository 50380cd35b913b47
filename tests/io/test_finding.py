from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import GridMismatchError, InputError, NotAnImageError, UnreadableFileError
from calcmap.core.volume import Label, Volume, grid_from_spacing
from calcmap.io import sources
from calcmap.io.finding import find_studies
from calcmap.io.masks import read_mask
from calcmap.io.nifti import write_volume
from calcmap.io.reading import read_single_ct
from ct_series import HEADER, ct_images, save, save_with_directory, small_ct
from malformed import MALFORMED

OTHER = replace(HEADER, seed="b")


def _few(header: object = HEADER) -> list:
    return ct_images(header=header)[:2]  # type: ignore[arg-type]


def test_a_path_that_does_not_exist_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        find_studies([tmp_path / "nowhere"])


def test_studies_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    save(_few(), tmp_path / "pile", prefix="a")
    save(_few(OTHER), tmp_path / "pile", prefix="b")
    studies = find_studies([tmp_path / "pile"])
    assert [study.name for study in studies] == ["pile", "pile-2"]
    assert {study.series[0].uid for study in studies} == {HEADER.series_uid, OTHER.series_uid}


def test_studies_are_named_after_the_folders_that_set_them_apart(tmp_path: Path) -> None:
    save(_few(), tmp_path / "site" / "p1" / "DICOM")
    save(_few(OTHER), tmp_path / "site" / "p 2" / "ct")
    assert [study.name for study in find_studies([tmp_path / "site"])] == ["p1", "p_2"]
    assert [study.name for study in find_studies([tmp_path / "site" / "p1" / "DICOM"])] == ["p1"]


def test_files_given_one_by_one_make_one_study(tmp_path: Path) -> None:
    folder = save(_few(), tmp_path / "s")
    (study,) = find_studies(sorted(folder.iterdir()))
    assert study.series[0].n_images == 2


def test_a_single_file_names_its_study(tmp_path: Path) -> None:
    folder = save(_few()[:1], tmp_path / "s")
    assert find_studies([folder / "0000.dcm"])[0].name == "0000"


def test_names_never_come_from_the_patient_record(tmp_path: Path) -> None:
    save(_few(replace(HEADER, patient_id="MUSTERMANN")), tmp_path / "s")
    assert "MUSTERMANN" not in repr([(study.name, study.series) for study in find_studies([tmp_path / "s"])])


def test_nothing_vanishes(tmp_path: Path) -> None:
    save(_few(), tmp_path)
    (tmp_path / "report.txt").write_text("x")
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "bad.dcm").write_bytes(b"x")
    sr = MALFORMED["no image"].build(tmp_path / "sr")
    (study,) = find_studies([tmp_path])
    assert sorted(study.ignored) == [".hidden", "picture.jpg", "report.txt"]
    assert sum(isinstance(problem.error, NotAnImageError) for problem in study.problems) == len(list(sr.iterdir()))
    assert sum(isinstance(problem.error, UnreadableFileError) for problem in study.problems) == 1


def test_a_file_listed_in_a_dicomdir_that_is_absent_is_a_problem(tmp_path: Path) -> None:
    save_with_directory(_few(), tmp_path)
    next(path for path in tmp_path.rglob("*") if path.is_file() and path.name != "DICOMDIR").unlink()
    (study,) = find_studies([tmp_path / "DICOMDIR"])
    assert (study.series[0].n_images, len(study.problems)) == (1, 1)


def test_what_is_no_dicomdir_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(b"nothing")
    (study,) = find_studies([tmp_path / "DICOMDIR"])
    assert isinstance(study.problems[0].error, UnreadableFileError)


def test_label_maps_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    for name in ("patient7.nii.gz", "labels.nii.gz", "heart_mask.nii", "seg-2.nrrd"):
        (tmp_path / name).write_bytes(b"")
    (study,) = find_studies([tmp_path])
    assert study.name == "patient7"
    assert sorted(study.ignored) == ["heart_mask.nii", "labels.nii.gz", "seg-2.nrrd"]
    assert find_studies([tmp_path / "labels.nii.gz"])[0].series


def test_beside_a_case_file_only_the_ct_is_a_study(tmp_path: Path) -> None:
    for name in ("ct.nii.gz", "ct_thin.nii.gz", "labels.nii.gz", "case.json"):
        (tmp_path / "c1" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "c1" / name).write_bytes(b"")
    (study,) = find_studies([tmp_path])
    assert study.name == tmp_path.name
    assert study.series[0].uid == "ct.nii.gz"
    with zipfile.ZipFile(tmp_path / "c1.zip", "w") as archive:
        for name in ("ct.nii.gz", "ct_thin.nii.gz", "case.json"):
            archive.write(tmp_path / "c1" / name, f"c1/{name}")
    (zipped,) = find_studies([tmp_path / "c1.zip"])
    assert zipped.series[0].uid == "ct.nii.gz"


def test_members_that_point_out_of_an_archive_stay_in_memory(tmp_path: Path) -> None:
    folder = save(_few(), tmp_path / "s")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"../../{path.name}")
    (study,) = find_studies([tmp_path / "a.zip"])
    assert study.series[0].n_images == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "s"]


def test_archives_that_unpack_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(10_000))
    monkeypatch.setattr(sources, "MAX_MEMBER_BYTES", 5_000)
    (study,) = find_studies([tmp_path / "a.zip"])
    assert "10000 bytes" in str(study.problems[0].error)
    monkeypatch.setattr(sources, "MAX_ARCHIVE_BYTES", 5_000)
    (study,) = find_studies([tmp_path / "a.zip"])
    assert "unpacks to 10000 bytes" in str(study.problems[0].error)


def test_an_encrypted_member_is_unreadable(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.dcm", bytes(1000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    (study,) = find_studies([tmp_path / "a.zip"])
    assert "encrypted" in str(study.problems[0].error)


def test_a_mask_marks_every_voxel_that_is_not_zero(tmp_path: Path) -> None:
    volume = small_ct()
    drawn = np.zeros(volume.grid.shape_zyx, np.int16)
    drawn[3, 4, 5], drawn[6, 7, 8] = 1, -7
    write_volume(Volume(drawn, volume.grid), tmp_path / "m.nii.gz")
    mask = read_mask(tmp_path / "m.nii.gz", volume=volume)
    assert mask.grid is volume.grid
    assert [tuple(int(i) for i in index) for index in np.argwhere(mask.labels_zyx == Label.CORONARY)] == [
        (3, 4, 5),
        (6, 7, 8),
    ]
    assert mask.labels_zyx.sum() == 4


def test_a_mask_on_another_grid_is_refused(tmp_path: Path) -> None:
    write_volume(
        Volume(np.zeros((2, 3, 4), np.int16), grid_from_spacing((2, 3, 4), (1.0, 1.0, 1.0))), tmp_path / "m.nii"
    )
    with pytest.raises(GridMismatchError):
        read_mask(tmp_path / "m.nii", volume=small_ct())
    assert read_mask(tmp_path / "m.nii").labels_zyx.sum() == 0


def test_an_unknown_kind_of_mask_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"")
    with pytest.raises(UnreadableFileError, match="known format"):
        read_mask(tmp_path / "m.png")


@pytest.mark.real_data
def test_the_real_attenuation_ct_is_read_whole(shared_data: Path) -> None:
    scan = read_single_ct(shared_data / "real_ct" / "acrin042" / "dicom")
    assert scan.volume.grid.shape_zyx == (135, 512, 512)
    assert scan.volume.spacing_mm_zyx == pytest.approx((3.27, 0.976562, 0.976562), abs=1e-6)
    assert (scan.acquisition.slice_thickness_mm, scan.acquisition.padding_hu) == (3.75, -3024)
    assert [flag.code for flag in scan.flags] == ["slice_overlap", "hu_padding"]


@pytest.mark.real_data
def test_the_real_phantom_is_read_whole(shared_data: Path) -> None:
    scan = read_single_ct(shared_data / "qrm_phantom" / "dicom")
    assert scan.volume.grid.shape_zyx == (47, 512, 512)
    assert scan.volume.spacing_mm_zyx == pytest.approx((3.0, 0.488, 0.488), abs=1e-6)
