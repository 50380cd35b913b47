"""Scores of the simulated QRM phantom beside the published ones: the tables of docs/reference/phantom.md.

    python scripts/phantom_table.py [--repeats 20] [--real ../shared/data/qrm_phantom]

With ``--real``, also a real Canon scan of the large phantom against the simulated one, by profile, noise and score.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calcmap.core.volume import Float64Array, Volume
from calcmap.io.reading import read_single_ct
from calcmap.io.stacking import Content
from calcmap.scoring import get_profile, score_volume
from calcmap.simulation.phantom.geometry import INSERTS, PhantomSize
from calcmap.simulation.phantom.published import PUBLISHED, PublishedScores
from calcmap.simulation.phantom.scan import SimulatedPhantom, simulate_phantom
from calcmap.simulation.phantom.scanners import CANON, PHANTOM_SCANNERS, Alignment

FIRST_SEED = 0
AROUND_INSERTS_MM = (-6.5, 6.5)
MATRIX = 208
PROFILE_STEP_MM = 0.5
PROFILE_REACH_MM = 5.0
REAL_MIDDLE_PX = (216.5, 257.0)
REAL_PLAIN_SLICES = slice(13, 20)
NOISE_SIDE_PX = 64


@dataclass(frozen=True)
class Scores:
    """Agatston score, volume and mass of every insert in every repetition, shape (repetitions, inserts)."""

    agatston: Float64Array
    volume_mm3: Float64Array
    mass_mg: Float64Array


def main() -> None:
    """Print one table a scanner and size, a summary and, if asked, the comparison with the real scan."""
    arguments = _parse()
    for (vendor, size), published in PUBLISHED.items():
        _print_scanner(vendor, size, published, _scores(vendor, size, arguments.repeats))
    if arguments.real is not None:
        _print_real(arguments.real, arguments.repeats)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--real", type=Path)
    return parser.parse_args()


def _print(line: str = "") -> None:
    sys.stdout.write(line + "\n")


def _scores(vendor: str, size: PhantomSize, repeats: int) -> Scores:
    scanner = replace(PHANTOM_SCANNERS[vendor], matrix=MATRIX)
    rows = [
        _of_one(simulate_phantom(seed=FIRST_SEED + k, scanner=scanner, size=size, z_mm=AROUND_INSERTS_MM))
        for k in range(repeats)
    ]
    agatston, volume, mass = np.array(rows).transpose(2, 0, 1)
    return Scores(agatston, volume, mass)


def _of_one(phantom: SimulatedPhantom) -> list[tuple[float, float, float]]:
    rows = []
    for insert in phantom.inserts:
        scoring = score_volume(phantom.volume, phantom.labels_of(insert), rule=get_profile("clinical"),
                               mass_factor=phantom.mass_factor)  # fmt: skip
        found = scoring.coronary
        rows.append((found.agatston, found.volume_mm3, found.mass_mg or 0.0))
    return rows


def _print_scanner(vendor: str, size: PhantomSize, published: PublishedScores, scores: Scores) -> None:
    scanner = PHANTOM_SCANNERS[vendor]
    protocol = scanner.protocol(size)
    _print(f"\n### {vendor} ({scanner.model}), {size}")
    _print(f"{scanner.increment_mm:g} mm slices, MTF 50 % at {protocol.mtf50_per_mm:.2f} / mm, {protocol}\n")
    _print("| insert | published range | published mean | simulated mean | SD | lowest to highest | scans inside |")
    _print("|---|---|---|---|---|---|---|")
    for j, insert in enumerate(INSERTS):
        own, low, high = scores.agatston[:, j], published.low[j], published.high[j]
        mark = "" if low <= own.mean() <= high else " **outside**"
        inside = np.mean((own >= low) & (own <= high))
        _print(f"| {insert.name} | {low:.1f} to {high:.1f} | {published.mean[j]:.1f} | {own.mean():.1f}{mark} | "
               f"{own.std(ddof=1):.1f} | {own.min():.1f} to {own.max():.1f} | {inside:.0%} |")  # fmt: skip
    total, mass = scores.agatston.sum(axis=1), scores.mass_mg.sum(axis=1)
    _print(f"| total | | {published.total_mean:.0f} (SD {published.total_sd:.0f}) | {total.mean():.0f} | "
           f"{total.std(ddof=1):.0f} | {total.min():.0f} to {total.max():.0f} | |")  # fmt: skip
    _print(f"| total mass, mg | | {published.total_mass_mg:.0f} | {mass.mean():.0f} | {mass.std(ddof=1):.1f} | | |")


def _print_real(folder: Path, repeats: int) -> None:
    volume = read_single_ct(folder / "dicom", content=Content.ANYTHING).volume
    scores = _scores("canon", PhantomSize.LARGE, repeats)
    _print("\n### One real scan (canon, large) and the simulated ones: mean, lowest to highest")
    with (folder / "published.csv").open(newline="") as table:
        published = {row["insert"]: row for row in csv.DictReader(table)}
    _print("| insert | Agatston | simulated | volume mm3 | simulated | mass mg | simulated |")
    _print("|---|---|---|---|---|---|---|")
    for j, insert in enumerate(INSERTS):
        row = published[insert.name]
        cells = [f"{float(row[key]):.1f} | {own[:, j].mean():.1f}, {own[:, j].min():.1f} to {own[:, j].max():.1f}"
                 for key, own in (("agatston", scores.agatston), ("volume_mm3", scores.volume_mm3),
                                  ("mass_mg", scores.mass_mg))]  # fmt: skip
        _print(f"| {insert.name} | " + " | ".join(cells) + " |")
    simulated = simulate_phantom(seed=FIRST_SEED, scanner=CANON, size=PhantomSize.LARGE)
    _print_noise(volume, simulated.volume)
    _print_profiles(volume, published)


def _print_noise(real: Volume, simulated: Volume) -> None:
    _print("\n| heart insert | mean HU | SD | noise mean frequency / mm |")
    _print("|---|---|---|---|")
    middle = (simulated.ct_hu_zyx.shape[1] - 1) / 2
    plain = np.flatnonzero(np.abs(_heights(simulated) + 15) < 10)
    for name, volume, (row, column), slices in (
        ("real", real, REAL_MIDDLE_PX, REAL_PLAIN_SLICES),
        ("simulated", simulated, (middle, middle), slice(int(plain[0]), int(plain[-1]) + 1)),
    ):
        half = NOISE_SIDE_PX
        box = volume.ct_hu_zyx[slices, int(row) - half : int(row) + half, int(column) - half : int(column) + half]
        values = box.astype(np.float64)
        noise = (values[1:] - values[:-1]) / np.sqrt(2)
        frequency = _mean_frequency(noise, volume.spacing_mm_zyx[1])
        _print(f"| {name} | {values.mean():.1f} | {noise.std():.1f} | {frequency:.3f} |")


def _mean_frequency(noise_zyx: Float64Array, pixel_mm: float) -> float:
    """Return the power-weighted mean spatial frequency of noise."""
    n = noise_zyx.shape[-1]
    window = np.hanning(n)[:, None] * np.hanning(n)[None, :]
    power = (np.abs(np.fft.fft2(noise_zyx * window)) ** 2).mean(axis=0)
    along = np.fft.fftfreq(n, pixel_mm)
    frequency = np.hypot(along[:, None], along[None, :])
    return float((frequency * power).sum() / power.sum())


def _heights(volume: Volume) -> Float64Array:
    heights: Float64Array = volume.grid.affine_lps_mm[2, 3] + volume.spacing_mm_zyx[0] * np.arange(
        volume.ct_hu_zyx.shape[0]
    )
    return heights


def _print_profiles(real: Volume, published: dict[str, dict[str, str]]) -> None:
    """Print mean HU by distance from the middle of the large inserts, in the slice where they are brightest."""
    edges = np.arange(0, PROFILE_REACH_MM, PROFILE_STEP_MM)
    _print("\n| profile, mm | " + " | ".join(f"{edge + PROFILE_STEP_MM / 2:.2f}" for edge in edges) + " |")
    _print("|---|" + "---|" * len(edges))
    noiseless = _noiseless_canon()
    for k, insert in enumerate(INSERTS[:6]):
        row, column = float(published[insert.name]["row"]), float(published[insert.name]["column"])
        _print(f"| {insert.name} real | " + " | ".join(_profile(real, (row, column))) + " |")
        x, y, _ = noiseless.inserts[k].center_mm
        x0, y0, _ = noiseless.volume.grid.lps_mm((0, 0, 0))
        pixel = noiseless.volume.spacing_mm_zyx[1]
        _print(f"| {insert.name} simulated | "
               + " | ".join(_profile(noiseless.volume, ((y - y0) / pixel, (x - x0) / pixel))) + " |")  # fmt: skip


def _noiseless_canon() -> SimulatedPhantom:
    protocol = replace(CANON.protocol(PhantomSize.LARGE), noise_sd_hu=0.0, alignment=Alignment(start_spread=0.0))
    scanner = replace(CANON, protocols={PhantomSize.LARGE: protocol}, matrix=MATRIX)
    return simulate_phantom(seed=FIRST_SEED, scanner=scanner, size=PhantomSize.LARGE, z_mm=AROUND_INSERTS_MM)


def _profile(volume: Volume, middle_px: tuple[float, float]) -> list[str]:
    row, column = round(middle_px[0]), round(middle_px[1])
    around = volume.ct_hu_zyx[:, row - 12 : row + 13, column - 12 : column + 13].astype(np.float64)
    plane = around[int(around[:, 8:17, 8:17].mean(axis=(1, 2)).argmax())]
    above = np.clip(plane - 0.5 * (plane.max() + np.median(plane)), 0, None)
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    y0, x0 = float((above * y).sum() / above.sum()), float((above * x).sum() / above.sum())
    distance = np.hypot(y - y0, x - x0) * volume.spacing_mm_zyx[1]
    steps = np.arange(0, PROFILE_REACH_MM, PROFILE_STEP_MM)
    return [f"{plane[(distance >= a) & (distance < a + PROFILE_STEP_MM)].mean():.0f}" for a in steps]


if __name__ == "__main__":
    main()
