"""COCA (Stanford AIMI): gated CTs as DICOM, and the readers' contours of coronary calcium as XML property lists.

The layout is ``patient/<number>/<series>/*.dcm`` and ``calcium_xml/<number>.xml``. A patient without an XML file was
either free of calcium or not read; which, the folder does not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from calcmap.cohorts.adapters.conversion import Candidate, LabelledScan
from calcmap.core.errors import ConfigError, GeometryError, InputError
from calcmap.core.scan import Scan
from calcmap.core.volume import Float64Array, Label, Labels, Volume
from calcmap.io.contours import Contour, pixels_inside, read_contours
from calcmap.io.finding import find_studies
from calcmap.io.reading import read_single_ct
from calcmap.io.slices import slices_of
from calcmap.scoring.agatston import VesselCode
from calcmap.scoring.rules import CALCIUM_THRESHOLD_HU

PATIENT_FOLDER, CONTOUR_FOLDER, RELEASE_FOLDER = "patient", "calcium_xml", "Gated_release_final"

VESSEL_OF_NAME = {
    "left coronary artery": VesselCode.LM,
    "left anterior descending artery": VesselCode.LAD,
    "left circumflex artery": VesselCode.LCX,
    "right coronary artery": VesselCode.RCA,
}
"""Names of contours in COCA; its "left coronary artery" is the left main."""
MAX_OFF_SLICE = 0.25
"""How far a contour may lie from a slice, in slices: rounding of positions, no more (our choice)."""
HU_TOLERANCE = 1.0
"""Difference of the densest pixel between viewer and file: rounding (our choice)."""


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """Where the pixels of the stored images lie in the canonical volume: columns and rows as (x, y)."""

    corner_xy: Float64Array
    column_step_xy: Float64Array
    row_step_xy: Float64Array

    def canonical_xy(self, points_xy_px: Float64Array) -> Float64Array:
        """Return points (n, 2) of a stored image as columns and rows of the volume."""
        xy = self.corner_xy + points_xy_px[:, :1] * self.column_step_xy + points_xy_px[:, 1:] * self.row_step_xy
        return np.asarray(xy, dtype=np.float64)


def find_coca(folder: Path, *, is_missing_free: bool) -> tuple[Candidate, ...]:
    """Return every patient of a COCA folder, and every XML file without one, which is refused when it is read.

    Parameters
    ----------
    folder : Path
        The release folder, or the one that holds it.
    is_missing_free : bool
        Whether a patient without an XML file counts as free of calcium; refused otherwise.

    Returns
    -------
    tuple of Candidate
        By number.

    Raises
    ------
    ConfigError
        There is no ``patient/`` or no ``calcium_xml/``.
    """
    root = folder / RELEASE_FOLDER if (folder / RELEASE_FOLDER).is_dir() else folder
    if not (root / PATIENT_FOLDER).is_dir() or not (root / CONTOUR_FOLDER).is_dir():
        raise ConfigError(f"{folder} has no {PATIENT_FOLDER}/ or no {CONTOUR_FOLDER}/, expected the gated set of COCA")
    patients = {path.name: path for path in (root / PATIENT_FOLDER).iterdir() if path.is_dir()}
    contours = {path.stem: path for path in (root / CONTOUR_FOLDER).glob("[!.]*.xml")}
    return tuple(
        Candidate(name, partial(_load, patients.get(name), contours.get(name), is_missing_free=is_missing_free))
        for name in sorted(patients.keys() | contours.keys(), key=lambda name: (len(name), name))
    )


def label_contours(scan: Scan, contours: Sequence[Contour], frame: StoredFrame) -> LabelledScan:
    """Return a scan with the pixels of 130 HU or more inside its contours as coronary calcium, and their vessels.

    Where contours overlap, the first one names the vessel.

    Raises
    ------
    InputError
        A contour has another name than the four arteries, or leaves the image; or the slices that contours lie on
        cannot be told, see `slices_of_contours`.
    """
    volume = scan.volume
    labels_zyx = np.zeros(volume.grid.shape_zyx, dtype=np.uint8)
    vessels_zyx = np.zeros_like(labels_zyx)
    placed = [frame.canonical_xy(contour.points_xy_px) for contour in contours]
    for contour, points in zip(contours, placed, strict=True):
        _check_contour(contour, points, volume)
    masks = [pixels_inside(points, volume.grid.shape_zyx[1:]) for points in placed]
    indices = slices_of_contours(volume, contours, masks)
    for contour, mask_yx, z in zip(contours, masks, indices, strict=True):
        calcium = mask_yx & (volume.ct_hu_zyx[z] >= CALCIUM_THRESHOLD_HU)
        labels_zyx[z][calcium] = Label.CORONARY
        vessels_zyx[z][calcium & (vessels_zyx[z] == VesselCode.NONE)] = VESSEL_OF_NAME[contour.name.lower()]
    return LabelledScan(volume, Labels(labels_zyx, volume.grid), vessels_zyx)


def slices_of_contours(volume: Volume, contours: Sequence[Contour], masks: Sequence[np.ndarray]) -> list[int]:
    """Return the slice of each contour.

    Positions in mm decide. Where the file has none, ImageIndex is read from the feet and from the head: it counts
    images in the order in which the viewer showed them, and that is in no file. Either way the densest pixel inside
    must be what the viewer measured.

    Parameters
    ----------
    volume : Volume
        The CT.
    contours : sequence of Contour
        Of this CT.
    masks : sequence of ndarray of bool, shape (rows, columns)
        The pixels inside each.

    Returns
    -------
    list of int
        Zero-based, ascending to the head.

    Raises
    ------
    GeometryError
        A contour lies between slices or beyond them.
    InputError
        The viewer measured other pixels, or both orders fit.
    """
    if all(contour.points_lps_mm is not None for contour in contours):
        orders = [[_slice_by_position(volume, contour) for contour in contours]]
    else:
        last = volume.grid.shape_zyx[0] - 1
        indices = [contour.image_index for contour in contours]
        if max(indices) > last or min(indices) < 0:
            raise GeometryError(
                f"contours lie on images {min(indices)} to {max(indices)}, the CT has {last + 1} slices"
            )
        orders = [indices, [last - index for index in indices]]
    fitting = [order for order in orders if _are_measured(volume, contours, masks, order)]
    if not fitting:
        raise InputError(
            "the densest pixels inside the contours are not those that the viewer measured: the contours belong to "
            "another scan, or its slices were in another order"
        )
    if len(fitting) > 1 and fitting[0] != fitting[1]:
        raise InputError("contours name their slices by ImageIndex alone, and from the feet and from the head both fit")
    return fitting[0]


def _load(patient: Path | None, xml: Path | None, *, is_missing_free: bool) -> LabelledScan:
    if patient is None:
        raise InputError(f"there is no {PATIENT_FOLDER}/ folder for this XML file")
    if xml is None and not is_missing_free:
        raise InputError(
            f"{CONTOUR_FOLDER}/ holds no file for this patient; --missing-is-zero would count it as free of calcium"
        )
    scan = read_single_ct(patient)
    contours = () if xml is None else read_contours(xml)
    return label_contours(scan, contours, _stored_frame(patient, scan))


def _stored_frame(patient: Path, scan: Scan) -> StoredFrame:
    (study,) = find_studies([patient])
    first = slices_of(study.find_series(scan.series_uid).instances)[0][0]
    to_index = np.linalg.inv(scan.volume.grid.affine_lps_mm)
    row_mm, column_mm = first.spacing_mm
    column_step = to_index[:2, :3] @ (np.array(first.row_direction) * column_mm)
    row_step = to_index[:2, :3] @ (np.array(first.column_direction) * row_mm)
    corner = to_index[:2] @ np.array([*first.position_mm, 1.0])
    # Canonical order is reached by flips and swaps alone: whole numbers, but for rounding.
    return StoredFrame(np.rint(corner), np.rint(column_step), np.rint(row_step))


def _check_contour(contour: Contour, points_xy: Float64Array, volume: Volume) -> None:
    if contour.name.lower() not in VESSEL_OF_NAME:
        raise InputError(
            f"a contour on image {contour.image_index} is called something else than {', '.join(VESSEL_OF_NAME)}"
        )
    _, rows, columns = volume.grid.shape_zyx
    if points_xy.min() < -1 or points_xy[:, 0].max() > columns or points_xy[:, 1].max() > rows:
        raise GeometryError(f"a contour on image {contour.image_index} leaves the image of {rows} x {columns} pixels")


def _slice_by_position(volume: Volume, contour: Contour) -> int:
    points_mm = contour.points_lps_mm
    if points_mm is None:
        raise GeometryError("a contour has no position in mm")
    to_index = np.linalg.inv(volume.grid.affine_lps_mm)
    at = float(np.median(points_mm @ to_index[2, :3] + to_index[2, 3]))
    n_slices = volume.grid.shape_zyx[0]
    if not 0 <= round(at) < n_slices or abs(at - round(at)) > MAX_OFF_SLICE:
        raise GeometryError(f"a contour lies at slice {at:.2f}, counted from the feet; the CT has {n_slices}")
    return round(at)


def _are_measured(
    volume: Volume, contours: Sequence[Contour], masks: Sequence[np.ndarray], order: Sequence[int]
) -> bool:
    """Tell whether the densest pixel inside each contour is what the viewer measured; unmeasured ones always fit."""
    for contour, mask_yx, z in zip(contours, masks, order, strict=True):
        if contour.range_hu is None or not mask_yx.any():
            continue
        if abs(float(volume.ct_hu_zyx[z][mask_yx].max()) - contour.range_hu[1]) > HU_TOLERANCE:
            return False
    return True
