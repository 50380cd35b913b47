"""What every page of a study ends with: the software, and the hashes of settings and table."""

from __future__ import annotations

from calcmap import __version__
from calcmap.core.config import config_sha256
from calcmap.report.page import Block, Paragraph
from calcmap.report.sentences import software_sentence
from calcmap.report.tables import TextTable

MADE_BY = f"Made by CalcMap {__version__}; research use only"
PACKAGES = ("calcmap", "numpy", "scipy", "pandas", "matplotlib")
"""Whose versions can change a number or a figure."""


def provenance_blocks(settings: object, *, table_sha256: str) -> tuple[Block, ...]:
    """Return the sentence on software and the table of hashes; an empty ``table_sha256`` is left out."""
    rows = [("settings, SHA-256", config_sha256(settings))]
    if table_sha256:
        rows.append(("table, SHA-256", table_sha256))
    return (
        Paragraph((software_sentence(PACKAGES),)),
        TextTable("provenance", "What the numbers were made from", ("what", "value"), tuple(rows)),
    )
