"""A study of prognosis as a folder: ``prognosis.json``, tables, figures, and ``report.html`` with all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calcmap.io.text_files import write_json
from calcmap.prognosis.study import PrognosisStudy
from calcmap.report.checklists import OF_PROGNOSIS, prognosis_facts, write_checklists
from calcmap.report.figures import FIGURES_FOLDER, write_figures
from calcmap.report.page import REPORT_FILE, save_page
from calcmap.report.prognosis_figures import prognosis_figures
from calcmap.report.prognosis_json import prognosis_to_json
from calcmap.report.prognosis_page import prognosis_page
from calcmap.report.prognosis_tables import prognosis_tables
from calcmap.report.tables import TABLES_FOLDER, write_tables

PROGNOSIS_FILE = "prognosis.json"


def write_prognosis(
    study: PrognosisStudy, out: Path, *, table_sha256: str, checklists: tuple[str, ...] = OF_PROGNOSIS
) -> dict[str, Any]:
    """Write a study as a folder.

    Parameters
    ----------
    study : PrognosisStudy
        What `assess_prognosis` found.
    out : Path
        Folder to write into; made when absent.
    table_sha256 : str
        Hash of the table that was read, for provenance.
    checklists : tuple of str
        Names of the reporting checklists to write beside the tables; none if empty.

    Returns
    -------
    dict
        What ``prognosis.json`` holds.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    whole = {**prognosis_to_json(study), "table_sha256": table_sha256}
    write_json(whole, out, name=PROGNOSIS_FILE)
    write_tables(prognosis_tables(study), out / TABLES_FOLDER)
    write_checklists(prognosis_facts(study, table_sha256=table_sha256), out, names=checklists)
    pictures = write_figures(prognosis_figures(study), out / FIGURES_FOLDER)
    save_page(prognosis_page(study, pictures=pictures, table_sha256=table_sha256), out / REPORT_FILE)
    return whole
