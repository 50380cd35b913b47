"""All reports of one study, in memory and as files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from calcmap.core.errors import OutputError
from calcmap.core.result import StudyResult
from calcmap.core.volume import Labels, Volume
from calcmap.io.source_headers import read_identity, read_source_series
from calcmap.io.study import Study
from calcmap.io.text_files import write_aside
from calcmap.report.dicom.documents import captured_overview, encapsulated_page, page_subject
from calcmap.report.dicom.filing import VERIFIED, Filing, ReportSettings
from calcmap.report.dicom.measurements import measurement_report
from calcmap.report.dicom.segmentation import segmentation
from calcmap.report.doctor_page import page_pdf
from calcmap.report.overview import render_overview

VERIFIED_PREFIX = "verified_"
"""Verified reports stand beside unverified ones, never in their place."""


@dataclass(frozen=True, eq=False)
class Reports:
    """The DICOM reports of a study, and the page as it is.

    Parameters
    ----------
    segmentation, measurements : Dataset or None
        SEG and SR; ``None`` for a refused study, which has neither mask nor number.
    page, overview : Dataset
        Encapsulated PDF and secondary capture; of a refused study they say why there is no score.
    pdf : bytes
        The page, outside DICOM.
    """

    segmentation: Dataset | None
    measurements: Dataset | None
    page: Dataset
    overview: Dataset
    pdf: bytes

    @property
    def objects(self) -> dict[str, Dataset]:
        """DICOM objects by file name."""
        named = {
            "seg.dcm": self.segmentation,
            "sr.dcm": self.measurements,
            "pdf.dcm": self.page,
            "sc.dcm": self.overview,
        }
        return {name: made for name, made in named.items() if made is not None}


def make_reports(
    result: StudyResult, volume: Volume | None, labels: Labels | None, *, study: Study, settings: ReportSettings
) -> Reports:
    """Return the reports of one study.

    Parameters
    ----------
    result : StudyResult
        The machine's result, or a physician's.
    volume : Volume or None
        The CT; without one there are no pictures.
    labels : Labels or None
        Heart and calcium on the CT's grid; needed where there is a score.
    study : Study
        The files of the study, for patient, geometry and references.
    settings : ReportSettings
        Time, form of the masks, verifier, earlier reports.

    Returns
    -------
    Reports
        Filed under the scan's patient and study.

    Raises
    ------
    OutputError
        The scan did not come as DICOM, says too little of its identity or geometry, or no longer fits the labels.
    """
    uid = result.chosen_series.series_uid if result.chosen_series else None
    if result.coronary is None or result.method is None:
        filing = Filing(result, read_identity(study, uid), settings)
        return _documents(filing, volume, labels, made=(None, None))
    if labels is None or uid is None:
        raise OutputError("a score is reported with its series and its label map, expected both")
    source = read_source_series(study, uid)
    filing = Filing(result, source.reference, settings)
    masks = segmentation(labels, source, filing)
    measured = measurement_report(result.coronary, result.method, source, filing, segmentation=masks)
    return _documents(filing, volume, labels, made=(masks, measured))


def _documents(
    filing: Filing, volume: Volume | None, labels: Labels | None, *, made: tuple[Dataset | None, Dataset | None]
) -> Reports:
    pdf = page_pdf(filing.result, volume, labels, subject=page_subject(filing))
    sources = [(one.SOPClassUID, one.SOPInstanceUID) for one in (filing.reference, *made) if one is not None]
    return Reports(
        *made,
        page=encapsulated_page(pdf, filing, sources=sources),
        overview=captured_overview(render_overview(volume, labels, filing.result), filing),
        pdf=pdf,
    )


def write_reports(reports: Reports, folder: Path) -> list[Path]:
    """Write the reports of a study into its folder and return the files.

    ``seg.dcm``, ``sr.dcm``, ``pdf.dcm``, ``sc.dcm`` and ``report.pdf``, as far as there are such; verified ones have
    ``verified_`` in front. Each is written aside and renamed, so a half-written one is never seen.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    prefix = VERIFIED_PREFIX if reports.page.VerificationFlag == VERIFIED else ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return list(_write_each(reports, folder, prefix=prefix))
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error


def _write_each(reports: Reports, folder: Path, *, prefix: str) -> Iterator[Path]:
    for name, made in reports.objects.items():
        path = folder / f"{prefix}{name}"
        part = path.with_name(path.name + ".part")
        made.save_as(part, enforce_file_format=True)
        yield part.replace(path)
    yield write_aside(reports.pdf, folder / f"{prefix}report.pdf")
