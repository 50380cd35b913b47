"""Draw what was said against what was so: the reliability tables of an evaluation.

Usage::

    python scripts/draw_reliability.py OUT/evaluation.json -o reliability.png

Two panels, category right and any calcium: each point is one bin of the table, its bar the 95 % Wilson interval, the
diagonal perfect calibration. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

PANELS = {"category_right": "the category is right", "any_calcium": "there is any calcium"}


def draw(axis: Any, table: dict[str, Any], *, title: str) -> None:  # Any: matplotlib's axes
    """Draw one reliability table."""
    bins = table["bins"]
    said = [each["mean_predicted"] for each in bins]
    so = [each["observed"]["estimate"] for each in bins]
    below = [each["observed"]["estimate"] - each["observed"]["low"] for each in bins]
    above = [each["observed"]["high"] - each["observed"]["estimate"] for each in bins]
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axis.errorbar(said, so, yerr=[below, above], fmt="o", color="tab:blue", capsize=3)
    axis.set(
        xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xlabel="probability said", ylabel="share that was so"
    )
    error = f"calibration error {table['ece']:.3f} (chance alone up to {table['ece_if_calibrated']:.3f})"
    axis.set_title(f"{title}, n = {table['n']}\n{error}", fontsize=9)


def main() -> None:
    """Read, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("reliability.png"))
    arguments = parser.parse_args()
    try:
        from matplotlib.figure import Figure
    except ImportError:
        parser.error("this picture needs matplotlib; install it with pip")
    calibration = json.loads(arguments.evaluation.read_text(encoding="utf-8"))["calibration"]
    if calibration is None:
        parser.error(f"{arguments.evaluation} holds no confidence: no model is for its networks")
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    for axis, (name, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        draw(axis, calibration[name], title=title)
    figure.savefig(arguments.out, dpi=120)


if __name__ == "__main__":
    main()
