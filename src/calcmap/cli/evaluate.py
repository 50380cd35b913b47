"""``calcmap evaluate``: segment, score and compare with the reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calcmap.cli.console import open_console, open_progress, print_json

if TYPE_CHECKING:
    from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("evaluate", no_args_is_help=True)(evaluate)


def evaluate(
    data: Annotated[list[Path], typer.Option(help="Folder of cases; repeat for more.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for evaluation.json and cases.csv.")],
    weights: Annotated[
        Path | None, typer.Option(help="Folder with heart.onnx and calcium.onnx; the shipped ones if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json too.")] = False,
) -> None:
    """Compare the networks with reference labels: heart Dice, scores, categories, weighted kappa.

    Example: calcmap evaluate --data cases/external -o out/evaluation
    """
    from rich.table import Table

    from calcmap.io.cases import find_cases
    from calcmap.pipeline.evaluation import evaluate_cases, write_evaluation
    from calcmap.segmentation.cascade import load_cascade

    cascade = (
        load_cascade()
        if weights is None
        else load_cascade(heart=weights / "heart.onnx", calcium=weights / "calcium.onnx")
    )
    with open_progress(is_shown=not as_json) as progress:
        folders = find_cases(data)
        rows = list(progress.track(evaluate_cases(folders, cascade), total=len(folders), description="cases"))
    summary = write_evaluation(rows, out, weights_sha256=cascade.weights_sha256)
    if as_json:
        print_json(summary)
        return
    console = open_console()
    table = Table("case", "reference", "predicted", "category", "heart Dice")
    for row in rows:
        low, high = row.reference_range
        reference = f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}"
        category = f"{row.reference_category} -> {row.category}"
        table.add_row(row.case_id, reference, f"{row.agatston:.1f}", category, f"{row.dice_heart:.3f}")
    console.print(table)
    console.print(_matrix_table(summary))
    console.print(f"any calcium: {_found_words(summary)}")
    console.print(f"{len(rows)} cases; {_kappa_words(summary)}; results in {out}")


def _matrix_table(summary: Mapping[str, Any]) -> Table:
    from rich.table import Table

    from calcmap.scoring.categories import PAPER_NAMES

    table = Table("reference", *(f"predicted {name}" for name in PAPER_NAMES))
    for name, counts in zip(PAPER_NAMES, summary["matrix"], strict=True):
        table.add_row(name, *(str(count) for count in counts))
    return table


def _found_words(summary: Mapping[str, Any]) -> str:
    words = []
    for name, share in summary["any_calcium"].items():
        known = "no such case" if share["estimate"] is None else (
            f"{share['estimate']:.2f} ({share['low']:.2f} to {share['high']:.2f}, n = {share['n']})"
        )  # fmt: skip
        words.append(f"{name} {known}")
    return ", ".join(words)


def _kappa_words(summary: Mapping[str, Any]) -> str:
    kappa = summary["kappa_linear"]
    if kappa["estimate"] is None:
        return f"no linear weighted kappa: {summary['kappa_reason']}"
    return f"linear weighted kappa {kappa['estimate']:.2f} ({kappa['low']:.2f} to {kappa['high']:.2f})"
