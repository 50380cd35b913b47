from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from calcmap.core.errors import SeriesNotFoundError
from calcmap.io.finding import find_studies
from calcmap.io.origins import series_paths
from ct_series import ct_images, save
from scored_chest import write_chest_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(ct_images(), tmp_path_factory.mktemp("origin") / "study" / "ct")


def test_a_dicom_series_is_found_again_in_its_folder(folder: Path) -> None:
    (study,) = find_studies([folder.parent])
    uid = study.series[0].uid
    assert series_paths(study, uid) == (folder,)
    (again,) = find_studies(series_paths(study, uid))
    assert again.find_series(uid).n_images == study.series[0].n_images
    with pytest.raises(SeriesNotFoundError):
        series_paths(study, "1.2.3.4")


def test_a_series_over_two_folders_names_both(folder: Path, tmp_path: Path) -> None:
    paths = sorted(folder.iterdir())
    for name, part in (("b", paths[:3]), ("a", paths[3:])):
        (tmp_path / name).mkdir()
        for path in part:
            shutil.copy(path, tmp_path / name)
    (study,) = find_studies([tmp_path])
    assert series_paths(study, study.series[0].uid) == (tmp_path / "a", tmp_path / "b")


def test_a_zip_archive_and_a_voxel_file_are_named_themselves(folder: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", folder))
    (study,) = find_studies([archive])
    assert series_paths(study, study.series[0].uid) == (archive,)
    file = write_chest_file(tmp_path / "chest.nii.gz")
    (study,) = find_studies([file])
    assert series_paths(study, study.series[0].uid) == (file,)
