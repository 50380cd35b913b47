"""The whole headers of the series that was scored: whose study it is, and where each of its images lies.

Reading for a score takes a few elements of each file and never the patient's name. What is written back into the study
must carry the name as the scanner wrote it, so the headers are read again here, whole, and only when they are wanted.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from calcmap.core.errors import OutputError
from calcmap.core.volume import Float64Array, Grid, IntArray, Labels, UInt8Array
from calcmap.io.canonical import to_canonical
from calcmap.io.headers import Instance
from calcmap.io.pixels import have_same_pixels
from calcmap.io.slices import Slice, slices_of
from calcmap.io.stacking import Content, stack_slices
from calcmap.io.study import Series, Study

UNICODE = "ISO_IR 192"
"""UTF-8 as DICOM names it: the one character set in which every name can be written."""
UNDECODABLE = "�"
"""What stands where bytes are no letters of the character set that a file names."""

IDENTIFYING = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "PatientID")
"""Without any of these an object cannot be filed with the study; none of them is made up."""


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """The images behind a score, in the order of their stack.

    Parameters
    ----------
    reference : Dataset
        Header of one image, text in Unicode, without pixels.
    slices : tuple of Slice
        Ascending along the stack's normal; each names its image and the frame in it.
    affine_lps_mm : ndarray of float64, shape (4, 4)
        Of the stack as stored, index order (x, y, z, 1).
    shape_zyx : tuple of int
        Of the stack as stored.
    """

    reference: Dataset
    slices: tuple[Slice, ...]
    affine_lps_mm: Float64Array
    shape_zyx: tuple[int, int, int]

    @property
    def grid(self) -> Grid:
        """The canonical grid, as `Volume` has it."""
        return to_canonical(np.broadcast_to(np.uint8(0), self.shape_zyx), self.affine_lps_mm)[1]

    @property
    def stored_slices(self) -> IntArray:
        """Place in ``slices`` of each canonical slice, feet to head."""
        places = np.broadcast_to(np.arange(self.shape_zyx[0])[:, None, None], self.shape_zyx)
        canonical: IntArray = to_canonical(places, self.affine_lps_mm)[0][:, 0, 0]
        return canonical

    def as_stored(self, labels: Labels) -> UInt8Array:
        """Return a label map in the order of the stored slices, rows and columns.

        Parameters
        ----------
        labels : Labels
            On the canonical grid.

        Returns
        -------
        ndarray of uint8, shape ``shape_zyx``
            Frame ``i`` lies pixel for pixel on ``slices[i]``.

        Raises
        ------
        OutputError
            The labels lie on another grid than the series.
        """
        if not labels.grid.is_same_as(self.grid):
            raise OutputError(
                f"labels of shape {labels.grid.shape_zyx} do not lie on the grid of the series, {self.grid.shape_zyx}"
            )
        stored_zyx = np.zeros(self.shape_zyx, dtype=np.uint8)
        to_canonical(stored_zyx, self.affine_lps_mm)[0][...] = labels.labels_zyx
        return stored_zyx


def read_source_series(study: Study, series_uid: str) -> SourceSeries:
    """Return the headers and the geometry of the series that was scored.

    Raises
    ------
    OutputError
        The series is no DICOM series, or an image says too little of its identity.
    SeriesError, GeometryError
        Its images are no regular stack; of a series that was scored they are one.
    """
    series = study.find_series(series_uid)
    reference = _reference(series)
    slices, _ = slices_of(series.instances)
    # that the slices show a chest was asked when they were scored
    stack = stack_slices(slices, have_same_pixels=have_same_pixels, content=Content.ANYTHING)
    if not reference.get("FrameOfReferenceUID"):
        raise OutputError("the images name no frame of reference (FrameOfReferenceUID), expected one")
    rows, columns = stack.slices[0].shape
    return SourceSeries(reference, stack.slices, stack.affine_lps_mm, (len(stack.slices), rows, columns))


def read_identity(study: Study, series_uid: str | None) -> Dataset:
    """Return the header of one image of a series; without a series, of any image if all are of one DICOM study.

    Its text is in Unicode, and it has no pixels.

    Raises
    ------
    OutputError
        There is no DICOM image, the images are of several studies, or one says too little of its identity.
    """
    if series_uid is not None:
        return _reference(study.find_series(series_uid))
    of_dicom = [series for series in study.series if series.instances]
    studies = {one.text("StudyInstanceUID") for series in of_dicom for one in series.instances}
    if len(studies) != 1:
        raise OutputError(f"the files belong to {len(studies)} DICOM studies, expected one")
    return _reference(of_dicom[0])


def _reference(series: Series) -> Dataset:
    if not series.instances:
        raise OutputError("the scan did not come as DICOM, so there is no patient and no study to file reports under")
    header = read_whole_header(series.instances[0])
    missing = [keyword for keyword in IDENTIFYING if not header.get(keyword)]
    if missing:
        raise OutputError(f"the images lack {' and '.join(missing)}, which CalcMap does not make up")
    if UNDECODABLE in f"{header.get('PatientName', '')}{header.PatientID}":
        raise OutputError("the patient's name or identifier is not written in the character set that the images name")
    return header


def read_whole_header(instance: Instance) -> Dataset:
    """Return everything a DICOM file says in front of its pixels, with all text in Unicode.

    Raises
    ------
    UnreadableFileError
        The file cannot be read any more.
    """
    header = dcmread(io.BytesIO(instance.source.read_bytes()), stop_before_pixels=True, force=True)
    header.decode()
    header.SpecificCharacterSet = UNICODE
    return header
