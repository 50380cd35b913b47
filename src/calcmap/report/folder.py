"""What ``calcmap score -o OUT`` leaves on disk."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

from calcmap.core.errors import OutputError
from calcmap.core.result import CalciumClass, StudyResult, result_to_json
from calcmap.core.volume import Labels, Volume
from calcmap.io.nifti import write_labels
from calcmap.io.text_files import json_text, write_aside
from calcmap.report.overview import write_overview

RESULTS_COLUMNS = (
    "study",
    "series",
    "status",
    "reason",
    "agatston",
    "category",
    "heart_ml",
    "n_coronary",
    "n_noncoronary",
    "seconds",
)
SOURCE_FILE = "source.json"
SOURCE_SCHEMA_VERSION = "1.0"
DICOM_FILES = ("seg.dcm", "sr.dcm", "pdf.dcm", "sc.dcm", "report.pdf")
"""What `calcmap.report.dicom` adds where it is asked for."""
STUDY_FILES = ("result.json", "labels.nii.gz", "overview.png", SOURCE_FILE, *DICOM_FILES)
"""What a study's folder may hold; what a physician verified is none of it and stays."""


def write_study(
    result: StudyResult,
    volume: Volume | None,
    labels: Labels | None,
    *,
    folder: Path,
    sources: Sequence[Path] = (),
) -> None:
    """Write ``result.json``, ``labels.nii.gz``, ``overview.png`` and ``source.json`` of one study.

    A refused study has no ``labels.nii.gz``: a label map beside a refusal would look like a result. Files of an earlier
    run that this one does not write are removed, so that a folder never mixes two results. Each file is written aside
    and renamed; ``result.json`` comes last, so where it stands the others do too.

    Parameters
    ----------
    result : StudyResult
        What is said of the study.
    volume : Volume or None
        The CT; without one there is no picture.
    labels : Labels or None
        Heart and calcium on the CT's grid.
    folder : Path
        The study's own folder; made when absent.
    sources : sequence of Path
        Where the images of the chosen series lie: for ``source.json``, which is not written without.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in STUDY_FILES:
            (folder / name).unlink(missing_ok=True)
        with ThreadPoolExecutor(1) as beside:  # compressing the label map takes about as long as drawing
            written = beside.submit(_write_labels, labels if result.coronary is not None else None, folder)
            if volume is not None:
                write_overview(volume, labels, result, path=folder / "overview.png")
        written.result()
        if sources and result.chosen_series is not None:
            source = json_text(_source(result, result.chosen_series.series_uid, sources))
            write_aside(source.encode(), folder / SOURCE_FILE)
        write_aside(json_text(result_to_json(result)).encode(), folder / "result.json")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error


def write_results_csv(results: Sequence[StudyResult], path: Path) -> None:
    """Write one row a study, in the order given; empty cells where a refused study has no value.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    rows = StringIO(newline="")
    writer = csv.writer(rows)
    writer.writerow(RESULTS_COLUMNS)
    writer.writerows(_row(result) for result in results)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(rows.getvalue().encode(), path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _row(result: StudyResult) -> list[object]:
    counts = {each: sum(lesion.lesion_class is each for lesion in result.lesions) for each in CalciumClass}
    is_scored = result.coronary is not None
    return [
        result.study,
        result.chosen_series.series_uid if result.chosen_series else "",
        result.status.value,
        result.reason or "",
        result.agatston if is_scored else "",
        result.category.index if result.category else "",
        round(result.heart.volume_ml, 1) if result.heart else "",
        counts[CalciumClass.CORONARY] if is_scored else "",
        counts[CalciumClass.NONCORONARY] if is_scored else "",
        round(sum(result.seconds.values()), 3),
    ]


def _source(result: StudyResult, series_uid: str, paths: Sequence[Path]) -> dict[str, object]:
    """Return what is needed to find the images again; nothing of the patient."""
    return {
        "schema_version": SOURCE_SCHEMA_VERSION,
        "paths": [str(path) for path in paths],
        "series_uid": series_uid,
        "input_sha256": result.provenance.input_sha256,
    }


def _write_labels(labels: Labels | None, folder: Path) -> None:
    if labels is not None:
        part = folder / "part.nii.gz"
        write_labels(labels, part)
        part.replace(folder / "labels.nii.gz")
