"""The cohort's table with what the networks made of each patient's images beside it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from calcmap.core.errors import InputError, OutputError
from calcmap.reproduction.scoring import ScoredPatient
from calcmap.scoring.categories import paper_category

SCORED_TABLE = "patients_scored.csv"
NETWORK_COLUMNS = {
    "network_status": "scored or refused",
    "network_reason": "why it was refused, as a code; empty where it was scored",
    "network_agatston": "Agatston units, by the networks from the simulated images",
    "network_category": "0: below 1; 1: 1-100; 2: above 100 to 400; 3: above 400",
    "network_confidence": "confident, likely or borderline",
    "network_quality": "codes of the scan's quality flags, with spaces between them",
    "labels_agatston": "Agatston units, of the planted calcium as the same images show it",
    "labels_category": "of labels_agatston",
    "heart_dice": "of the network's heart with the planted one, 0 to 1",
}
"""Columns that are added to the cohort's, with their meaning."""


def write_scored_table(cohort_table: Path, scored: Sequence[ScoredPatient], out: Path) -> Path:
    """Write the cohort's table with the columns of `NETWORK_COLUMNS`; a refused patient has no score.

    Parameters
    ----------
    cohort_table : Path
        As `write_cohort_table` leaves it, a row a patient.
    scored : sequence of ScoredPatient
        The same patients.
    out : Path
        Folder for ``patients_scored.csv``.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        A patient stands in one of the two alone.
    OutputError
        The file cannot be written.
    """
    by_name = {patient.name: patient for patient in scored}
    rows = read_scored_table(cohort_table)
    strangers = sorted({row["id"] for row in rows} ^ set(by_name))
    if strangers:
        raise InputError(f"{len(strangers)} patients are in the table or were scored, not both: {strangers[0]} ...")
    path = out / SCORED_TABLE
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], *NETWORK_COLUMNS], lineterminator="\n")
            writer.writeheader()
            writer.writerows({**row, **network_cells(by_name[row["id"]])} for row in rows)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def read_scored_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, every cell as written.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {type(error).__name__}") from error


def network_cells(patient: ScoredPatient) -> Mapping[str, object]:
    """Return the cells of `NETWORK_COLUMNS` of one patient; a cell that is not known is empty."""
    result, row = patient.result, patient.against_labels
    agatston, confidence = result["agatston"], result["confidence"]
    labels_agatston = row.reference_range[0]
    return {
        "network_status": result["status"],
        "network_reason": result["reason_code"] or "",
        "network_agatston": "" if agatston is None else round(agatston, 3),
        "network_category": "" if agatston is None else result["category"],
        "network_confidence": confidence["word"] if confidence else "",
        "network_quality": " ".join(flag["flag"] for flag in result["quality"]),
        "labels_agatston": round(labels_agatston, 3),
        "labels_category": paper_category(labels_agatston).index,
        "heart_dice": round(row.dice_heart, 4),
    }
