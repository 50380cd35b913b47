"""Fit a phantom protocol (sharpness, water HU, noise, start of the slices) to the published scores of its inserts.

    python scripts/phantom_fit.py canon small [--start-spread 0.6]

Only the 5 mm and 3 mm inserts enter; the factors of the phantom itself stay as they are. The parameters go into
`calcmap.simulation.phantom.scanners` by hand.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from scipy.optimize import minimize

from calcmap.scoring import get_profile, score_volume
from calcmap.simulation.phantom.geometry import PhantomSize
from calcmap.simulation.phantom.published import PUBLISHED, PublishedScores
from calcmap.simulation.phantom.scan import simulate_phantom
from calcmap.simulation.phantom.scanners import PHANTOM_SCANNERS, PhantomScanner, Protocol

N_FITTED = 6
N_REPEATS = 20
BOUNDS = ((0.35, 1.0), (-8.0, 36.0), (8.0, 24.0))
STEPS = (0.1, 8.0, 4.0, 0.15)
MARGIN = 0.7
"""Part of a range's half width beyond which a mean costs more."""


def main() -> None:
    """Search from the present protocol, print the best one and the means it gives."""
    arguments = _parse()
    size = PhantomSize(arguments.size)
    scanner = replace(PHANTOM_SCANNERS[arguments.scanner], matrix=208)
    published = PUBLISHED[arguments.scanner, size]
    start = scanner.protocol(size)
    spread = arguments.start_spread
    found = None
    for phase in (0.0,) if spread >= 1 else (0.1, 0.6):
        first = np.array([start.psf_sigma_mm, start.water_hu, start.noise_sd_hu, phase][: 3 if spread >= 1 else 4])
        simplex = np.vstack([first, *(first + step for step in np.diag(STEPS)[: len(first), : len(first)])])
        options = {"initial_simplex": simplex, "maxfev": arguments.trials, "xatol": 0.003, "fatol": 0.03}
        result = minimize(lambda at: _cost(at, scanner, size, published, spread), first, method="Nelder-Mead",
                          options=options)  # fmt: skip
        if found is None or result.fun < found.fun:
            found = result
    protocol, _ = _protocol(found.x, start, spread)
    sys.stdout.write(f"{arguments.scanner} {size} cost {found.fun:.2f} {protocol}\n")
    means = _means(scanner, size, protocol, seeds=range(1000, 1000 + N_REPEATS))
    for low, mean, high in zip(published.low, means, published.high, strict=False):
        sys.stdout.write(f"  {low:7.1f} {mean:7.1f} {high:7.1f} {'' if low <= mean <= high else 'OUT'}\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scanner", choices=PHANTOM_SCANNERS)
    parser.add_argument("size", choices=list(PhantomSize))
    parser.add_argument("--start-spread", type=float, default=1.0)
    parser.add_argument("--trials", type=int, default=50)
    return parser.parse_args()


def _protocol(at: np.ndarray, start: Protocol, spread: float) -> tuple[Protocol, float]:
    """Return the protocol of a point of the search, and what it costs to lie outside the bounds."""
    inside = [float(np.clip(x, *bound)) for x, bound in zip(at, BOUNDS, strict=False)]
    outside = sum(abs(x - y) / step for x, y, step in zip(at, inside, STEPS, strict=False))
    phase = float(at[3]) % 1 if len(at) > 3 else 0.0
    sigma, water, noise = inside
    alignment = replace(start.alignment, start_phase=round(phase, 2), start_spread=spread)
    return replace(start, psf_sigma_mm=round(sigma, 3), water_hu=round(water, 1), noise_sd_hu=round(noise, 1),
                   alignment=alignment), outside  # fmt: skip


def _means(scanner: PhantomScanner, size: PhantomSize, protocol: Protocol, *, seeds: range) -> np.ndarray:
    scanner = replace(scanner, protocols=MappingProxyType({size: protocol}))
    rule = get_profile("clinical")
    rows = []
    for seed in seeds:
        phantom = simulate_phantom(seed=seed, scanner=scanner, size=size, z_mm=(-6.5, 6.5))
        rows.append([score_volume(phantom.volume, phantom.labels_of(insert), rule=rule).coronary.agatston
                     for insert in phantom.inserts[:N_FITTED]])  # fmt: skip
    return np.mean(rows, axis=0)


def _cost(
    at: np.ndarray, scanner: PhantomScanner, size: PhantomSize, published: PublishedScores, spread: float
) -> float:
    protocol, outside = _protocol(at, scanner.protocol(size), spread)
    low, high = np.array(published.low[:N_FITTED]), np.array(published.high[:N_FITTED])
    means = _means(scanner, size, protocol, seeds=range(N_REPEATS))
    distance = np.abs(means - (low + high) / 2) / ((high - low) / 2)
    return float((distance**2).sum() + 10 * (np.maximum(distance - MARGIN, 0) ** 2).sum() + outside)


if __name__ == "__main__":
    main()
