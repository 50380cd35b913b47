"""Masks that someone else drew: any voxel that is not zero counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calcmap.core.errors import UnreadableFileError
from calcmap.core.volume import Label, Labels, Volume
from calcmap.io.canonical import to_canonical
from calcmap.io.sources import FileSource
from calcmap.io.voxel_files import read_voxel_image


def read_mask(path: Path, *, volume: Volume | None = None) -> Labels:
    """Return a mask file as labels: every voxel that is not zero becomes `Label.CORONARY`.

    Parameters
    ----------
    path : Path
        NIfTI, NRRD or MetaImage, of any number type.
    volume : Volume, optional
        The CT that the mask must lie on; the mask takes over its grid.

    Returns
    -------
    Labels
        Canonical, values 0 and 2. An empty mask is allowed.

    Raises
    ------
    UnreadableFileError
        No known format, truncated, or with voxels that are not numbers.
    GridMismatchError
        The mask does not lie on ``volume``.
    """
    source = FileSource(path)
    image = read_voxel_image(source, content=source.read_bytes())
    voxels_zyx, grid = to_canonical(image.voxels_zyx, image.affine_lps_mm)
    if voxels_zyx.dtype.kind == "f" and np.isnan(voxels_zyx).any():
        raise UnreadableFileError(f"{path.name} holds voxels that are not a number, expected a mask")
    marked = (voxels_zyx != 0).astype(np.uint8) * np.uint8(Label.CORONARY)
    labels = Labels(np.ascontiguousarray(marked), grid)
    if volume is None:
        return labels
    labels.check_on(volume)
    return Labels(labels.labels_zyx, volume.grid)
