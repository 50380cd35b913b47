"""Real attenuation CTs with their reference hearts: none is refused."""

import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from calcmap.core.scan import Acquisition, Scan, Severity
from calcmap.core.volume import Int16Array, Label, UInt8Array, Volume, grid_from_spacing
from calcmap.quality import assess_heart, assess_scan, refusals

CASES = ("acrin042", "acrinflt013", "lidc0028", "lidc0293", "lidc0306", "lidc0350", "lungdx_A0001")
pytestmark = pytest.mark.real_data


def read_nifti(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    image = nibabel.as_closest_canonical(nibabel.load(path))
    dx, dy, dz = (float(mm) for mm in image.header.get_zooms()[:3])
    # right-anterior-superior, x first, becomes slices to the head, rows to the back, columns to the left
    return np.asanyarray(image.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1], (dz, dy, dx)


def read_dicom(folder: Path) -> Int16Array:
    slices = sorted(
        (pydicom.dcmread(path) for path in folder.iterdir()), key=lambda ds: float(ds.ImagePositionPatient[2])
    )
    return np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices])


def read_case(folder: Path, *, kvp: float | None) -> tuple[Scan, UInt8Array]:
    labels, spacing_mm_zyx = read_nifti(folder / "labels.nii.gz")
    dicom = folder / "dicom"
    hu = read_dicom(dicom) if dicom.is_dir() else read_nifti(folder / "ct.nii.gz")[0]
    volume = Volume(np.ascontiguousarray(hu, dtype=np.int16), grid_from_spacing(hu.shape, spacing_mm_zyx))
    scan = Scan(volume, Acquisition("dicom", kvp=kvp), series_uid=folder.name, input_sha256="")
    return scan, np.ascontiguousarray(labels, dtype=np.uint8)


@pytest.mark.parametrize("case", CASES)
def test_a_real_scan_with_its_reference_heart_is_not_refused(shared_data: Path, case: str) -> None:
    scan, labels = read_case(shared_data / "real_ct" / case, kvp=140.0 if case == "acrin042" else 120.0)
    flags = assess_scan(scan) + assess_heart(scan, labels >= Label.HEART)
    assert refusals(flags) == ()
    warnings = {flag.code for flag in flags if flag.severity is Severity.WARNING}
    assert warnings == ({"kvp_not_120"} if case == "acrin042" else set())


def test_half_a_real_heart_is_refused(shared_data: Path) -> None:
    scan, labels = read_case(shared_data / "real_ct" / "lidc0306", kvp=120.0)
    middle = int(np.flatnonzero((labels > 0).any(axis=(1, 2))).mean())
    hu = np.ascontiguousarray(scan.volume.ct_hu_zyx[:middle])
    cut = Scan(Volume(hu, grid_from_spacing(hu.shape, scan.volume.spacing_mm_zyx)), scan.acquisition, "1", "")
    assert "heart_cut" in {flag.code for flag in refusals(assess_heart(cut, labels[:middle] > 0))}


def test_the_checks_of_a_real_scan_are_quick(shared_data: Path) -> None:
    scan, labels = read_case(shared_data / "real_ct" / "lidc0306", kvp=120.0)
    heart = labels > 0
    seconds = []
    for _ in range(5):
        start = time.process_time()
        assess_scan(scan)
        assess_heart(scan, heart)
        seconds.append(time.process_time() - start)
    # about 0.04 s of CPU when the machine is idle; the warm study has one second in all
    assert min(seconds) < 0.2
