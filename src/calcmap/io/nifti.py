"""NIfTI in and out.

Reading is nibabel's work. Writing is done here: one header and the bytes, since importing nibabel takes longer than
writing a label map does.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from calcmap.core.errors import GridMismatchError, OutputError, UnreadableFileError
from calcmap.core.scan import QualityFlag, Severity
from calcmap.core.volume import Float64Array, Grid, Int16Array, Label, Labels, UInt8Array, Volume
from calcmap.io.canonical import LPS_FROM_RAS, VoxelArray, VoxelImage, to_canonical
from calcmap.io.hounsfield import to_int16_hu

GZIP_LEVEL = 1
"""Label maps shrink a hundredfold at any level; the fastest one keeps writing under 0.15 s."""

SHEAR_TOLERANCE = 1e-4
"""Cosine between array axes above which a qform, which knows rotations only, cannot hold the affine (our choice)."""

_HEADER = struct.Struct("<i35xB8h3fhhhh8f3fhBB4f2i80s24shh6f4f4f4f16s4s4x")
"""NIfTI-1's 348 bytes and the 4 of the empty extension; unused Analyze fields are pad bytes."""

_HEADER_BYTES = 348
_DATATYPE_CODES = {np.dtype(np.uint8): 2, np.dtype(np.int16): 4}
_UNITS_MM = 2
_SCANNER_COORDINATES = 1


def read_nifti(content: bytes, *, name: str) -> VoxelImage:
    """Return the voxels of a NIfTI-1 or NIfTI-2 file, gzipped or not, with LPS affine and slope applied.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str
        File name for messages.

    Returns
    -------
    VoxelImage
        Not yet canonical. Flag ``nifti_without_orientation`` (warning) when the file has neither sform nor qform.

    Raises
    ------
    UnreadableFileError
        Truncated, not NIfTI, or not one three-dimensional image of numbers.
    """
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        image_type = nib.Nifti2Image if 540 in _header_sizes(plain) else nib.Nifti1Image
        image = image_type.from_bytes(plain)
        voxels = np.asanyarray(image.dataobj)
    except (EOFError, OSError, ValueError, zlib.error, ImageFileError, HeaderDataError, WrapStructError) as error:
        raise UnreadableFileError(f"{name} is not a complete NIfTI file: {error}") from error
    affine = LPS_FROM_RAS @ np.asarray(image.affine, dtype=np.float64)
    header = image.header
    is_oriented = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    return VoxelImage(_three_dimensional(voxels, name).T, affine, "nifti", () if is_oriented else (_NO_ORIENTATION,))


def read_nifti_volume(path: Path) -> Volume:
    """Return a NIfTI CT as a canonical `Volume`; no check that its values are HU (see ``reading.load_scan``)."""
    image = read_nifti(_read_bytes(path), name=path.name)
    voxels_zyx, grid = to_canonical(image.voxels_zyx, image.affine_lps_mm)
    ct_hu_zyx, _ = to_int16_hu(voxels_zyx)
    return Volume(ct_hu_zyx, grid)


def read_labels(path: Path, *, volume: Volume | None = None) -> Labels:
    """Return a NIfTI label map, canonicalised as CTs are.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz`` with values of `calcmap.core.volume.Label`.
    volume : Volume, optional
        The CT that the labels must lie on.

    Returns
    -------
    Labels
        uint8, on the grid of the file.

    Raises
    ------
    UnreadableFileError
        The file is not NIfTI, or holds other values than 0, 1, 2, 3.
    GridMismatchError
        The labels do not lie on ``volume``.
    """
    image = read_nifti(_read_bytes(path), name=path.name)
    voxels_zyx, grid = to_canonical(image.voxels_zyx, image.affine_lps_mm)
    labels = Labels(_as_labels(voxels_zyx, path.name), grid)
    if volume is not None:
        labels.check_on(volume)
        labels = Labels(labels.labels_zyx, volume.grid)
    return labels


def write_labels(labels: Labels, path: Path) -> None:
    """Write a label map as NIfTI-1 (uint8, RAS, sform and qform), gzipped when the name ends in ``.gz``.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    _write(labels.labels_zyx, labels.grid, path)


def write_volume(volume: Volume, path: Path) -> None:
    """Write a CT as NIfTI-1 (int16 HU, RAS, sform and qform), gzipped when the name ends in ``.gz``.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    _write(volume.ct_hu_zyx, volume.grid, path)


_NO_ORIENTATION = QualityFlag(
    "nifti_without_orientation",
    Severity.WARNING,
    "the NIfTI file has neither sform nor qform: left and right are assumed, not known",
)


def _header_sizes(plain: bytes) -> set[int]:
    """Return the header length in both byte orders; NIfTI-2 says 540 in one of them."""
    if len(plain) < 4:
        raise EOFError("shorter than a header")
    return {int.from_bytes(plain[:4], "little"), int.from_bytes(plain[:4], "big")}


def _three_dimensional(voxels: VoxelArray, name: str) -> VoxelArray:
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3 or voxels.dtype.kind not in "biuf" or 0 in voxels.shape:
        raise UnreadableFileError(f"{name} holds {voxels.dtype} of shape {voxels.shape}, expected one 3-D image")
    return voxels


def _as_labels(voxels_zyx: VoxelArray, name: str) -> UInt8Array:
    allowed = [int(label) for label in Label]
    labels = voxels_zyx.astype(np.uint8) if _fits(voxels_zyx, allowed) else None
    if labels is None or (voxels_zyx.dtype.kind == "f" and not np.array_equal(labels, voxels_zyx)):
        raise UnreadableFileError(f"{name} holds values other than the labels {allowed}")
    return np.ascontiguousarray(labels)


def _fits(voxels: VoxelArray, allowed: list[int]) -> bool:
    # A NaN makes both comparisons false, so it is refused as well.
    return bool(voxels.min() >= allowed[0] and voxels.max() <= allowed[-1])


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path.name}: {error.strerror}") from error


def _write(voxels_zyx: Int16Array | UInt8Array, grid: Grid, path: Path) -> None:
    # C order with z first is NIfTI's own order with x first: the bytes go out as they are.
    content = _header(voxels_zyx, grid) + np.ascontiguousarray(voxels_zyx, voxels_zyx.dtype.newbyteorder("<")).tobytes()
    if path.suffix == ".gz":
        content = gzip.compress(content, GZIP_LEVEL, mtime=0)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _header(voxels_zyx: VoxelArray, grid: Grid) -> bytes:
    if max(grid.shape_zyx) > np.iinfo(np.int16).max:
        raise GridMismatchError(f"shape {grid.shape_zyx} is beyond NIfTI-1's 32767 voxels an axis")
    affine_ras = LPS_FROM_RAS @ grid.affine_lps_mm
    nz, ny, nx = grid.shape_zyx
    dz, dy, dx = grid.spacing_mm_zyx
    quaternion, handedness, has_qform = _qform(affine_ras)
    code = _DATATYPE_CODES[voxels_zyx.dtype]
    return _HEADER.pack(
        _HEADER_BYTES,
        *(0, 3, nx, ny, nz, 1, 1, 1, 1),
        *(0.0, 0.0, 0.0, 0, code, voxels_zyx.dtype.itemsize * 8, 0),
        *(handedness, dx, dy, dz, 0.0, 0.0, 0.0, 0.0),
        *(_HEADER.size, 1.0, 0.0, 0, 0, _UNITS_MM),
        *(0.0, 0.0, 0.0, 0.0, 0, 0),
        *(b"CalcMap", b"", _SCANNER_COORDINATES if has_qform else 0, _SCANNER_COORDINATES),
        *quaternion,
        *affine_ras[:3, 3],
        *affine_ras[:3].ravel(),
        *(b"", b"n+1\0"),
    )


def _qform(affine_ras: Float64Array) -> tuple[tuple[float, float, float], float, bool]:
    """Return the quaternion (b, c, d), the sign of the third axis and whether they can hold the affine."""
    axes = affine_ras[:3, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)
    handedness = 1.0 if np.linalg.det(axes) > 0 else -1.0
    is_rotation = bool(np.abs(axes.T @ axes - np.eye(3)).max() <= SHEAR_TOLERANCE)
    rotation = axes * np.array([1.0, 1.0, handedness])
    return _quaternion(rotation), handedness, is_rotation


def _quaternion(rotation: Float64Array) -> tuple[float, float, float]:
    """Return b, c, d of the unit quaternion with a >= 0: the eigenvector to the largest eigenvalue of Bar-Itzhack's K.

    References
    ----------
    .. [1] Bar-Itzhack, J Guid Control Dyn 2000;23:1085-1087.
    """
    r = rotation
    k = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [0.0, r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [0.0, 0.0, r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1]],
            [0.0, 0.0, 0.0, r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    a, b, c, d = np.linalg.eigh(k, UPLO="U")[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return float(sign * b), float(sign * c), float(sign * d)
