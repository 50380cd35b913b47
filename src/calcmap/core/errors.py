"""The one error tree of CalcMap.

::

    CalcMapError
    ├── InputError                     the files or the scan cannot be scored
    │   ├── UnreadableFileError        truncated, encrypted or not a known format
    │   ├── SeriesError                which series, or what kind of series
    │   │   ├── NoScorableSeriesError  nothing in the study can be the attenuation CT
    │   │   ├── SeriesNotFoundError    the series asked for is not in the study
    │   │   ├── WrongModalityError     not a CT
    │   │   ├── NotAnImageError        a DICOM object without pixels
    │   │   ├── MixedSeriesError       instances of several grids under one series
    │   │   ├── MultipleAcquisitionsError  several acquisitions overlap in one series
    │   │   └── NotHounsfieldError     pixel values that are not HU
    │   ├── GeometryError              where the pixels are
    │   │   ├── MissingSliceError
    │   │   ├── DuplicatePositionError two different slices at one position
    │   │   ├── IrregularSpacingError
    │   │   ├── GantryTiltError
    │   │   ├── OrientationError       slices not axial
    │   │   ├── TooFewSlicesError
    │   │   └── GridMismatchError      a mask or label map on another grid than the CT
    │   ├── UnfitScanError             readable, but quality forbids a score
    │   └── NotEstimableError          a sound table that does not hold what a model asks of it
    ├── ModelError                     weights missing, altered or not understood
    ├── ConfigError                    settings: every complaint listed at once
    ├── OutputError                    a result cannot be written as asked
    ├── JobError                       a queued or resumed job cannot go on
    ├── DeliveryError                  a destination could not be reached, or broke off
    ├── StoreError                     the store cannot be reached, written or trusted
    │   ├── NotInStoreError            what was asked for is not there
    │   └── TamperedError              the store's own checks do not hold
    ├── AccessError                    who may come in, and what they may do
    │   ├── AccountError               an account cannot be made or changed as asked
    │   ├── NotSignedInError           nobody is signed in, or the name and password are not right
    │   ├── NotAllowedError            the role does not allow it
    │   └── TooManyRequestsError       too fast: come back later
    └── ReviewError                    what a reader asks for cannot be done
        ├── EditRefusedError           the edit makes no sense on this scan
        ├── ReviewConflictError        somebody else saved first
        └── ReviewSignedError          a signed review does not change

Each class has a ``code``: a stable snake_case word for tables and machines. Messages name the value found and the value
expected; they never hold a patient's name or identifier.
"""

from __future__ import annotations

from typing import ClassVar


class CalcMapError(Exception):
    """Root of every error that CalcMap raises on purpose."""

    code: ClassVar[str] = "calcmap_error"


class InputError(CalcMapError):
    """The input cannot be scored; the study is refused with this reason."""

    code = "input_error"


class UnreadableFileError(InputError):
    """A file is truncated, encrypted, damaged or of no known format.

    Parameters
    ----------
    message : str
        What was found and what was expected.
    series_uid : str or None
        The series that the file says it belongs to, where that much of it could be read.
    """

    code = "unreadable_file"

    def __init__(self, message: str, *, series_uid: str | None = None) -> None:
        super().__init__(message)
        self.series_uid = series_uid


class SeriesError(InputError):
    """The wrong series, or none."""

    code = "series_error"


class NoScorableSeriesError(SeriesError):
    """No series of the study can be the attenuation CT."""

    code = "no_scorable_series"


class SeriesNotFoundError(SeriesError):
    """The series asked for is not in the study."""

    code = "series_not_found"


class WrongModalityError(SeriesError):
    """The series is not a CT."""

    code = "wrong_modality"


class NotAnImageError(SeriesError):
    """The DICOM object has no pixel data."""

    code = "not_an_image"


class MixedSeriesError(SeriesError):
    """Instances under one series do not share one grid."""

    code = "mixed_series"


class MultipleAcquisitionsError(SeriesError):
    """Several acquisitions under one series occupy the same positions."""

    code = "multiple_acquisitions"


class NotHounsfieldError(SeriesError):
    """Pixel values are not Hounsfield units: no rescale, 8-bit or windowed."""

    code = "not_hounsfield"


class GeometryError(InputError):
    """The position of the pixels is unknown or not a regular axial stack."""

    code = "geometry_error"


class MissingSliceError(GeometryError):
    """One or more slices of a regular stack are absent."""

    code = "missing_slice"


class DuplicatePositionError(GeometryError):
    """Two slices with different pixels claim one position."""

    code = "duplicate_position"


class IrregularSpacingError(GeometryError):
    """Slice increments differ by more than the tolerance."""

    code = "irregular_spacing"


class GantryTiltError(GeometryError):
    """Slices are sheared against their stacking direction."""

    code = "gantry_tilt"


class OrientationError(GeometryError):
    """Slices are not axial, so a per-slice Agatston score is not defined."""

    code = "not_axial"


class TooFewSlicesError(GeometryError):
    """Fewer slices than a heart needs."""

    code = "too_few_slices"


class GridMismatchError(GeometryError):
    """A mask or label map lies on another grid than the CT."""

    code = "grid_mismatch"


class UnfitScanError(InputError):
    """The scan was read, but a quality rule forbids a score."""

    code = "unfit_scan"


class NotEstimableError(InputError):
    """The table is sound, but the data do not determine the model: the message is the reason."""

    code = "not_estimable"


class ModelError(CalcMapError):
    """Network weights are missing, altered or of an unknown layout."""

    code = "model_error"


class ConfigError(CalcMapError):
    """Settings contradict themselves or the schema; all complaints at once."""

    code = "config_error"


class OutputError(CalcMapError):
    """A result cannot be written as asked."""

    code = "output_error"


class JobError(CalcMapError):
    """A queued or resumed job cannot go on."""

    code = "job_error"


class DeliveryError(CalcMapError):
    """A destination could not be reached, or broke off: what was not taken is sent again later."""

    code = "delivery_error"


class StoreError(CalcMapError):
    """The store cannot be reached, written or trusted."""

    code = "store_error"


class NotInStoreError(StoreError):
    """A study, result, review or content that was asked for is not in the store."""

    code = "not_in_store"


class TamperedError(StoreError):
    """The audit trail's chain, or something that it vouches for, does not hold."""

    code = "tampered"


class AccessError(CalcMapError):
    """Somebody may not come in, or may not do what was asked."""

    code = "access_error"


class AccountError(AccessError):
    """An account cannot be made or changed as asked: the name, the password or who asks."""

    code = "account_error"


class NotSignedInError(AccessError):
    """Nobody is signed in, or what was shown at the door is not right."""

    code = "not_signed_in"


class NotAllowedError(AccessError):
    """The account's role does not allow it."""

    code = "not_allowed"


class TooManyRequestsError(AccessError):
    """Too many attempts or requests.

    Parameters
    ----------
    message : str
        What there was too much of.
    retry_after_s : float
        When it makes sense to ask again, seconds from now.
    """

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ReviewError(CalcMapError):
    """A reader's request cannot be done as asked."""

    code = "review_error"


class EditRefusedError(ReviewError):
    """An edit makes no sense on this scan: no lesion there, not calcium, beyond the limits."""

    code = "edit_refused"


class ReviewConflictError(ReviewError):
    """Somebody else saved first; nothing was written.

    Parameters
    ----------
    message : str
        What was asked for and what stands.
    revision : int
        The review's revision now.
    since : tuple of object
        What was saved since the revision that the reader saw, oldest first.
    """

    code = "review_conflict"

    def __init__(self, message: str, *, revision: int, since: tuple[object, ...]) -> None:
        super().__init__(message)
        self.revision = revision
        self.since = since


class ReviewSignedError(ReviewError):
    """A signed review does not change; an amendment does."""

    code = "review_signed"
