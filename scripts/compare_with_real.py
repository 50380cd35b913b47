"""Measure simulated scans and real ones by the same rules, and lay their pictures side by side.

Usage::

    python scripts/compare_with_real.py [--real ../shared/data/real_ct] [--per-site 4] [--seed 4242] [-o build/compare]
                                        [--docs docs]

Simulates patients of every site, measures them and the real scans, and writes to OUT ``measures.json``, curves and
``side-by-side-*.png``. With ``--docs`` the curves and the simulated pictures (never the real ones) go to DOCS/images,
and the tables between the markers of DOCS/explanation/simulated-and-real.md are written anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from scipy import ndimage

from calcmap.core.volume import BoolArray, Int16Array, Label, Volume
from calcmap.evaluation.texture import NoiseSpectrum, noise_spectrum, tissue_patches
from calcmap.io.cases import load_case_arrays
from calcmap.simulation.anatomy.mediastinum import great_vessel_curve
from calcmap.simulation.patient import patient_seed, plan_patient, scan_patient
from calcmap.simulation.scanner.sites import SITES
from marked_page import write_sections

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
REAL_AORTA_ZYX = {
    "acrin042": (56, 262, 280),
    "acrinflt013": (20, 307, 260),
    "lidc0028": (28, 292, 306),
    "lidc0293": (24, 290, 281),
    "lidc0306": (28, 296, 277),
    "lidc0350": (30, 317, 259),
    "lungdx_A0001": (22, 337, 277),
}
"""Slice, row and column of the descending aorta behind the heart, read off by eye."""
AORTA_RADIUS_MM = 7.0
AIR_HU = -1000
TISSUES = {
    # tissue: side of a patch (mm), lowest and highest mean HU
    "heart": (12.0, (15.0, 80.0)),
    "liver": (16.0, (20.0, 80.0)),
    "lung": (10.0, (-950.0, -680.0)),
    "fat": (8.0, (-135.0, -70.0)),
    "bone": (9.0, (70.0, 380.0)),
}
SPECTRUM_PATCH_MM = 26.0
LUNG_WINDOW_HU = (-1350.0, 150.0)
SOFT_WINDOW_HU = (-160.0, 240.0)
FACTS_LESION_MM3 = {"P10": 2.3, "Q1": 4.6, "median": 10.4, "Q3": 35.8, "P90": 73.8}
"""29 real lesions of public masks (DeepCAC; FACTS 8.3)."""
FACTS_HEART_ML = (583.0, 658.0, 723.0, 917.0)


@dataclass(frozen=True)
class Measures:
    """What is measured on one scan."""

    name: str
    group: str
    pixel_mm: float
    increment_mm: float
    hu: dict[str, float] = field(default_factory=dict)
    sd_hu: dict[str, float] = field(default_factory=dict)
    spectrum: tuple[list[float], list[float]] | None = None
    mean_frequency_per_mm: float | None = None
    heart_ml: float = 0.0
    heart_box_mm_xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lesions_mm3: tuple[float, ...] = ()
    reaches_whole_heart: bool = True


@dataclass(frozen=True)
class Pictures:
    """Two axial slices and a coronal one of a scan, cropped to the body, in HU."""

    name: str
    axial_hu: tuple[Int16Array, ...]
    coronal_hu: Int16Array
    pixel_mm: float
    increment_mm: float


def measure(volume: Volume, labels_zyx: Int16Array, *, name: str, group: str,
            aorta_zyx: tuple[int, int, int]) -> Measures:  # fmt: skip
    """Return all measures of a scan."""
    ct, (dz, _, pixel) = volume.ct_hu_zyx, volume.spacing_mm_zyx
    regions = _regions(ct, labels_zyx, pixel_mm=pixel)
    hu, sd = {}, {}
    hu["aorta"], sd["aorta"] = _disc(ct, aorta_zyx, pixel_mm=pixel)
    for tissue, (side, limits) in TISSUES.items():
        found = tissue_patches(ct, regions[tissue], pixel_mm=pixel, patch_mm=side, range_hu=limits)
        if found is not None:
            hu[tissue], sd[tissue] = found.hu, found.sd_hu
    spectrum = noise_spectrum(ct, regions["heart"], pixel_mm=pixel, patch_mm=SPECTRUM_PATCH_MM,
                              range_hu=TISSUES["heart"][1])  # fmt: skip
    heart = np.isin(labels_zyx, (Label.HEART, Label.CORONARY))
    box = ndimage.find_objects(heart.astype(np.uint8))[0]
    z, y, x = ((s.stop - s.start) * mm for s, mm in zip(box, volume.spacing_mm_zyx, strict=True))
    return Measures(
        name=name, group=group, pixel_mm=pixel, increment_mm=dz, hu=hu, sd_hu=sd,
        spectrum=_as_lists(spectrum), mean_frequency_per_mm=spectrum.mean_frequency_per_mm if spectrum else None,
        heart_ml=float(heart.sum()) * volume.grid.voxel_volume_mm3 / 1000, heart_box_mm_xyz=(x, y, z),
        lesions_mm3=_lesions(labels_zyx == Label.CORONARY, volume.grid.voxel_volume_mm3),
        reaches_whole_heart=bool(box[0].start > 0 and box[0].stop < len(ct)),
    )  # fmt: skip


def _as_lists(spectrum: NoiseSpectrum | None) -> tuple[list[float], list[float]] | None:
    return None if spectrum is None else (list(spectrum.frequency_per_mm), list(spectrum.power_hu2_mm2))


def _regions(ct: Int16Array, labels_zyx: Int16Array, *, pixel_mm: float) -> dict[str, BoolArray]:
    """Return where to look for each tissue; the mean HU of a patch does the rest."""
    heart = labels_zyx > 0
    (z0, _, x0), (z1, y1, x1) = (f(np.argwhere(heart), axis=0) for f in (np.min, np.max))
    anywhere = ct > AIR_HU
    right_below = np.zeros_like(anywhere)
    right_below[: (z0 + z1) // 2, :, : (x0 + x1) // 2] = True
    behind = np.zeros_like(anywhere)
    middle, half = (x0 + x1) // 2 - round(20 / pixel_mm), round(35 / pixel_mm)
    behind[:, y1 : y1 + round(60 / pixel_mm), middle - half : middle + half] = True
    within = ndimage.binary_erosion(labels_zyx == Label.HEART, np.ones((1, 3, 3)), iterations=round(8 / pixel_mm))
    return {"heart": within, "liver": right_below & ~heart, "lung": anywhere, "fat": anywhere, "bone": behind}


def _disc(ct: Int16Array, center_zyx: tuple[int, int, int], *, pixel_mm: float) -> tuple[float, float]:
    """Return mean and SD in a disc, averaged over three slices."""
    z, row, column = center_zyx
    y, x = np.ogrid[: ct.shape[1], : ct.shape[2]]
    disc = np.hypot(y - row, x - column) * pixel_mm <= AORTA_RADIUS_MM
    planes = [ct[k][disc].astype(float) for k in (z - 1, z, z + 1) if 0 <= k < len(ct)]
    return float(np.mean([p.mean() for p in planes])), float(np.mean([p.std(ddof=1) for p in planes]))


def _lesions(is_coronary: BoolArray, voxel_mm3: float) -> tuple[float, ...]:
    components, n = ndimage.label(is_coronary, np.ones((3, 3, 3)))
    return tuple(float(v) * voxel_mm3 for v in np.bincount(components.ravel(), minlength=n + 1)[1:])


def picture(volume: Volume, labels_zyx: Int16Array, *, name: str) -> Pictures:
    """Return the slices to look at: a third and two thirds up the heart, and a coronal cut through its middle."""
    heart = np.argwhere(labels_zyx > 0)
    low, high = np.quantile(heart[:, 0], [0.35, 0.85]).astype(int)
    row = int(np.median(heart[:, 1]))
    ct, mm = volume.ct_hu_zyx, volume.spacing_mm_zyx
    middle, half = int(np.median(heart[:, 2])) - round(15 / mm[2]), round(180 / mm[2])
    columns = slice(max(0, middle - half), min(ct.shape[2], middle + half))
    rows = slice(max(0, row - round(130 / mm[1])), min(ct.shape[1], row + round(170 / mm[1])))
    return Pictures(name, tuple(ct[k, rows, columns] for k in (low, high)), ct[::-1, row, columns], mm[2], mm[0])


def simulated(job: tuple[str, int]) -> tuple[Measures, Pictures]:
    """Return measures and pictures of one simulated patient."""
    site, seed = job
    plan = plan_patient(seed, site=SITES[site])
    patient = scan_patient(plan)
    volume, labels = patient.volume, patient.labels.labels_zyx
    curve, _ = great_vessel_curve(plan.anatomy, "aorta")
    curve = plan.anatomy.patient_points(curve)
    heart = np.argwhere(labels > 0)
    z = int(np.quantile(heart[:, 0], 0.45))
    height = volume.grid.lps_mm((z, 0, 0))[2]
    descending = curve[int(np.argmax(curve[:, 2])) :]
    point = descending[int(np.argmin(np.abs(descending[:, 2] - height)))]
    origin, mm = volume.grid.lps_mm((0, 0, 0)), volume.spacing_mm_zyx
    aorta = (z, round((point[1] - origin[1]) / mm[1]), round((point[0] - origin[0]) / mm[2]))
    name = f"{site} {seed}"
    return measure(volume, labels, name=name, group=site, aorta_zyx=aorta), picture(volume, labels, name=name)


def real(folder: Path) -> tuple[Measures, Pictures]:
    """Return measures and pictures of one real scan."""
    volume, labels, case = load_case_arrays(folder)
    aorta = REAL_AORTA_ZYX[case.id]
    return (
        measure(volume, labels.labels_zyx, name=case.id, group="real", aorta_zyx=aorta),
        picture(volume, labels.labels_zyx, name=case.id),
    )


def table(measures: Sequence[Measures]) -> str:
    """Return the HU and SD of each tissue by group, as Markdown."""
    groups = sorted({m.group for m in measures}, key=lambda g: (g != "real", g))
    tissues = ["aorta", *TISSUES]
    rows = ["| scans | n | " + " | ".join(f"{t} HU (SD)" for t in tissues) + " | mean noise frequency /mm |",
            "|---" * (len(tissues) + 3) + "|"]  # fmt: skip
    for group in groups:
        members = [m for m in measures if m.group == group]
        cells = [f"{_median(m.hu.get(t) for m in members):.0f} ({_median(m.sd_hu.get(t) for m in members):.0f}; "
                 f"{_span([m.sd_hu.get(t) for m in members])})" for t in tissues]  # fmt: skip
        frequency = _median(m.mean_frequency_per_mm for m in members)
        rows.append(f"| {group} | {len(members)} | " + " | ".join(cells) + f" | {frequency:.2f} |")
    return "\n".join(rows)


def hearts(measures: Sequence[Measures]) -> str:
    """Return heart volumes and boxes by group, as Markdown."""
    rows = ["| scans | n | volume mL, median (range) | left-right mm | front-back mm | height mm |", "|---" * 6 + "|"]
    for group, members in (("real", [m for m in measures if m.group == "real"]),
                           ("simulated, heart wholly in the scan",
                            [m for m in measures if m.group != "real" and m.reaches_whole_heart])):  # fmt: skip
        boxes = np.array([m.heart_box_mm_xyz for m in members])
        cells = [f"{np.median(boxes[:, k]):.0f} ({boxes[:, k].min():.0f}-{boxes[:, k].max():.0f})" for k in range(3)]
        volumes = [m.heart_ml for m in members]
        rows.append(f"| {group} | {len(members)} | {np.median(volumes):.0f} ({min(volumes):.0f}-{max(volumes):.0f}) | "
                    + " | ".join(cells) + " |")  # fmt: skip
    low, high = min(FACTS_HEART_ML), max(FACTS_HEART_ML)
    rows.append(f"| public masks (FACTS 8.3) | 4 | {np.median(FACTS_HEART_ML):.0f} ({low:.0f}-{high:.0f}) "
                "| 103-162 | 105-118 | 107-117 |")  # fmt: skip
    return "\n".join(rows)


def lesions(measures: Sequence[Measures]) -> str:
    """Return the distribution of visible coronary lesions' volumes, as Markdown."""
    rows = ["| lesions | n | P10 | Q1 | median | Q3 | P90 mm3 |", "|---" * 7 + "|"]
    cells = " | ".join(f"{v:.1f}" for v in FACTS_LESION_MM3.values())
    rows.append(f"| public masks, 0.68 x 0.68 x 2.5 mm (FACTS 8.3) | 29 | {cells} |")
    for name, keep in (("real scans here", lambda m: m.group == "real"), ("simulated", lambda m: m.group != "real"),
                       ("simulated, chest_low_dose", lambda m: m.group == "chest_low_dose")):  # fmt: skip
        volumes = [v for m in measures if keep(m) for v in m.lesions_mm3]
        if volumes:
            cells = " | ".join(f"{v:.1f}" for v in np.quantile(volumes, [0.1, 0.25, 0.5, 0.75, 0.9]))
            rows.append(f"| {name} | {len(volumes)} | {cells} |")
    return "\n".join(rows)


def _median(values: Iterable[float | None]) -> float:
    known = [v for v in values if v is not None]
    return float(np.median(known)) if known else float("nan")


def _span(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{min(known):.0f}-{max(known):.0f}" if known else "-"


def plot_spectra(measures: Sequence[Measures], path: Path) -> None:
    """Draw normalised noise power spectra of the heart's blood and muscle."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    groups = sorted({m.group for m in measures if m.group != "real"})
    colours = dict(zip(groups, plt.colormaps["viridis"](np.linspace(0, 0.9, len(groups))), strict=True))
    for m in measures:
        if m.spectrum is None:
            continue
        frequency, power = (np.asarray(v) for v in m.spectrum)
        is_real = m.group == "real"
        axes.plot(frequency, power / np.trapezoid(power, frequency), lw=2 if is_real else 1,
                  color="crimson" if is_real else colours[m.group], alpha=0.9 if is_real else 0.5,
                  label=m.group, zorder=3 if is_real else 2)  # fmt: skip
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), fontsize=8, frameon=False)
    axes.set(xlabel="spatial frequency, 1/mm", ylabel="noise power, normalised to area 1", xlim=(0, 0.85))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_strips(measures: Sequence[Measures], path: Path) -> None:
    """Draw HU and SD of each tissue, one dot a scan."""
    tissues = ["aorta", *TISSUES]
    groups = sorted({m.group for m in measures}, key=lambda g: (g != "real", g))
    figure, axes = plt.subplots(2, len(tissues), figsize=(13, 5), layout="constrained", sharex=True)
    for column, tissue in enumerate(tissues):
        for row, values in enumerate(("hu", "sd_hu")):
            for k, group in enumerate(groups):
                dots = [getattr(m, values).get(tissue) for m in measures if m.group == group]
                dots = [d for d in dots if d is not None]
                axes[row, column].plot(k + np.linspace(-0.2, 0.2, len(dots)), dots, "o", ms=3,
                                       color="crimson" if group == "real" else "steelblue")  # fmt: skip
        axes[0, column].set_title(tissue, fontsize=9)
        axes[1, column].set_xticks(range(len(groups)), groups, rotation=90, fontsize=7)
    axes[0, 0].set_ylabel("HU")
    axes[1, 0].set_ylabel("SD, HU")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_lesions(measures: Sequence[Measures], path: Path) -> None:
    """Draw the cumulative distribution of visible lesion volumes."""
    public = json.loads((ROOT.parent / "shared" / "facts_tables.json").read_text())["real_cac_lesions_normalised"]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, volumes, colour in (
        ("29 public lesions", [row[3] for row in public["xyz_volume"]], "crimson"),
        ("simulated, chest_low_dose", [v for m in measures if m.group == "chest_low_dose" for v in m.lesions_mm3],
         "steelblue"),
        ("simulated, all sites", [v for m in measures if m.group != "real" for v in m.lesions_mm3], "grey"),
    ):  # fmt: skip
        ordered = np.sort(volumes)
        axes.step(ordered, np.arange(1, len(ordered) + 1) / max(len(ordered), 1), where="post", color=colour,
                  label=f"{name} (n = {len(ordered)})")  # fmt: skip
    axes.set(xscale="log", xlabel="volume of a visible lesion, mm³", ylabel="share of lesions")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def sheet(pictures: Sequence[Pictures], path: Path) -> None:
    """Draw one row a scan: two axial slices in a soft window, the upper in a lung window, and a coronal cut."""
    figure, axes = plt.subplots(
        len(pictures), 4, figsize=(14, 3.2 * len(pictures)), layout="constrained", squeeze=False
    )
    for row, p in zip(axes, pictures, strict=True):
        low, high = p.axial_hu
        views = [(low, SOFT_WINDOW_HU, 1.0), (high, SOFT_WINDOW_HU, 1.0), (high, LUNG_WINDOW_HU, 1.0),
                 (p.coronal_hu, SOFT_WINDOW_HU, p.increment_mm / p.pixel_mm)]  # fmt: skip
        for axis, (hu, (vmin, vmax), aspect) in zip(row, views, strict=True):
            axis.imshow(hu, cmap="gray", vmin=vmin, vmax=vmax, aspect=aspect, interpolation="bilinear")
            axis.axis("off")
        row[0].set_title(p.name, fontsize=8, loc="left")
    figure.savefig(path, dpi=75)
    plt.close(figure)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared" / "data" / "real_ct")
    parser.add_argument("--per-site", type=int, default=4)
    parser.add_argument("--seed", type=int, default=4242)
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "build" / "compare")
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    if not options.real.is_dir():
        raise SystemExit(f"{options.real} is not there: the comparison needs labelled real scans")
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = [(site, patient_seed(options.seed, k)) for site in SITES for k in range(options.per_site)]
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(simulated, jobs))
    known = [real(folder) for folder in sorted(options.real.iterdir()) if folder.name in REAL_AORTA_ZYX]
    measures = [m for m, _ in (*known, *found)]
    (options.out / "measures.json").write_text(json.dumps([asdict(m) for m in measures], indent=1))
    sections = {"TISSUES": table(measures), "HEARTS": hearts(measures), "LESIONS": lesions(measures)}
    print("\n\n".join(sections.values()))
    images = options.docs / "images" if options.docs else options.out
    plots: dict[str, Callable[[Sequence[Measures], Path], None]] = {
        "noise-spectra.png": plot_spectra, "tissue-hu.png": plot_strips, "lesion-volumes.png": plot_lesions,
    }  # fmt: skip
    for name, plot in plots.items():
        plot(measures, images / name)
    first = [p for (site, _), (_, p) in zip(jobs, found, strict=True) if site in SITES][:: options.per_site]
    sheet(first, images / "simulated-sites.png")
    for k, (_, scan) in enumerate(known):
        mine = [p for (site, _), (_, p) in zip(jobs, found, strict=True) if site == ("pet_ct" if "acrin" in scan.name
                else "chest_low_dose")]  # fmt: skip
        sheet([scan, mine[k % len(mine)]], options.out / f"side-by-side-{scan.name}.png")
    if options.docs:
        write_sections(options.docs / "explanation" / "simulated-and-real.md", sections)


if __name__ == "__main__":
    main()
