"""Which reader a voxel file needs."""

from __future__ import annotations

from calcmap.core.errors import UnreadableFileError
from calcmap.io.canonical import VoxelImage
from calcmap.io.metaimage import read_metaimage
from calcmap.io.nifti import read_nifti
from calcmap.io.nrrd import read_nrrd
from calcmap.io.sources import Source

NIFTI_SUFFIXES = (".nii", ".nii.gz")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
METAIMAGE_SUFFIXES = (".mha", ".mhd")
VOXEL_SUFFIXES = (*NIFTI_SUFFIXES, *NRRD_SUFFIXES, *METAIMAGE_SUFFIXES)


def is_voxel_file(name: str) -> bool:
    """Tell by its name whether a file is a NIfTI, NRRD or MetaImage."""
    return name.lower().endswith(VOXEL_SUFFIXES)


def voxel_stem(name: str) -> str:
    """Return a voxel file's name without its ending, ``.nii.gz`` counting as one."""
    for suffix in sorted(VOXEL_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def voxel_format(name: str) -> str:
    """Return ``"NIFTI"``, ``"NRRD"`` or ``"MHA"`` for a voxel file's name."""
    lower = name.lower()
    if lower.endswith(NIFTI_SUFFIXES):
        return "NIFTI"
    return "NRRD" if lower.endswith(NRRD_SUFFIXES) else "MHA"


def read_voxel_image(source: Source, *, content: bytes) -> VoxelImage:
    """Return the image of a voxel file, not yet canonical; ``content`` is the file's bytes.

    Raises
    ------
    UnreadableFileError
        Of no known format, truncated or malformed.
    """
    if not is_voxel_file(source.name):
        raise UnreadableFileError(f"{source.name} is of no known format, expected {', '.join(VOXEL_SUFFIXES)}")
    kind = voxel_format(source.name)
    if kind == "NIFTI":
        return read_nifti(content, name=source.name)
    if kind == "NRRD":
        return read_nrrd(source, content=content)
    return read_metaimage(source, content=content)
