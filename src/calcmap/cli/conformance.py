"""``calcmap conformance``: tiny scans with scores worked out by hand, for any calcium scorer."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import EXIT_OK, EXIT_REFUSED, open_console, print_json

if TYPE_CHECKING:
    from calcmap.scoring.conformance import ConformanceReport

EXPECTED_FILE = "expected.csv"

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Tiny scans whose scores are worked out by hand: check any calcium scorer, ours included.",
)

ProfileOption = Annotated[
    str, typer.Option(help="Rule to answer for: clinical, ge, siemens, philips, canon, orcascore.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="conformance")


@commands.command()
def export(
    out: Annotated[Path, typer.Argument(help="Folder to fill.")],
    profile: ProfileOption = "clinical",
) -> None:
    """Write every case as <case>/ct.nii.gz and <case>/mask.nii.gz, with expected.csv beside them.

    Example: calcmap conformance export suite
    """
    import numpy as np

    from calcmap.core.volume import Labels
    from calcmap.io.nifti import write_labels, write_volume
    from calcmap.scoring.conformance import build_case, expected_rows, load_cases

    rows = expected_rows(profile)
    for case in load_cases():
        volume, mask_zyx = build_case(case)
        folder = out / case.id
        folder.mkdir(parents=True, exist_ok=True)
        write_volume(volume, folder / "ct.nii.gz")
        write_labels(Labels(mask_zyx.astype(np.uint8), volume.grid), folder / "mask.nii.gz")
    with (out / EXPECTED_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    open_console().print(
        f"{len(rows)} cases in {out}. Score each mask, write a table with the columns case, agatston "
        f"(and, if you like, volume_mm3, n_lesions, mass_mg), then: calcmap conformance check TABLE"
    )


@commands.command()
def check(
    table: Annotated[
        Path | None, typer.Argument(help="CSV of another scorer's answers; CalcMap's own if absent.")
    ] = None,
    profile: ProfileOption = "clinical",
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Compare a table of answers with the right ones; without a table, run CalcMap's own scorer.

    Exit code 0: every case right. 3: some wrong or missing.

    Example: calcmap conformance check my_scores.csv --profile siemens
    """
    from calcmap.core.errors import InputError
    from calcmap.scoring.conformance import answers_from_rows, calcmap_scorer, compare_results, run_suite

    if table is None:
        report = run_suite(calcmap_scorer(profile), profile=profile)
    else:
        try:
            with table.open(newline="", encoding="utf-8") as file:
                report = compare_results(answers_from_rows(csv.DictReader(file)), profile=profile)
        except OSError as error:
            raise InputError(f"cannot read {table}: {error.strerror}") from error
    _show(report, as_json=as_json)
    raise typer.Exit(EXIT_OK if report.is_passed else EXIT_REFUSED)


def _show(report: ConformanceReport, *, as_json: bool) -> None:
    n_passed = len(report.outcomes) - len(report.failed)
    if as_json:
        failed = {outcome.case_id: list(outcome.differences) for outcome in report.failed}
        print_json({"profile": report.profile, "cases": len(report.outcomes), "passed": n_passed, "failed": failed})
        return
    console = open_console()
    for outcome in report.failed:
        console.print(f"{outcome.case_id}: {'; '.join(outcome.differences)}")
    console.print(f"{n_passed} of {len(report.outcomes)} cases right under the profile {report.profile}")
