"""Can a reader, or a table of features, tell planted calcium from natural calcium?

Four steps; the key is written apart and only ``score`` reads it::

    python scripts/planted_reader_test.py plant --real REAL --planted PLANTED --seed 1
    python scripts/planted_reader_test.py features --real REAL --planted PLANTED --seed 1 -o OUT
    python scripts/planted_reader_test.py sheet --real REAL --planted PLANTED --seed 1 -o OUT
    (open OUT/sheet_*.png, write n or p behind each number of OUT/answers.csv)
    python scripts/planted_reader_test.py score -o OUT

REAL holds labelled cases as acquired. The natural lesions are listed beside this script, by case and voxel:
``[{"case": "id", "center_zyx": [z, y, x], "kind": "coronary" or "wall"}, ...]``. PLANTED and the sheets hold pixels of
patients: keep them out of the repository.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from statistics import NormalDist

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage, stats

from calcmap.cohorts.planted import AS_ACQUIRED, PlantingOrder, plant_into_scan
from calcmap.core.volume import BoolArray, Float64Array, IntArray, UInt8Array, Volume
from calcmap.io.cases import find_cases, load_case_arrays, read_case

PATCH_PIXELS = 200
WINDOW_HU = (-160.0, 400.0)
PER_PAGE_ROWS, PER_PAGE_COLUMNS = 5, 3
LESION_HU = 130
WALL_PLACES = ("aortic_root", "ascending_aorta", "descending_aorta")
BOX_MM = 25.0
MAX_LESION_MM3 = 4000.0
NATURAL_SHARE = 0.1
"""A planted lesion of which more than this was bright before planting is left out: it is part natural."""
NEAREST = 3
"""The planted partner is drawn from this many nearest in volume and peak."""
PARTNERS = 4
"""Planted lesions compared with each natural one by features: natural ones are few, planted ones can be had."""
NATURAL_LIST = Path(__file__).with_name("planted_reader_natural.json")
PLANTINGS_PER_LESION = 0.4
"""Plantings of a scan for each of its natural lesions."""
WALL_RECIPE = replace(
    AS_ACQUIRED,
    category_weights=(0.0, 0.2, 0.3, 0.5),
    p_no_noncoronary=0.0,
    p_root=0.5,
    p_valve=0.0,
    p_mitral=0.0,
    p_ascending=0.6,
    p_descending=1.0,
    p_pericardium=0.0,
    p_node=0.0,
    p_bronchus=0.0,
)
"""The scans' own blur, noise and calcium; planted where the scans' natural lesions lie."""
CLEAR_OF_MM = 1.5
DEEPEST_MM = 15.0
SOFT_TISSUE_HU = (0.0, 90.0)
MIN_SOFT_PIXELS = 20
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Lesion:
    """One lesion to show: where it is, and what is measured of it."""

    folder: str
    background: str
    kind: str
    is_planted: bool
    center_zyx: tuple[float, float, float]
    features: dict[str, float]


def main() -> None:
    """Run one of the steps."""
    arguments = _parse()
    if arguments.step == "score":
        sys.stdout.write(json.dumps(score_answers(arguments.out), indent=1) + "\n")
        return
    if arguments.step == "plant":
        plant(arguments.real, arguments.natural, arguments.planted, seed=arguments.seed)
        return
    natural, planted = find_lesions(arguments.real, arguments.natural, arguments.planted)
    rng = np.random.default_rng(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.step == "sheet":
        shown = [lesion for group in match(natural, planted, rng, partners=1) for lesion in group]
        write_sheets(
            [shown[k] for k in rng.permutation(len(shown))], arguments.out, rng, half_mm=arguments.patch_mm / 2
        )
    else:
        compared = compare_features(match(natural, planted, rng, partners=PARTNERS), rng)
        (arguments.out / "features.json").write_text(json.dumps(compared, indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(json.dumps(compared, indent=1) + "\n")


def plant(real: Path, natural_file: Path, out: Path, *, seed: int) -> None:
    """Plant into each scan that holds natural lesions, more often where there are more of them."""
    rows = json.loads(natural_file.read_text(encoding="utf-8"))
    for case in sorted({row["case"] for row in rows}):
        cases = 3 + round(PLANTINGS_PER_LESION * sum(row["case"] == case for row in rows))
        dicom = real / case / "dicom"
        ct = dicom if dicom.is_dir() else real / case / "ct.nii.gz"
        order = PlantingOrder(cases=cases, seed=seed, recipe=WALL_RECIPE)
        for folder in plant_into_scan(ct, real / case / "labels.nii.gz", out, order=order):
            sys.stdout.write(f"{folder.name}\n")


def find_lesions(real: Path, natural_file: Path, planted: Path) -> tuple[list[Lesion], list[Lesion]]:
    """Return natural lesions (those listed) and planted ones (those that are seen and no part of a natural one)."""
    folders = {read_case(folder).id: folder for folder in find_cases([real])}
    natural = []
    for row in json.loads(natural_file.read_text(encoding="utf-8")):
        folder = folders[row["case"]]
        volume = _volume(folder)
        mask = _lesion_mask(volume, row["center_zyx"])
        if mask is not None:
            natural.append(_lesion(folder, row["case"], row["kind"], volume, mask, is_planted=False))
    found = []
    for folder in find_cases([planted]):
        found += _planted_lesions(folder, folders)
    return natural, found


def _planted_lesions(folder: Path, folders: dict[str, Path]) -> list[Lesion]:
    case = read_case(folder)
    background = case.extra["background"]
    volume, before = _volume(folder), _volume(folders[background])
    lesions: list[Lesion] = []
    taken = np.zeros(volume.grid.shape_zyx, dtype=bool)
    for plaque in case.extra["plaques"]:
        kind = "coronary" if plaque["vessel"] else "wall"
        if plaque["n_voxels"] == 0 or (kind == "wall" and plaque["place"] not in WALL_PLACES):
            continue
        mask = _lesion_mask(volume, _index_zyx(volume, plaque["center_mm"]))
        if mask is None or taken[mask].any() or (before.ct_hu_zyx[mask] >= LESION_HU).mean() > NATURAL_SHARE:
            continue
        taken |= mask
        lesions.append(_lesion(folder, background, kind, volume, mask, is_planted=True))
    return lesions


def _index_zyx(volume: Volume, center_lps_mm: Sequence[float]) -> list[float]:
    index_xyz = np.linalg.inv(volume.grid.affine_lps_mm) @ np.array([*center_lps_mm, 1.0])
    return [float(i) for i in index_xyz[2::-1]]


@lru_cache(maxsize=2)
def _volume(folder: Path) -> Volume:
    return load_case_arrays(folder)[0]


def _lesion_mask(volume: Volume, center_zyx: Sequence[float]) -> BoolArray | None:
    """Return the component of at least 130 HU nearest to a place, within 5 mm; none when it is bone-sized."""
    spacing = np.array(volume.spacing_mm_zyx)
    box = tuple(
        slice(max(0, round(c - BOX_MM / mm)), round(c + BOX_MM / mm) + 1)
        for c, mm in zip(center_zyx, spacing, strict=True)
    )
    corner = np.array([part.start for part in box])
    components, _ = ndimage.label(volume.ct_hu_zyx[box] >= LESION_HU, np.ones((3, 3, 3)))
    bright = np.argwhere(components > 0)
    if len(bright) == 0:
        return None
    distance_mm = np.linalg.norm((bright + corner - np.asarray(center_zyx)) * spacing, axis=1)
    nearest = components == components[tuple(bright[distance_mm.argmin()])]
    if distance_mm.min() > 5.0 or nearest.sum() * spacing.prod() > MAX_LESION_MM3:
        return None
    mask = np.zeros(volume.grid.shape_zyx, dtype=bool)
    mask[box] = nearest
    return mask


def _lesion(folder: Path, background: str, kind: str, volume: Volume, mask: BoolArray, *, is_planted: bool) -> Lesion:
    hu = volume.ct_hu_zyx
    weight = np.where(mask, hu - 100.0, 0.0)
    z, y, x = (float(c) for c in ndimage.center_of_mass(weight))
    return Lesion(str(folder), background, kind, is_planted, (z, y, x), measure(volume, mask))


def measure(volume: Volume, mask: BoolArray) -> dict[str, float]:
    """Return what is measured of a lesion: size, shape, edge, blooming, what lies around it, noise."""
    spacing = np.array(volume.spacing_mm_zyx)
    (found,) = ndimage.find_objects(mask.astype(np.uint8))
    margin = np.ceil(20.0 / spacing).astype(int)
    box = tuple(slice(max(0, part.start - m), part.stop + m) for part, m in zip(found, margin, strict=True))
    hu, inside = volume.ct_hu_zyx[box].astype(np.float64), mask[box]
    peak_at = np.unravel_index(np.where(inside, hu, -np.inf).argmax(), hu.shape)
    plane, plane_mask, z = hu[peak_at[0]], inside[peak_at[0]], int(peak_at[0])
    long_mm, short_mm = _axes_mm(plane_mask, spacing[1:])
    neighbours = [hu[k][peak_at[1:]] for k in (z - 1, z + 1) if 0 <= k < len(hu)]
    return {
        "log_volume": float(np.log(inside.sum() * spacing.prod())),
        "log_peak": float(np.log(plane.max(where=plane_mask, initial=1.0))),
        "slices": float(inside.any(axis=(1, 2)).sum()),
        "long_mm": long_mm,
        "elongation": long_mm / short_mm,
        "next_slice": float(max(neighbours) / hu[peak_at]) if neighbours else 0.0,
        **_edge(plane, plane_mask, spacing[1:]),
        **_place(plane, plane_mask, spacing[1:]),
        **_grain(plane, plane_mask, spacing[1:]),
    }


def _edge(plane: Float64Array, mask: BoolArray, pixel_mm: Float64Array) -> dict[str, float]:
    """Return how sharp a section's border is, how dark the pixels beside it are, and how rough it is within."""
    distance_mm = ndimage.distance_transform_edt(~mask, sampling=pixel_mm)
    near, ring = (distance_mm > CLEAR_OF_MM) & (distance_mm <= 4), (distance_mm > 5) & (distance_mm <= 9)
    peak = plane.max(where=mask, initial=1.0)
    slope = np.hypot(*np.gradient(plane, *pixel_mm))[distance_mm <= 2].max()
    step = np.diff(plane, axis=1)[mask[:, 1:] & mask[:, :-1]]
    return {
        "edge_per_mm": float(slope / peak),
        "undershoot_hu": float(np.percentile(plane[near], 5) - np.percentile(plane[ring], 5)) if ring.any() else 0.0,
        "rim_hu": float(np.median(plane[(distance_mm > 0) & (distance_mm <= CLEAR_OF_MM)])),
        "roughness": float(np.abs(step).mean() / peak) if len(step) else 0.0,
    }


def _place(plane: Float64Array, mask: BoolArray, pixel_mm: Float64Array) -> dict[str, float]:
    """Return how deep in soft tissue and how far from lung a section lies, and what its neighbourhood is made of."""
    distance_mm = ndimage.distance_transform_edt(~mask, sampling=pixel_mm)
    near = (distance_mm > CLEAR_OF_MM) & (distance_mm <= 4)
    smooth = ndimage.gaussian_filter(np.clip(plane, -150, 60), 0.8 / pixel_mm)
    middle = tuple(round(float(c)) for c in ndimage.center_of_mass(np.where(mask, plane - 100.0, 0.0)))
    depth, from_lung = (
        float(ndimage.distance_transform_edt(is_in, sampling=pixel_mm)[middle]) for is_in in (smooth > 0, plane > -400)
    )
    return {
        "depth_mm": min(depth, DEEPEST_MM),
        "from_lung_mm": min(from_lung, DEEPEST_MM),
        "fat_share": float(((plane[near] < -30) & (plane[near] > -250)).mean()),
        "lung_share": float((plane[near] < -300).mean()),
        "around_hu": float(np.median(np.clip(plane[near], -150, None))),
    }


def _grain(plane: Float64Array, mask: BoolArray, pixel_mm: Float64Array) -> dict[str, float]:
    """Return the noise of the soft tissue near a section relative to that farther off, and its correlation."""
    distance_mm = ndimage.distance_transform_edt(~mask, sampling=pixel_mm)
    fine = plane - ndimage.gaussian_filter(plane, 2.0 / pixel_mm)
    low, high = SOFT_TISSUE_HU
    smooth = ndimage.gaussian_filter(plane, 1.0 / pixel_mm)
    is_soft = (distance_mm > CLEAR_OF_MM) & (smooth > low) & (smooth < high)
    near, far = is_soft & (distance_mm <= 6), is_soft & (distance_mm > 6) & (distance_mm <= 15)
    pair = near[:, 1:] & near[:, :-1]
    if min(near.sum(), far.sum(), pair.sum()) < MIN_SOFT_PIXELS:
        return {"noise_near_far": 1.0, "noise_lag_1": 0.0}
    lag = np.corrcoef(fine[:, 1:][pair], fine[:, :-1][pair])[0, 1]
    return {"noise_near_far": float(fine[near].std() / max(fine[far].std(), 0.1)), "noise_lag_1": float(lag)}


def _axes_mm(mask_yx: BoolArray, pixel_mm: Float64Array) -> tuple[float, float]:
    """Return four standard deviations along and across the lesion's section; a pixel's own width included."""
    points = np.argwhere(mask_yx) * pixel_mm
    spread = np.cov(points.T) if len(points) > 1 else np.zeros((2, 2))
    small, large = np.sqrt(np.clip(np.linalg.eigvalsh(spread + np.diag(pixel_mm**2) / 12), 0, None))
    return float(4 * large), float(4 * small)


def match(
    natural: list[Lesion], planted: list[Lesion], rng: np.random.Generator, *, partners: int
) -> list[list[Lesion]]:
    """Return each natural lesion with planted ones of its scan and kind and of about its volume and peak.

    Nobody is shown twice; where too few are left, a natural lesion has fewer partners, or is left out.
    """
    left = list(planted)
    groups: dict[int, list[Lesion]] = {}
    for _ in range(partners):
        for k in (int(i) for i in rng.permutation(len(natural))):
            one = natural[k]
            pool = [other for other in left if (other.kind, other.background) == (one.kind, one.background)]
            if not pool:
                continue
            pool.sort(key=partial(_unlikeness, one))
            chosen = pool[int(rng.integers(min(NEAREST, len(pool))))]
            left = [other for other in left if other is not chosen]
            groups.setdefault(k, [one]).append(chosen)
    return list(groups.values())


def _unlikeness(one: Lesion, other: Lesion) -> float:
    return sum(abs(one.features[name] - other.features[name]) for name in ("log_volume", "log_peak"))


def write_sheets(lesions: list[Lesion], out: Path, rng: np.random.Generator, *, half_mm: float) -> None:
    """Write pages of numbered patches, an empty answer table and, in a folder of its own, the key."""
    per_page = PER_PAGE_ROWS * PER_PAGE_COLUMNS
    for first in range(0, len(lesions), per_page):
        rows = [
            _item(lesion, first + k, rng, half_mm=half_mm) for k, lesion in enumerate(lesions[first : first + per_page])
        ]
        height, width = rows[0].shape
        page = np.zeros((PER_PAGE_ROWS * height, PER_PAGE_COLUMNS * width), dtype=np.uint8)
        for k, item in enumerate(rows):
            y, x = k // PER_PAGE_COLUMNS * height, k % PER_PAGE_COLUMNS * width
            page[y : y + height, x : x + width] = item
        Image.fromarray(page).save(out / f"sheet_{first // per_page}.png")
    (out / "key").mkdir(exist_ok=True)
    key = [{"number": number, **asdict(lesion)} for number, lesion in enumerate(lesions)]
    (out / "key" / "key.json").write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")
    table = "number,answer\n" + "".join(f"{number},\n" for number in range(len(lesions)))
    (out / "answers.csv").write_text(table, encoding="utf-8")


def _item(lesion: Lesion, number: int, rng: np.random.Generator, *, half_mm: float) -> UInt8Array:
    """Return three slices through a lesion side by side, turned and mirrored so that no place is known again."""
    volume = _volume(Path(lesion.folder))
    angle, mirror = float(rng.uniform(0, 2 * np.pi)), int(rng.choice([-1, 1]))
    z = round(lesion.center_zyx[0])
    patches = [_patch(volume, z + step, lesion.center_zyx[1:], angle, half_mm)[:, ::mirror] for step in (-1, 0, 1)]
    item = Image.fromarray(np.pad(np.hstack(patches), ((0, 6), (0, 10))))
    ImageDraw.Draw(item).text((3, 3), str(number), fill=255)
    return np.asarray(item)


def _patch(volume: Volume, z: int, center_yx: tuple[float, float], angle_rad: float, half_mm: float) -> UInt8Array:
    offset_mm = np.linspace(-half_mm, half_mm, PATCH_PIXELS)
    _, dy, dx = volume.spacing_mm_zyx
    y_mm, x_mm = np.meshgrid(offset_mm, offset_mm, indexing="ij")
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    where = (center_yx[0] + (c * y_mm + s * x_mm) / dy, center_yx[1] + (c * x_mm - s * y_mm) / dx)
    plane = volume.ct_hu_zyx[min(max(z, 0), len(volume.ct_hu_zyx) - 1)].astype(np.float64)
    hu = ndimage.map_coordinates(plane, where, order=1, mode="nearest")
    low, high = WINDOW_HU
    return np.asarray(np.clip((hu - low) / (high - low), 0, 1) * 255, dtype=np.uint8)


def score_answers(out: Path) -> dict[str, object]:
    """Return how often the reader was right, with intervals; planted is the signal.

    Raises
    ------
    SystemExit
        An answer is missing or is neither n nor p.
    """
    key = {row["number"]: row for row in json.loads((out / "key" / "key.json").read_text(encoding="utf-8"))}
    with (out / "answers.csv").open(encoding="utf-8") as file:
        answers = {int(row["number"]): row["answer"].strip().lower() for row in csv.DictReader(file)}
    wrong = [number for number in key if answers.get(number) not in ("n", "p")]
    if wrong:
        sys.exit(f"answers {wrong} are missing or neither n nor p")
    said = np.array([answers[number] == "p" for number in key])
    truth = np.array([row["is_planted"] for row in key.values()])
    kinds = np.array([row["kind"] for row in key.values()])
    by_kind = {kind: _rates(said[kinds == kind], truth[kinds == kind]) for kind in sorted(set(kinds))}
    return {"n": len(key), **_rates(said, truth), "by_kind": by_kind}


def _rates(said: BoolArray, truth: BoolArray) -> dict[str, object]:
    right = int((said == truth).sum())
    hits, false_alarms = int((said & truth).sum()), int((said & ~truth).sum())
    n_planted, n_natural = int(truth.sum()), int((~truth).sum())
    normal = NormalDist()
    # Log-linear correction (Hautus 1995): rates of 0 and 1 stay finite.
    d_prime = normal.inv_cdf((hits + 0.5) / (n_planted + 1)) - normal.inv_cdf((false_alarms + 0.5) / (n_natural + 1))
    return {
        "accuracy": right / len(truth),
        "accuracy_95": wilson(right, len(truth)),
        "planted_called_planted": f"{hits}/{n_planted}",
        "natural_called_planted": f"{false_alarms}/{n_natural}",
        "d_prime": round(d_prime, 2),
        "p_against_guessing": round(float(stats.binomtest(right, len(truth)).pvalue), 4),
    }


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (Wilson 1927)."""
    interval = stats.binomtest(right, n).proportion_ci(method="wilson")
    return round(float(interval.low), 3), round(float(interval.high), 3)


def compare_features(groups: list[list[Lesion]], rng: np.random.Generator) -> dict[str, object]:
    """Return each feature's quartiles and AUC, and how well all together tell matched lesions apart."""
    shown = [lesion for group in groups for lesion in group]
    truth = np.array([lesion.is_planted for lesion in shown])
    group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    table: dict[str, object] = {"n_natural": int((~truth).sum()), "n_planted": int(truth.sum())}
    for name in shown[0].features:
        value = np.array([lesion.features[name] for lesion in shown])
        table[name] = {
            "natural": [round(float(q), 3) for q in np.percentile(value[~truth], (25, 50, 75))],
            "planted": [round(float(q), 3) for q in np.percentile(value[truth], (25, 50, 75))],
            "auc": round(_auc(value[~truth], value[truth]), 3),
            "ks_p": round(float(stats.ks_2samp(value[~truth], value[truth]).pvalue), 4),
        }
    scans = np.array([lesion.background for lesion in shown])
    for name, fold_of in (("left_out_lesions", group_of), ("left_out_scans", np.unique(scans, return_inverse=True)[1])):
        score = _out_of_fold([list(lesion.features.values()) for lesion in shown], truth, fold_of)
        table[name] = _auc_interval(score, truth, group_of, rng)
    return table


def _out_of_fold(rows: list[list[float]], truth: BoolArray, fold_of: IntArray) -> Float64Array:
    """Return each lesion's score by a ridge logistic regression that never saw its fold; classes weigh the same."""
    x = np.array(rows)
    x = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)])
    score = np.empty(len(x))
    for fold in np.unique(fold_of):
        seen = fold_of != fold
        score[~seen] = x[~seen] @ _ridge_logistic(x[seen], truth[seen].astype(np.float64))
    return score


def _auc_interval(
    score: Float64Array, truth: BoolArray, group_of: IntArray, rng: np.random.Generator
) -> dict[str, float]:
    """Return the AUC with a bootstrap interval over natural lesions, each drawn with its partners."""
    members = [np.flatnonzero(group_of == group) for group in np.unique(group_of)]
    drawn = []
    for _ in range(N_RESAMPLES):
        chosen = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        drawn.append(_auc(score[chosen][~truth[chosen]], score[chosen][truth[chosen]]))
    low, high = np.percentile(drawn, (2.5, 97.5))
    estimate = _auc(score[~truth], score[truth])
    return {"auc": round(estimate, 3), "low_95": round(float(low), 3), "high_95": round(float(high), 3)}


def _ridge_logistic(x: Float64Array, truth: Float64Array, *, penalty: float = 3.0) -> Float64Array:
    """Return coefficients by Newton's method; the first column is the intercept and not penalised."""
    ridge = penalty * np.eye(x.shape[1])
    ridge[0, 0] = 1e-6
    weight = np.where(truth > 0, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    beta = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge
        beta = beta + np.linalg.solve(hessian, x.T @ (weight * (truth - p)) - ridge @ beta)
    return np.asarray(beta)


def _auc(natural: Float64Array, planted: Float64Array) -> float:
    higher = (planted[:, None] > natural[None]).mean() + 0.5 * (planted[:, None] == natural[None]).mean()
    return float(higher)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("step", choices=("plant", "features", "sheet", "score"))
    parser.add_argument("--real", type=Path, help="folder of labelled cases as acquired")
    parser.add_argument("--natural", type=Path, default=NATURAL_LIST, help="JSON list of the natural lesions to show")
    parser.add_argument("--planted", type=Path, help="folder of plantings into the same cases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patch-mm", type=float, default=40.0, help="width of what is shown around each lesion")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="outside the repository: pixels of patients")
    return parser.parse_args()


if __name__ == "__main__":
    main()
