"""Rows of an evaluation kept case by case, so that one that was stopped goes on where it stood; tables of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from calcmap.evaluation.agreement import Estimate
from calcmap.evaluation.paired import kappa_difference
from calcmap.pipeline.evaluation import N_CATEGORIES, CaseRow, summarise
from calcmap.scoring.categories import paper_category

NOT_DEFINED = "–"


def read_rows(path: Path) -> dict[str, CaseRow]:
    """Return the rows that `append_row` left, by case folder; a line cut short by a kill is left out."""
    rows: dict[str, CaseRow] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            kept = json.loads(line)
        except ValueError:
            continue
        rows[kept["folder"]] = row_from_json(kept["row"])
    return rows


def append_row(path: Path, folder: Path, row: CaseRow) -> None:
    """Write one more row, on a line of its own even where the line before was cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"folder": str(folder), "row": asdict(row)}))


def row_from_json(values: Mapping[str, Any]) -> CaseRow:
    """Return a row whose lists have become tuples again."""
    return CaseRow(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def agreement_cells(rows: Sequence[CaseRow]) -> list[str]:
    """Return the cells of one network: kappa, r2 of log scores, any calcium, lesions, categories right."""
    figures: Any = summarise(rows)
    calcium, lesions = figures["any_calcium"], figures["lesions"]
    return [
        said(figures["kappa_linear"]),
        said(figures["r2_log_score"]),
        said(calcium["sensitivity"]),
        said(calcium["specificity"]),
        said(lesions["sensitivity"]),
        f"{lesions['false_per_scan']:.2f}",
        f"{figures['categories_right']} of {figures['n']}",
    ]


AGREEMENT_HEADS = (
    "linear weighted kappa (95 %)",
    "r² of log(1 + score)",
    "any calcium: sensitivity",
    "specificity",
    "lesion sensitivity",
    "false lesions a scan",
    "category right",
)


def difference(rows: Sequence[CaseRow], baseline: Sequence[CaseRow]) -> Estimate:
    """Return kappa of ``rows`` minus that of ``baseline``, a paired bootstrap over the same cases.

    Raises
    ------
    SystemExit
        The cases are not the same.
    """
    if [row.case_id for row in rows] != [row.case_id for row in baseline]:
        raise SystemExit("two networks were evaluated on different cases: end the evaluation first")
    return kappa_difference(_categories(rows), _categories(baseline), n_categories=N_CATEGORIES)


def check_unseen(rows: Sequence[CaseRow], runs: Iterable[Path]) -> None:
    """Stop where a run trained on, or chose its checkpoint by, a case of the test.

    Raises
    ------
    SystemExit
        It did; the message names the first such case.
    """
    tested = {row.case_id for row in rows}
    for run in runs:
        cases = json.loads((run / "cases.json").read_text(encoding="utf-8"))
        seen = sorted(tested.intersection(cases["training"] + cases["held_out"]))
        if seen:
            raise SystemExit(f"{run} has seen {len(seen)} of the test's cases, the first of them {seen[0]}")


def of_sites(rows: Sequence[CaseRow]) -> str:
    """Return the sites of some cases in words."""
    sites = sorted({row.site or "unknown" for row in rows})
    return f"site{'s' if len(sites) > 1 else ''} {', '.join(sites)}"


def said(value: Estimate | Mapping[str, Any], *, digits: int = 3) -> str:
    """Return an estimate with its interval, as far as they are defined."""
    found = value if isinstance(value, Mapping) else asdict(value)
    if found["estimate"] is None:
        return NOT_DEFINED
    estimate = f"{found['estimate']:.{digits}f}"
    if found["low"] is None or found["high"] is None:
        return estimate
    return f"{estimate} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _categories(rows: Sequence[CaseRow]) -> np.ndarray:
    """Return reference and found category of each case; of a range of references the one nearest to what was found."""
    allowed = np.array([[paper_category(score).index for score in row.reference_range] for row in rows])
    found = np.array([row.category for row in rows])
    return np.stack([np.clip(found, allowed[:, 0], allowed[:, 1]), found], axis=1)
