"""What is known of a scan besides its voxels: flags, acquisition, series, choice."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from calcmap.core.errors import InputError
from calcmap.core.volume import Volume


class Severity(StrEnum):
    """What a quality flag means for the score."""

    INFO = "info"
    """Worth knowing; the score stands."""
    WARNING = "warning"
    """The score may be off; a reader should look."""
    REFUSE = "refuse"
    """No score is given."""


@dataclass(frozen=True)
class QualityFlag:
    """One finding about a scan or a mask.

    Parameters
    ----------
    code : str
        Stable snake_case word, e.g. ``"heart_cut"``.
    severity : Severity
        Whether the score stands, is doubtful or is refused.
    detail : str
        One sentence with the value found and the value expected; no patient data.
    """

    code: str
    severity: Severity
    detail: str


@dataclass(frozen=True)
class Acquisition:
    """How the CT was made; ``None`` where the files do not say.

    Nothing here is guessed: NIfTI, NRRD and MHA inputs usually leave all of it ``None``.
    """

    source_format: str
    """``"dicom"``, ``"nifti"``, ``"nrrd"`` or ``"mha"``."""
    kvp: float | None = None
    tube_current_ma: float | None = None
    exposure_mas: float | None = None
    slice_thickness_mm: float | None = None
    kernel: str | None = None
    manufacturer: str | None = None
    scanner_model: str | None = None
    reconstruction_diameter_mm: float | None = None
    contrast_agent: str | None = None
    is_gated: bool | None = None
    padding_hu: int | None = None
    """Value of voxels outside the reconstructed field, from the header or recognised (-2000, -2048, -3024)."""
    mass_factor_mg_per_cm3_hu: float | None = None
    patient_sex: str | None = None
    """``"M"``, ``"F"`` or ``None``: for percentiles only."""
    patient_age_years: float | None = None


class Verdict(StrEnum):
    """What became of a series when the attenuation CT was looked for."""

    CHOSEN = "chosen"
    REJECTED = "rejected"


@dataclass(frozen=True)
class SeriesCandidate:
    """One series of a study, and why it was taken or left."""

    series_uid: str
    """SeriesInstanceUID; for files without one, a name made from the file name."""
    modality: str
    description: str
    """SeriesDescription; may carry free text, so it is shown to the user but never logged."""
    n_images: int
    verdict: Verdict
    reason: str
    """One sentence a user understands."""
    rank: int | None = None
    """1 for the series taken, 2, 3, ... for the next best usable ones, ``None`` for those that can never be it."""


@dataclass(frozen=True)
class SeriesChoice:
    """Which series of a study is the attenuation CT, and what was thought of all the others.

    Parameters
    ----------
    chosen : SeriesCandidate or None
        ``None`` when nothing can be it.
    candidates : tuple of SeriesCandidate
        Every series of the study, the chosen one too: ranked ones first, by rank.
    refusal : InputError or None
        What to raise when ``chosen`` is ``None``: of the class that fits when there was one series or none, of
        `NoScorableSeriesError` when several were turned down.
    """

    chosen: SeriesCandidate | None
    candidates: tuple[SeriesCandidate, ...]
    refusal: InputError | None = None

    @property
    def rejected(self) -> tuple[SeriesCandidate, ...]:
        """The candidates that were left."""
        return tuple(candidate for candidate in self.candidates if candidate.verdict is Verdict.REJECTED)


@dataclass(frozen=True)
class Scan:
    """A CT that was read: voxels, acquisition and what was noticed while reading."""

    volume: Volume
    acquisition: Acquisition
    series_uid: str
    input_sha256: str
    """SHA-256 over the sorted SOP Instance UIDs (DICOM) or over the file's bytes (others)."""
    flags: tuple[QualityFlag, ...] = field(default=())
