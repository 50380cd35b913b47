"""The scored chest with its DICOM reports, and what is changed in it to see them differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from calcmap.core.result import StudyResult
from calcmap.io.finding import find_studies
from calcmap.io.study import Study
from calcmap.pipeline import ScoredStudy, ScoreOptions, score_study
from calcmap.report.dicom import Reports, ReportSettings, Verification, make_reports, write_reports
from calcmap.scoring.percentiles import Ethnicity
from scored_chest import HEADER, StubCascade, scored_chest, write_chest

MADE_AT = datetime(2026, 11, 23, 22, 40, 5)
SIGNED_AT = datetime(2026, 11, 24, 8, 15)
SETTINGS = ReportSettings(made_at=MADE_AT)
VERIFICATION = Verification("Yamada^Tarou=山田^太郎=やまだ^たろう", "Clinic <of> hearts", SIGNED_AT, has_changes=True)


@dataclass(frozen=True, eq=False)
class ReportedChest:
    """A study on disk, scored, and its reports in memory and on disk."""

    study: Study
    scored: ScoredStudy
    reports: Reports
    folder: Path

    def again(self, *, result: StudyResult | None = None, settings: ReportSettings = SETTINGS) -> Reports:
        """Return reports of another result on the same scan, or with other settings."""
        return make_reports(
            self.scored.result if result is None else result,
            self.scored.volume,
            self.scored.labels,
            study=self.study,
            settings=settings,
        )


def reported_chest(folder: Path) -> ReportedChest:
    """Return the chest, written as DICOM, scored, and its reports written beside it."""
    (study,) = find_studies([write_chest(folder / "patient1")])
    scored = score_study(
        study, StubCascade(scored_chest()[1].labels_zyx), options=ScoreOptions(ethnicity=Ethnicity.WHITE)
    )
    reports = make_reports(scored.result, scored.volume, scored.labels, study=study, settings=SETTINGS)
    write_reports(reports, folder / "out")
    return ReportedChest(study, scored, reports, folder / "out")


def altered_chest(folder: Path, alter: Callable[[Dataset], None]) -> Study:
    """Return a study of the chest with every header changed."""
    write_chest(folder, header=replace(HEADER, seed="altered"))
    for path in folder.iterdir():
        image = dcmread(path)
        alter(image)
        image.save_as(path, enforce_file_format=True)
    (study,) = find_studies([folder])
    return study
