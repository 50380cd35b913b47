"""A study of agreement as a folder: ``agreement.json``, tables, figures, checklists, and ``report.html``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calcmap.evaluation.study import AgreementReport
from calcmap.io.text_files import write_json
from calcmap.report.agreement_figures import agreement_figures
from calcmap.report.agreement_json import agreement_to_json
from calcmap.report.agreement_page import agreement_page
from calcmap.report.agreement_tables import agreement_tables
from calcmap.report.checklists import OF_AGREEMENT, agreement_facts, write_checklists
from calcmap.report.figures import FIGURES_FOLDER, write_figures
from calcmap.report.page import REPORT_FILE, save_page
from calcmap.report.tables import TABLES_FOLDER, write_tables

AGREEMENT_FILE = "agreement.json"


def write_agreement(
    report: AgreementReport, out: Path, *, table_sha256: str, checklists: tuple[str, ...] = OF_AGREEMENT
) -> dict[str, Any]:
    """Write a report as a folder.

    Parameters
    ----------
    report : AgreementReport
        What `assess_agreement` found.
    out : Path
        Folder to write into; made when absent.
    table_sha256 : str
        Hash of the table that was read, for provenance.
    checklists : tuple of str
        Names of the reporting checklists to write beside the tables; none if empty.

    Returns
    -------
    dict
        What ``agreement.json`` holds.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    whole = {**agreement_to_json(report), "table_sha256": table_sha256}
    write_json(whole, out, name=AGREEMENT_FILE)
    write_tables(agreement_tables(report), out / TABLES_FOLDER)
    write_checklists(agreement_facts(report, table_sha256=table_sha256), out, names=checklists)
    pictures = write_figures(agreement_figures(report), out / FIGURES_FOLDER)
    save_page(agreement_page(report, pictures=pictures, table_sha256=table_sha256), out / REPORT_FILE)
    return whole
