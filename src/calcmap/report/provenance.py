"""What every page of a study ends with: the software, and the hashes of settings and table."""

from __future__ import annotations

from dataclasses import replace

from calcmap import __version__
from calcmap.core.config import config_sha256
from calcmap.evaluation.study import AgreementSettings
from calcmap.prognosis.config import PrognosisSettings
from calcmap.report.page import Block, Paragraph
from calcmap.report.sentences import software_sentence
from calcmap.report.tables import TextTable

MADE_BY = f"Made by CalcMap {__version__}; research use only"
PACKAGES = ("calcmap", "numpy", "scipy", "pandas", "matplotlib")
"""Whose versions can change a number or a figure."""


StudySettings = AgreementSettings | PrognosisSettings


def settings_sha256(settings: StudySettings) -> str:
    """Return the hash of the settings, the same for every number of processes: no result depends on it."""
    if isinstance(settings, AgreementSettings):
        return config_sha256(replace(settings, workers=1))
    return config_sha256(replace(settings, bootstrap=replace(settings.bootstrap, workers=None)))


def provenance_blocks(settings: StudySettings, *, table_sha256: str) -> tuple[Block, ...]:
    """Return the sentence on software and the table of hashes; an empty ``table_sha256`` is left out."""
    rows = [("settings, SHA-256", settings_sha256(settings))]
    if table_sha256:
        rows.append(("table, SHA-256", table_sha256))
    return (
        Paragraph((software_sentence(PACKAGES),)),
        TextTable("provenance", "What the numbers were made from", ("what", "value"), tuple(rows)),
    )
