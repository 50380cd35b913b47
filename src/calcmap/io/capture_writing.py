"""Pictures that scanners and workstations leave in a study: report pages and screens, without any HU."""

from __future__ import annotations

from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from calcmap.core.errors import OutputError
from calcmap.core.volume import UInt8Array
from calcmap.io.dicom_objects import SeriesHeader, new_object

_COLOURS = 3


def secondary_capture(
    picture: UInt8Array, *, header: SeriesHeader, modality: str = "OT", kind: tuple[str, ...] = ()
) -> FileDataset:
    """Return a picture as a secondary capture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns) or (rows, columns, 3)
        Grey, or red, green and blue.
    header : SeriesHeader
        Identity.
    modality : str
        Some scanners file their dose page as ``"CT"``.
    kind : tuple of str
        Values of ImageType after DERIVED and SECONDARY.

    Returns
    -------
    FileDataset
        Its text is burnt in and says so.

    Raises
    ------
    OutputError
        The picture has another shape.
    """
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != _COLOURS):
        raise OutputError(f"a picture of shape {picture.shape}, expected rows and columns, and three colours if any")
    image = new_object(SecondaryCaptureImageStorage, header=header, modality=modality)
    image.ConversionType = "WSD"
    image.PatientOrientation = ""
    image.BodyPartExamined = header.body_part
    image.ImageType = ["DERIVED", "SECONDARY", *kind]
    image.BurnedInAnnotation = "YES"
    image.Rows, image.Columns = picture.shape[:2]
    image.SamplesPerPixel = _COLOURS if picture.ndim == 3 else 1
    image.PhotometricInterpretation = "RGB" if picture.ndim == 3 else "MONOCHROME2"
    if picture.ndim == 3:
        image.PlanarConfiguration = 0
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    image.PixelRepresentation = 0
    content = picture.tobytes()
    image.PixelData = content + b"\0" * (len(content) % 2)
    return image
