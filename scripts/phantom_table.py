"""Scores of the simulated QRM phantom beside the published ones: the tables of docs/reference/phantom.md.

    python scripts/phantom_table.py [--repeats 100] [--page docs/reference/phantom.md] [--real FOLDER]

With ``--real`` (../shared/data/qrm_phantom), also a real Canon scan of the large phantom against the simulated one, by
profile, noise and score. With ``--page``, each table replaces what stands between its markers on that page.
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
from marked_page import write_sections

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
    """Print or write one table a scanner and size, a summary and, if asked, the comparison with the real scan."""
    arguments = _parse()
    found = {at: _scores(*at, arguments.repeats) for at in PUBLISHED}
    parts = {"TABLE": _summary(found) + [line for at in PUBLISHED for line in _scanner(*at, found[at])]}
    if arguments.real is not None:
        parts["REAL"] = _real(arguments.real, found["canon", PhantomSize.LARGE])
    for name, lines in parts.items():
        text = "\n".join(lines).strip("\n")
        if arguments.page is None:
            sys.stdout.write(text + "\n\n")
        else:
            write_sections(arguments.page, {name: text})


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--real", type=Path)
    return parser.parse_args()


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


def _summary(found: dict[tuple[str, PhantomSize], Scores]) -> list[str]:
    lines = [
        "| scanner | size | point spread, mm (SD) | MTF 50 %, / mm | water HU | noise SD, HU | inserts inside |",
        "|---|---|---|---|---|---|---|",
    ]
    n_inside = 0
    for (vendor, size), scores in found.items():
        protocol = PHANTOM_SCANNERS[vendor].protocol(size)
        inside = sum(_is_inside(PUBLISHED[vendor, size], scores))
        n_inside += inside
        lines.append(
            f"| {vendor} | {size} | {protocol.psf_sigma_mm:.3g} | {protocol.mtf50_per_mm:.2f} | "
            f"{protocol.water_hu:g} | {protocol.noise_sd_hu:g} | {inside} of {len(INSERTS)} |"
        )
    n_scans = len(next(iter(found.values())).agatston)
    return [
        f"Means of {n_scans} simulated scans: {n_inside} of {len(found) * len(INSERTS)} lie in the published range.",
        "",
        *lines,
    ]


def _is_inside(published: PublishedScores, scores: Scores) -> list[bool]:
    """Tell of each insert whether its mean, to the published digit, lies in the published range."""
    return [
        published.holds(insert.name, round(float(mean), 1))
        for insert, mean in zip(INSERTS, scores.agatston.mean(axis=0), strict=True)
    ]


def _scanner(vendor: str, size: PhantomSize, scores: Scores) -> list[str]:
    scanner, published = PHANTOM_SCANNERS[vendor], PUBLISHED[vendor, size]
    lines = [
        f"\n### {vendor} ({scanner.model}), {size}\n",
        "| insert | published range | published mean | simulated mean | SD | lowest to highest | scans inside |",
        "|---|---|---|---|---|---|---|",
    ]
    for j, (insert, is_inside) in enumerate(zip(INSERTS, _is_inside(published, scores), strict=True)):
        own, low, high = scores.agatston[:, j], published.low[j], published.high[j]
        share = np.mean((own >= low) & (own <= high))
        mark = "" if is_inside else " **outside**"
        lines.append(
            f"| {insert.name} | {low:.1f} to {high:.1f} | {published.mean[j]:.1f} | {own.mean():.1f}{mark} | "
            f"{own.std(ddof=1):.1f} | {own.min():.1f} to {own.max():.1f} | {share:.0%} |"
        )
    total, mass = scores.agatston.sum(axis=1), scores.mass_mg.sum(axis=1)
    lines += [
        f"| total | | {published.total_mean:.0f} (SD {published.total_sd:.0f}) | {total.mean():.0f} | "
        f"{total.std(ddof=1):.0f} | {total.min():.0f} to {total.max():.0f} | |",
        f"| total mass, mg | | {published.total_mass_mg:.0f} | {mass.mean():.0f} | {mass.std(ddof=1):.1f} | | |",
    ]
    return lines


def _real(folder: Path, scores: Scores) -> list[str]:
    volume = read_single_ct(folder / "dicom", content=Content.ANYTHING).volume
    with (folder / "published.csv").open(newline="") as table:
        published = {row["insert"]: row for row in csv.DictReader(table)}
    lines = [
        "| insert | Agatston | simulated | volume mm3 | simulated | mass mg | simulated |",
        "|---|---|---|---|---|---|---|",
    ]
    for j, insert in enumerate(INSERTS):
        row = published[insert.name]
        cells = [f"{float(row[key]):.1f} | {own[:, j].mean():.1f}, {own[:, j].min():.1f} to {own[:, j].max():.1f}"
                 for key, own in (("agatston", scores.agatston), ("volume_mm3", scores.volume_mm3),
                                  ("mass_mg", scores.mass_mg))]  # fmt: skip
        lines.append(f"| {insert.name} | " + " | ".join(cells) + " |")
    simulated = simulate_phantom(seed=FIRST_SEED, scanner=CANON, size=PhantomSize.LARGE)
    return lines + _noise(volume, simulated.volume) + _profiles(volume, published)


def _noise(real: Volume, simulated: Volume) -> list[str]:
    lines = ["\n| heart insert | mean HU | SD | noise mean frequency / mm |", "|---|---|---|---|"]
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
        lines.append(f"| {name} | {values.mean():.1f} | {noise.std():.1f} | {frequency:.3f} |")
    return lines


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


def _profiles(real: Volume, published: dict[str, dict[str, str]]) -> list[str]:
    """Return a table of mean HU by distance from the middle of the larger inserts, in their brightest slice."""
    edges = np.arange(0, PROFILE_REACH_MM, PROFILE_STEP_MM)
    lines = [
        "\n| mean HU at mm from the middle | "
        + " | ".join(f"{edge + PROFILE_STEP_MM / 2:.2f}" for edge in edges)
        + " |",
        "|---|" + "---|" * len(edges),
    ]
    noiseless = _noiseless_canon()
    for k, insert in enumerate(INSERTS[:6]):
        row, column = float(published[insert.name]["row"]), float(published[insert.name]["column"])
        lines.append(f"| {insert.name} real | " + " | ".join(_profile(real, (row, column))) + " |")
        x, y, _ = noiseless.inserts[k].center_mm
        x0, y0, _ = noiseless.volume.grid.lps_mm((0, 0, 0))
        pixel = noiseless.volume.spacing_mm_zyx[1]
        profile = _profile(noiseless.volume, ((y - y0) / pixel, (x - x0) / pixel))
        lines.append(f"| {insert.name} simulated | " + " | ".join(profile) + " |")
    return lines


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
