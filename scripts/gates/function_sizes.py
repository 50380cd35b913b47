"""Gate: functions stay small enough to read.

Usage: ``function_sizes.py [ROOT]``. Measures the body of every function under ROOT/src/calcmap, from the first
statement after the docstring to the last line, and exits 1 when nine in ten are not at most ``P90_LINES`` long or one
is longer than ``MAX_LINES``; 2 when there was no function to measure.
"""

from __future__ import annotations

import argparse
import ast
import math
import sys
from dataclasses import dataclass
from pathlib import Path

P90_LINES = 30
"""Nine in ten function bodies are no longer than this (house style, from what pleasant code bases keep to)."""
MAX_LINES = 80
"""No function body is longer than this (our choice: about a screen and a half)."""


@dataclass(frozen=True, order=True)
class Body:
    """Length of one function body and where it starts."""

    n_lines: int
    place: str


def bodies(path: Path) -> list[Body]:
    """Return the body length of each function in a file, nested ones and methods included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [Body(_body_lines(function), f"{path}:{function.lineno} {function.name}") for function in functions]


def percentile_90(sizes: list[int]) -> int:
    """Return the smallest size that at least nine in ten do not exceed."""
    return sorted(sizes)[math.ceil(0.9 * len(sizes)) - 1]


def main(arguments: list[str] | None = None) -> int:
    """Print the sizes and what breaks the limits; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", default=".", type=Path)
    source = parser.parse_args(arguments).root / "src" / "calcmap"
    found = sorted((body for path in source.rglob("*.py") for body in bodies(path)), reverse=True)
    if not found:
        print(f"function sizes: no function under {source}")
        return 2
    p90 = percentile_90([body.n_lines for body in found])
    too_long = [body for body in found if body.n_lines > (MAX_LINES if p90 <= P90_LINES else P90_LINES)]
    for body in too_long:
        print(f"{body.place}: {body.n_lines} lines")
    limits = f"p90 {p90} (limit {P90_LINES}), longest {found[0].n_lines} (limit {MAX_LINES})"
    print(f"function sizes: {len(found)} measured, {limits}")
    return 1 if too_long else 0


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not statements:
        return 0
    return (function.end_lineno or function.lineno) - statements[0].lineno + 1


if __name__ == "__main__":
    sys.exit(main())
