"""Fit the model that names a coronary lesion's vessel, on simulated patients.

Usage::

    python scripts/fit_vessels.py CASES... [-o src/calcmap/segmentation/weights/vessels.json]

CASES are folders of simulated cases (`calcmap simulate`). Every coronary voxel of the label map belongs to the vessel
of the nearest simulated plaque. Prints the share of lesions named right when one site is left out in turn, then fits on
all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage, optimize

from calcmap.core.volume import Float64Array, IntArray, Label
from calcmap.io.cases import find_cases, load_case_arrays
from calcmap.segmentation.calcium_input import heart_frame
from calcmap.segmentation.vessels import N_FEATURES, VESSELS, VesselModel, features

RIDGE = 1e-3
"""Weight of the squared coefficients, the constants' aside (our choice)."""
FARTHEST_MM = 15.0
"""A voxel farther than this from the middle of every plaque is left out."""


@dataclass(frozen=True, eq=False)
class Lesion:
    """One coronary lesion of the label map."""

    site: str
    position_zyx: Float64Array
    """Heart-relative coordinates of its voxels, shape (n, 3)."""
    vessel: int
    """Index into `VESSELS` of the plaque nearest to most of them."""


def lesions_of(folder: Path) -> Iterator[Lesion]:
    """Yield the lesions of one simulated case with their true vessels."""
    volume, labels, case = load_case_arrays(folder)
    plaques = [deposit for deposit in case.extra["facts"]["deposits"] if deposit["tissue"] == "coronary"]
    components, n = ndimage.label(labels.labels_zyx == Label.CORONARY, structure=np.ones((3, 3, 3)))
    if n == 0 or not plaques:
        return
    frame = heart_frame(labels.labels_zyx != Label.BACKGROUND)
    centres = np.array([plaque["center_mm"] for plaque in plaques])
    vessels = np.array([VESSELS.index(plaque["vessel"]) for plaque in plaques])
    affine = volume.grid.affine_lps_mm
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        index = np.argwhere(components[box] == number) + [part.start for part in box]
        away = np.linalg.norm((index[:, ::-1] @ affine[:3, :3].T + affine[:3, 3])[:, None] - centres, axis=2)
        near = away.min(axis=1) < FARTHEST_MM
        if near.any():
            vessel = np.bincount(vessels[away[near].argmin(axis=1)]).argmax()
            yield Lesion(case.site or "unknown", frame.relative(index), int(vessel))


def fit(lesions: list[Lesion]) -> VesselModel:
    """Return the ridge-penalised multinomial model; each lesion weighs as the root of its voxels, vessels alike."""
    design = np.vstack([features(lesion.position_zyx) for lesion in lesions])
    truth = np.concatenate([np.full(len(lesion.position_zyx), lesion.vessel) for lesion in lesions])
    weight = np.concatenate([np.full(n := len(lesion.position_zyx), n**-0.5) for lesion in lesions])
    for vessel in range(len(VESSELS)):
        weight[truth == vessel] /= max(weight[truth == vessel].sum(), 1e-9) * len(VESSELS)

    def loss(flat: Float64Array) -> tuple[float, Float64Array]:
        weights = flat.reshape(N_FEATURES, len(VESSELS))
        score = design @ weights
        score -= score.max(axis=1, keepdims=True)
        log_share = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
        penalty = weights.copy()
        penalty[0] = 0
        error = np.exp(log_share)
        error[np.arange(len(truth)), truth] -= 1
        value = -(weight * log_share[np.arange(len(truth)), truth]).sum() + RIDGE / 2 * (penalty**2).sum()
        return float(value), (design.T @ (weight[:, None] * error) + RIDGE * penalty).ravel()

    found = optimize.minimize(loss, np.zeros(N_FEATURES * len(VESSELS)), jac=True, method="L-BFGS-B")
    return VesselModel(found.x.reshape(N_FEATURES, len(VESSELS)))


def confusion(lesions: list[Lesion], model: VesselModel) -> IntArray:
    """Return how many lesions of each true vessel (rows) got each name (columns)."""
    table = np.zeros((len(VESSELS), len(VESSELS)), dtype=np.int64)
    for lesion in lesions:
        named = np.bincount(model.probabilities(lesion.position_zyx).argmax(axis=1)).argmax()
        table[lesion.vessel, named] += 1
    return table


def main() -> None:
    """Fit, report and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("src/calcmap/segmentation/weights/vessels.json"))
    arguments = parser.parse_args()
    lesions = [lesion for folder in find_cases(arguments.cases) for lesion in lesions_of(folder)]
    sites = sorted({lesion.site for lesion in lesions})
    table = sum(
        confusion([one for one in lesions if one.site == site], fit([one for one in lesions if one.site != site]))
        for site in sites
    )
    print(
        f"{len(lesions)} simulated lesions of {len(sites)} sites, each site left out in turn; rows true, columns named"
    )
    print(" ".join(f"{name:>6}" for name in ["", *VESSELS]))
    for name, row in zip(VESSELS, np.asarray(table), strict=True):
        print(f"{name:>6} " + " ".join(f"{count:6d}" for count in row))
    right = float(np.trace(table) / np.sum(table))
    print(f"named right: {right:.3f}")
    model = fit(lesions)
    content = {
        "trained_on": f"{len(lesions)} simulated lesions of {', '.join(sites)}",
        "named_right_site_left_out": round(right, 3),
        "weights": model.weights.round(5).tolist(),
    }
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
