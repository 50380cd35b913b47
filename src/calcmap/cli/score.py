"""``calcmap score``: score every study found."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import (
    EXIT_OK,
    EXIT_REFUSED,
    check_packages,
    open_console,
    open_progress,
    print_error,
    print_json,
)
from calcmap.cli.starting import quick_imports

if TYPE_CHECKING:
    from rich.table import Table

    from calcmap.core.result import StudyResult
    from calcmap.io.study import Study
    from calcmap.pipeline import ScoredStudy, ScoreOptions
    from calcmap.scoring.percentiles import Ethnicity
    from calcmap.segmentation.cascade import Cascade

INTERNAL_ERROR = "internal_error"
"""Reason code of a study that met a defect of CalcMap; the other studies go on."""
SEE_TRACEBACK = "run `calcmap --verbose score ...` for the traceback"
REPORT_PACKAGES = ("highdicom", "matplotlib")
"""What DICOM reports need besides the base install: the ``reports`` extra."""

logger = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("score", no_args_is_help=True)(score)


def score(
    paths: Annotated[
        list[Path], typer.Argument(help="Folders, DICOM files, DICOMDIRs, zips, NIfTI, NRRD or MHA files.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Write results.csv and a folder per study: result, labels, picture."),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Scoring rule: clinical, ge, siemens, philips, canon, orcascore.")
    ] = "clinical",
    series: Annotated[str | None, typer.Option(help="SeriesInstanceUID to score, whatever would be chosen.")] = None,
    kvp_thresholds: Annotated[
        bool, typer.Option("--kvp-thresholds", help="Use thresholds for the tube voltage instead of 130 HU.")
    ] = False,
    ethnicity: Annotated[
        str | None, typer.Option(help="white, black, hispanic or chinese: adds MESA percentiles.")
    ] = None,
    heart_weights: Annotated[Path | None, typer.Option(help="Another heart network (ONNX).")] = None,
    calcium_weights: Annotated[Path | None, typer.Option(help="Another calcium network (ONNX).")] = None,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="With -o: write DICOM reports too (SEG, SR, PDF, secondary capture).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print results as JSON instead of a table.")] = False,
) -> None:
    """Score every study found: a table on the screen and, with -o, files.

    Exit code 0: all scored. 3: some study was refused, or has no DICOM reports, each with its reason. 2: wrong usage.

    Example: calcmap score /data/spect_ct/patient1 -o out
    """
    if dicom:
        _check_dicom(out)
    with quick_imports():
        from calcmap.io.finding import find_studies
        from calcmap.pipeline import ScoreOptions
        from calcmap.report.folder import write_results_csv
        from calcmap.segmentation.cascade import load_cascade

    options = ScoreOptions(
        profile=profile,
        series_uid=series,
        adapt_threshold_to_kvp=kvp_thresholds,
        ethnicity=_parse_ethnicity(ethnicity),
    )
    with ThreadPoolExecutor(1) as beside:  # the networks are made ready while headers are read
        loading = beside.submit(load_cascade, heart=heart_weights, calcium=calcium_weights)
        studies = find_studies(paths)
    cascade = loading.result()
    results, unreported = [], []
    with open_progress(is_shown=not as_json) as progress:
        for study in progress.track(studies, description="scoring"):
            scored = _score_one(study, cascade, options=options, out=out)
            results.append(scored.result)
            if dicom and out is not None:
                unreported += _report_one(scored, study, folder=out / study.name)
    if out is not None:
        write_results_csv(results, out / "results.csv")
    _show(results, out=out, as_json=as_json)
    for line in unreported:
        print_error(line)
    is_all_done = not unreported and all(result.status == "scored" for result in results)
    raise typer.Exit(EXIT_OK if is_all_done else EXIT_REFUSED)


def _check_dicom(out: Path | None) -> None:
    """Stop before anything is scored when DICOM reports cannot be written at all."""
    if out is None:
        raise typer.BadParameter("DICOM reports need a folder: give -o as well", param_hint="--dicom")
    check_packages(REPORT_PACKAGES, extra="reports", wanted_by="--dicom")


def _report_one(scored: ScoredStudy, study: Study, *, folder: Path) -> list[str]:
    """Write the DICOM reports of one study; return why there are none, if so. The result stands either way."""
    from datetime import datetime

    from calcmap.core.errors import InputError, OutputError
    from calcmap.report.dicom import ReportSettings, make_reports, write_reports

    try:
        settings = ReportSettings(made_at=datetime.now().astimezone())
        write_reports(make_reports(scored.result, scored.volume, scored.labels, study=study, settings=settings), folder)
    except (InputError, OutputError) as error:
        return [f"{study.name}: no DICOM reports: {error}"]
    except Exception as error:
        logger.debug("unexpected error", exc_info=True)
        return [f"{study.name}: no DICOM reports: unexpected {type(error).__name__} ({SEE_TRACEBACK})"]
    return []


def _score_one(study: Study, cascade: Cascade, *, options: ScoreOptions, out: Path | None) -> ScoredStudy:
    """Return one study scored, its files written; a defect of ours refuses this study and no other."""
    from calcmap.core.errors import CalcMapError
    from calcmap.pipeline import refuse_study, score_study

    try:
        scored = score_study(study, cascade, options=options)
        _write(scored, study, out=out)
    except CalcMapError:
        raise  # settings, networks or the output folder: the next study would fare no better
    except Exception as error:
        logger.debug("unexpected error", exc_info=True)
        reason = f"unexpected {type(error).__name__} ({SEE_TRACEBACK})"
        scored = refuse_study(study, cascade, options=options, reason=reason, code=INTERNAL_ERROR)
        _write(scored, study, out=out)
    return scored


def _write(scored: ScoredStudy, study: Study, *, out: Path | None) -> None:
    if out is not None:
        from calcmap.io.origins import series_paths
        from calcmap.report.folder import write_study

        chosen = scored.result.chosen_series
        sources = series_paths(study, chosen.series_uid) if chosen else ()
        write_study(scored.result, scored.volume, scored.labels, folder=out / study.name, sources=sources)


def _parse_ethnicity(word: str | None) -> Ethnicity | None:
    from calcmap.scoring.percentiles import Ethnicity

    if word is None:
        return None
    try:
        return Ethnicity(word.lower())
    except ValueError as error:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(Ethnicity)}", param_hint="--ethnicity") from error


def _show(results: list[StudyResult], *, out: Path | None, as_json: bool) -> None:
    from calcmap.core.result import DISCLAIMER, result_to_json

    if as_json:
        print_json([result_to_json(result) for result in results])
        return
    console = open_console()
    console.print(_table(results))
    for result in results:
        if result.reason:
            print_error(f"{result.study}: refused ({result.reason_code}): {result.reason}")
    if out is not None:
        console.print(f"Results in {out}: results.csv, and a folder per study with its result and picture.")
    console.print(DISCLAIMER)


def _category_words(result: StudyResult) -> str:
    """Return e.g. ``"0 (confident)"``; the category alone where nothing says how sure it is."""
    if result.category is None:
        return ""
    return f"{result.category.name} ({result.confidence.word})" if result.confidence else result.category.name


def _table(results: list[StudyResult]) -> Table:
    """Return the results as a table that fits 80 columns for study names of ordinary length."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("study", overflow="fold")
    table.add_column("Agatston", justify="right", no_wrap=True)
    table.add_column("category", justify="right")
    for heading in ("CAC-DRS", "heart mL", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("flags", overflow="fold")
    for result in results:
        coronary, category = result.coronary, result.category
        table.add_row(
            result.study,
            f"{coronary.agatston:.1f}" if coronary else str(result.status),
            _category_words(result),
            category.cac_drs.removeprefix("CAC-DRS ") if category else "",
            f"{result.heart.volume_ml:.0f}" if result.heart else "",
            f"{sum(result.seconds.values()):.2f}",
            ", ".join(sorted({flag.code for flag in result.quality if flag.severity != "info"})),
        )
    return table
