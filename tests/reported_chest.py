"""The scored chest with its DICOM reports, and what is changed in it to see them differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

from highdicom.sr import srread
from pydicom.dataset import Dataset

from calcmap.core.result import StudyResult
from calcmap.io.finding import find_studies
from calcmap.io.source_headers import SourceSeries, read_source_series
from calcmap.io.study import Study
from calcmap.pipeline import ScoredStudy, ScoreOptions, score_study
from calcmap.report.dicom import Reports, ReportSettings, Verification, make_reports, write_reports
from calcmap.report.dicom.filing import Filing
from calcmap.report.dicom.measurements import measurement_report
from calcmap.report.dicom.segmentation import segmentation
from calcmap.scoring.percentiles import Ethnicity
from scored_chest import StubCascade, scored_chest, write_chest

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
    source: SourceSeries
    folder: Path

    def filing(self, *, result: StudyResult | None = None, settings: ReportSettings = SETTINGS) -> Filing:
        """Return under what another result, or one with other settings, is filed."""
        return Filing(self.scored.result if result is None else result, self.source.reference, settings)

    def masks(self, *, settings: ReportSettings = SETTINGS) -> Dataset:
        """Return the segmentation alone."""
        assert self.scored.labels is not None
        return segmentation(self.scored.labels, self.source, self.filing(settings=settings))

    def measurements(self, result: StudyResult) -> Dataset:
        """Return the structured report of another result alone, as it is read from its file."""
        assert result.coronary is not None
        assert result.method is not None
        assert self.reports.segmentation is not None
        made = measurement_report(
            result.coronary, result.method, self.source, self.filing(result=result),
            segmentation=self.reports.segmentation,
        )  # fmt: skip
        held = BytesIO()
        made.save_as(held, enforce_file_format=True)
        held.seek(0)
        return srread(held)

    def again(self, *, result: StudyResult | None = None, settings: ReportSettings = SETTINGS) -> Reports:
        """Return reports of another result on the same scan, or with other settings; without pictures."""
        return make_reports(
            self.scored.result if result is None else result,
            None,
            self.scored.labels,
            study=self.study,
            settings=settings,
        )


def reported_chest(folder: Path) -> ReportedChest:
    """Return the chest, written as DICOM, scored, and its reports written beside it."""
    (study,) = find_studies([write_chest(folder / "patient1")])
    cascade = StubCascade(scored_chest()[1].labels_zyx)
    scored = score_study(study, cascade, options=ScoreOptions(ethnicity=Ethnicity.WHITE))
    reports = make_reports(scored.result, scored.volume, scored.labels, study=study, settings=SETTINGS)
    write_reports(reports, folder / "out")
    source = read_source_series(study, study.series[0].uid)
    return ReportedChest(study, scored, reports, source, folder / "out")
