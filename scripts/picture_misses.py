"""Draw where the networks and the reference of labelled cases differ, the costliest first.

Usage::

    python scripts/picture_misses.py CASE [CASE ...] [--heart H.onnx --calcium C.onnx] [--per-case 4] -o misses.png

A row a case: coronary calcium (130 HU and more) that the networks missed, or found where the reference has none, each
in the slice where it is largest. Yellow is the reference heart, cyan the networks'; green the reference's coronary
calcium, red the networks'. Where nothing differs, the slice in which the two hearts differ most is drawn. Pictures of
real scans stay out of the project, as the scans do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from scipy import ndimage

from calcmap.core.volume import BoolArray, Label, Volume
from calcmap.io.cases import load_case_arrays
from calcmap.scoring.agatston import score_mask
from calcmap.scoring.rules import CALCIUM_THRESHOLD_HU, get_profile
from calcmap.segmentation.cascade import Cascade, load_cascade

mpl.use("Agg")
import matplotlib.pyplot as plt

HALF_WIDTH_MM = 75.0
WINDOW_HU = (-160.0, 350.0)


@dataclass(frozen=True, eq=False)
class Reading:
    """One case as the reference and as the networks see it."""

    name: str
    volume: Volume
    reference_heart_zyx: BoolArray
    heart_zyx: BoolArray
    reference_zyx: BoolArray
    found_zyx: BoolArray


@dataclass(frozen=True)
class View:
    """What to draw: a slice, its middle, and words."""

    slice_index: int
    middle_yx: tuple[int, int]
    words: str


def main() -> None:
    """Draw one picture of all cases."""
    arguments = _parse()
    cascade = load_cascade(heart=arguments.heart, calcium=arguments.calcium)
    n = arguments.per_case
    figure, axes = plt.subplots(len(arguments.cases), n, figsize=(4.4 * n, 4.6 * len(arguments.cases)), squeeze=False)
    for row, folder in zip(axes, arguments.cases, strict=True):
        reading = read(folder, cascade)
        views = costliest(reading)[:n] or [farthest_hearts(reading)]
        for axis, view in zip(row, views, strict=False):
            _draw(axis, reading, view)
        for axis in row:
            axis.axis("off")
    figure.tight_layout()
    figure.savefig(arguments.out, dpi=70)
    plt.close(figure)


def read(folder: Path, cascade: Cascade) -> Reading:
    """Return a case and what the networks make of it."""
    volume, labels, case = load_case_arrays(folder)
    found = cascade.segment(volume)
    dense = volume.ct_hu_zyx >= CALCIUM_THRESHOLD_HU
    return Reading(
        name=case.id,
        volume=volume,
        reference_heart_zyx=labels.labels_zyx != Label.BACKGROUND,
        heart_zyx=found.heart_zyx,
        reference_zyx=(labels.labels_zyx == Label.CORONARY) & dense,
        found_zyx=(found.labels.labels_zyx == Label.CORONARY) & dense,
    )


def costliest(reading: Reading) -> list[View]:
    """Return views of the pieces that only one side calls coronary, by their Agatston score."""
    sides = {
        "missed": reading.reference_zyx & ~reading.found_zyx,
        "false": reading.found_zyx & ~reading.reference_zyx,
    }
    priced = []
    for side, only in sides.items():
        pieces, n = ndimage.label(only, structure=np.ones((3, 3, 3)))
        for piece in range(1, n + 1):
            mask = pieces == piece
            score = score_mask(reading.volume, mask, rule=get_profile("clinical")).coronary.agatston
            z = int(mask.sum(axis=(1, 2)).argmax())
            middle = np.argwhere(mask[z]).mean(axis=0).round().astype(int)
            priced.append((score, View(z, (int(middle[0]), int(middle[1])), f"{side} {score:.1f}")))
    return [view for score, view in sorted(priced, key=lambda each: -each[0]) if score > 0]


def farthest_hearts(reading: Reading) -> View:
    """Return the slice in which the two heart masks differ in most voxels."""
    differ = reading.reference_heart_zyx ^ reading.heart_zyx
    z = int(differ.sum(axis=(1, 2)).argmax())
    either = reading.reference_heart_zyx | reading.heart_zyx
    middle = np.argwhere(either[z]).mean(axis=0) if either[z].any() else np.array(either.shape[1:]) / 2
    return View(z, (int(middle[0]), int(middle[1])), "no calcium differs; hearts")


def _draw(axis: plt.Axes, reading: Reading, view: View) -> None:
    half_px = round(HALF_WIDTH_MM / reading.volume.spacing_mm_zyx[2])
    rows, columns = (slice(max(0, middle - half_px), middle + half_px) for middle in view.middle_yx)
    z = view.slice_index
    axis.imshow(reading.volume.ct_hu_zyx[z, rows, columns], cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
    outlines = (
        (reading.reference_heart_zyx, "yellow", 0.6),
        (reading.heart_zyx, "cyan", 0.6),
        (reading.reference_zyx, "lime", 1.0),
        (reading.found_zyx, "red", 1.0),
    )
    for mask_zyx, colour, width in outlines:
        if mask_zyx[z, rows, columns].any():
            axis.contour(mask_zyx[z, rows, columns], [0.5], colors=colour, linewidths=width)
    axis.set_title(f"{reading.name}, slice {z}: {view.words}", fontsize=8)


def _parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--heart", type=Path)
    parser.add_argument("--calcium", type=Path)
    parser.add_argument("--per-case", type=int, default=4)
    parser.add_argument("-o", "--out", type=Path, required=True)
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
