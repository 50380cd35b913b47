"""One real study in every packing: the score must agree to the last digit."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from calcmap.io.nifti import write_volume
from calcmap.io.reading import read_single_ct
from cli.conftest import Calcmap
from gdcm_recompression import recompress

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def dicom(shared_data: Path) -> Path:
    return shared_data / "real_ct" / "acrin042" / "dicom"


@pytest.fixture(scope="module")
def as_acquired(dicom: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return the result of the study as it came."""
    out = tmp_path_factory.mktemp("acquired")
    subprocess.run(
        [sys.executable, "-m", "calcmap.cli.main", "score", dicom, "-o", out], check=True, capture_output=True
    )
    return json.loads(next(out.glob("*/result.json")).read_text())  # type: ignore[no-any-return]


def _zipped(dicom: Path, to: Path) -> Path:
    with zipfile.ZipFile(to / "study.zip", "w", zipfile.ZIP_STORED) as archive:
        for file in dicom.iterdir():
            archive.write(file, f"study/{file.name}")
    return to / "study.zip"


def _nifti(dicom: Path, to: Path) -> Path:
    write_volume(read_single_ct(dicom).volume, to / "ct.nii.gz")
    return to / "ct.nii.gz"


def _shuffled_names(dicom: Path, to: Path) -> Path:
    files = sorted(dicom.iterdir())
    random.Random(1).shuffle(files)
    for number, file in enumerate(files):
        shutil.copyfile(file, to / f"{number:04d}")
    return to


def _flipped_numbers(dicom: Path, to: Path) -> Path:
    """Write the slices with names and instance numbers running the other way."""
    files = sorted(dicom.iterdir())
    for number, file in enumerate(reversed(files), start=1):
        image = pydicom.dcmread(file)
        image.InstanceNumber = number
        image.save_as(to / f"{number:04d}.dcm")
    return to


def _recompressed(syntax: str) -> Callable[[Path, Path], Path]:
    def write(dicom: Path, to: Path) -> Path:
        for file in dicom.iterdir():
            recompress(file, to / file.name, syntax=syntax)
        return to

    return write


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(_zipped, id="zip"),
        pytest.param(_nifti, id="NIfTI"),
        pytest.param(_shuffled_names, id="shuffled names"),
        pytest.param(_flipped_numbers, id="flipped slice order"),
        pytest.param(_recompressed(JPEGLSLossless), id="JPEG-LS"),
        pytest.param(_recompressed(JPEG2000Lossless), id="JPEG 2000"),
    ],
)
def test_packing_does_not_change_the_score(
    calcmap: Calcmap,
    dicom: Path,
    as_acquired: dict[str, object],
    tmp_path: Path,
    pack: Callable[[Path, Path], Path],
) -> None:
    ran = calcmap("score", pack(dicom, tmp_path), "--json")
    assert (ran.code, ran.err) == (0, "")
    (result,) = json.loads(ran.out)
    for number in ("agatston", "volume_mm3", "category"):
        assert result[number] == as_acquired[number]
    assert result["heart"]["volume_ml"] == as_acquired["heart"]["volume_ml"]  # type: ignore[index]
