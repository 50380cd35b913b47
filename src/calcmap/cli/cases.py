"""``calcmap cases``: folders as researchers have them, turned into labelled cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calcmap.cli.console import EXIT_OK, EXIT_REFUSED, open_console, open_progress, print_error, print_json

if TYPE_CHECKING:
    from calcmap.cohorts.adapters.conversion import Candidate, Heart, Origin, Outcome
    from calcmap.cohorts.adapters.pairs import PairLayout


class Layout(StrEnum):
    """Which kind of folder is read."""

    PAIRS = "pairs"
    COCA = "coca"
    ORCASCORE = "orcascore"


_SOURCES = {
    Layout.PAIRS: ("own scans", "not stated"),
    Layout.COCA: ("COCA (Stanford AIMI), gated", "terms of COCA"),
    Layout.ORCASCORE: ("orCaScore", "terms of orCaScore"),
}
"""Source and licence of a case, unless the user says more."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("cases", no_args_is_help=True)(cases)


def cases(
    folder: Annotated[Path, typer.Argument(help="Folder of scans and labels.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the cases; those already there are kept.")],
    layout: Annotated[
        Layout, typer.Option(help="pairs: a CT and a label file each; or the folders of coca or orcascore.")
    ] = Layout.PAIRS,
    ct: Annotated[
        str | None, typer.Option(help='Path of a CT below FOLDER, * for the case: "*/ct.nii.gz" if not given.')
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help='Path of its labels, the same *: "*/labels.nii.gz" if not given.')
    ] = None,
    label_map: Annotated[
        str | None,
        typer.Option(
            "--map", help="What label values mean: heart=1,coronary=2,noncoronary=3; or background, lm, lad, lcx, rca."
        ),
    ] = None,
    draw_heart: Annotated[
        bool, typer.Option("--draw-heart", help="Let the shipped network draw hearts where the labels have none.")
    ] = False,
    missing_is_zero: Annotated[
        bool, typer.Option("--missing-is-zero", help="coca: a patient without XML file has no calcium.")
    ] = False,
    source: Annotated[str | None, typer.Option(help="Where the scans come from, for case.json.")] = None,
    licence: Annotated[str | None, typer.Option(help="Their terms, for case.json.")] = None,
    site: Annotated[str | None, typer.Option(help="Hospital or scanner, for sampling and leave-one-site-out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON instead of a table.")] = False,
) -> None:
    """Turn a folder of scans and labels into cases for training and evaluation.

    Exit code 0: every case is there. 3: some were refused, each with its reason. 2: wrong usage.

    Example: calcmap cases scans --ct "*_ct.nii.gz" --labels "*_seg.nii.gz" -o cases
    """
    from calcmap.cohorts.adapters.conversion import Origin

    pairs = _pair_layout(layout, ct, labels, label_map, missing_is_zero=missing_is_zero)
    candidates = _find(folder, pairs, missing_is_zero=missing_is_zero)
    heart = _shipped_heart() if draw_heart else None
    default_source, default_licence = _SOURCES[layout]
    origin = Origin(
        source or default_source,
        licence or default_licence,
        site or (None if layout is Layout.PAIRS else layout.value),
        _settings(layout, pairs, heart),
    )
    outcomes = _track(candidates, out, origin=origin, heart=heart, is_shown=not as_json)
    _show(outcomes, out=out, as_json=as_json)
    raise typer.Exit(EXIT_REFUSED if any(outcome.fate == "refused" for outcome in outcomes) else EXIT_OK)


def _pair_layout(
    layout: Layout, ct: str | None, labels: str | None, label_map: str | None, *, missing_is_zero: bool
) -> PairLayout | None:
    """Return how pairs are named; ``None`` for COCA, which has one way."""
    from calcmap.cohorts.adapters.pairs import ORCASCORE, OWN_PAIRS
    from calcmap.core.errors import ConfigError

    if layout is Layout.COCA:
        if ct or labels or label_map:
            raise ConfigError("--ct, --labels and --map do not go with --layout coca, whose files have fixed names")
        return None
    if missing_is_zero:
        raise ConfigError("--missing-is-zero belongs to --layout coca")
    usual = ORCASCORE if layout is Layout.ORCASCORE else OWN_PAIRS
    return replace(usual, ct=ct or usual.ct, labels=labels or usual.labels, label_map=label_map or usual.label_map)


def _find(folder: Path, pairs: PairLayout | None, *, missing_is_zero: bool) -> Sequence[Candidate]:
    from calcmap.cohorts.adapters.coca import find_coca
    from calcmap.cohorts.adapters.pairs import find_pairs
    from calcmap.core.errors import ConfigError

    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    return find_coca(folder, is_missing_free=missing_is_zero) if pairs is None else find_pairs(folder, pairs)


def _shipped_heart() -> Heart:
    from calcmap.cohorts.adapters.conversion import Heart
    from calcmap.segmentation.cascade import load_cascade

    cascade = load_cascade()
    return Heart(lambda volume: cascade.find_heart(volume)[0], cascade.weights_sha256["heart"])


def _settings(layout: Layout, pairs: PairLayout | None, heart: Heart | None) -> dict[str, str]:
    """Return what decides the labels of a case."""
    return {
        "layout": layout.value,
        "map": pairs.label_map if pairs else "",
        "heart": heart.sha256 if heart else "",
    }


def _track(
    candidates: Sequence[Candidate], out: Path, *, origin: Origin, heart: Heart | None, is_shown: bool
) -> list[Outcome]:
    from calcmap.cohorts.adapters.conversion import convert

    with open_progress(is_shown=is_shown) as progress:
        steps = convert(candidates, out, origin=origin, heart=heart)
        return list(progress.track(steps, total=len(candidates), description="cases"))


def _show(outcomes: Sequence[Outcome], *, out: Path, as_json: bool) -> None:
    from rich import box
    from rich.table import Table

    from calcmap.core.result import DISCLAIMER

    counts = {fate: sum(outcome.fate == fate for outcome in outcomes) for fate in ("written", "kept", "refused")}
    if as_json:
        rows: list[dict[str, Any]] = [asdict(outcome) for outcome in outcomes]
        print_json({"cases": rows, **counts})
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("case", overflow="fold")
    table.add_column("fate")
    table.add_column("Agatston", justify="right")
    for outcome in outcomes:
        score = "" if outcome.agatston is None else f"{outcome.agatston:.1f}"
        table.add_row(outcome.case, outcome.fate.value, score)
    console = open_console()
    console.print(table)
    for outcome in outcomes:
        if outcome.reason:
            print_error(f"{outcome.case}: refused ({outcome.reason_code}): {outcome.reason}")
    console.print(f"{counts['written']} written, {counts['kept']} kept, {counts['refused']} refused; cases in {out}")
    console.print(DISCLAIMER)
