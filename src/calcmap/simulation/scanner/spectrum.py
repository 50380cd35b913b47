"""How X-ray energy changes HU: a tube's spectrum, attenuation of materials, factors between tube voltages.

The beam is a filtered tungsten spectrum hardened by 200 mm of water (about what a heart's ray crosses) and weighted
with energy, as an energy-integrating detector does. HU are then spectrum means, which is how a water-calibrated scanner
reports a small object in the middle of a body.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.simulation.calcium.deposits import Material

REFERENCE_KVP = 120.0
LOWEST_KVP, HIGHEST_KVP = 70.0, 150.0
TABLE_KEV = (20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
MASS_ATTENUATION_CM2_G = MappingProxyType({
    "H": (0.3695, 0.3570, 0.3458, 0.3355, 0.3260, 0.3091, 0.2944, 0.2651),
    "C": (0.4420, 0.2562, 0.2076, 0.1871, 0.1753, 0.1610, 0.1514, 0.1347),
    "N": (0.6178, 0.3066, 0.2288, 0.1980, 0.1817, 0.1639, 0.1529, 0.1353),
    "O": (0.8651, 0.3779, 0.2585, 0.2132, 0.1907, 0.1678, 0.1551, 0.1361),
    "Al": (3.441, 1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378),
    "P": (5.352, 1.700, 0.8096, 0.4916, 0.3494, 0.2324, 0.1865, 0.1432),
    "Ca": (13.06, 4.080, 1.830, 1.019, 0.6578, 0.3656, 0.2571, 0.1674),
    "Ti": (15.85, 4.972, 2.214, 1.213, 0.7661, 0.4052, 0.2721, 0.1649),
    "Fe": (25.68, 8.176, 3.629, 1.958, 1.205, 0.5952, 0.3717, 0.1964),
    "I": (25.43, 8.561, 22.10, 12.32, 7.579, 3.510, 1.942, 0.6978),
})  # fmt: skip
"""Total with coherent scatter at `TABLE_KEV`: NIST tables of mass attenuation coefficients (Hubbell and Seltzer)."""
IODINE_K_EDGE = (33.1694, 6.553, 35.82)
"""Energy (keV), and iodine's coefficient just below and just above."""
COMPOSITION = MappingProxyType({
    "water": {"H": 0.1119, "O": 0.8881},
    "fat": {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.281},
    "hydroxyapatite": {"H": 0.0020, "O": 0.4141, "P": 0.1850, "Ca": 0.3989},
    "cortical_bone": {"H": 0.034, "C": 0.155, "N": 0.042, "O": 0.436, "P": 0.106, "Ca": 0.227},
    "iodine": {"I": 1.0},
    "metal": {"Fe": 0.5, "Ti": 0.5},
})  # fmt: skip
"""Mass fractions: fat and cortical bone after ICRU 44 (traces shared among the rest), hydroxyapatite Ca5(PO4)3OH."""
DENSITY_G_CM3 = MappingProxyType({
    "water": 1.0, "fat": 0.95, "hydroxyapatite": 3.16, "cortical_bone": 1.92, "iodine": 4.93, "metal": 6.2,
})  # fmt: skip
MATERIALS = MappingProxyType({Material.CALCIUM: "hydroxyapatite", Material.IODINE: "iodine", Material.METAL: "metal"})
FILTER_AL_CM = 0.9
"""Inherent filtration and the middle of the bow-tie, as aluminium (our choice: half-value layer 7 mm at 120 kVp)."""
WATER_CM = 20.0
K_LINES_KEV = ((58.6, 0.78), (67.6, 0.22))
"""Tungsten's K-alpha and K-beta with their shares."""
K_EDGE_KEV = 69.5
K_LINE_SHARE = 0.10
"""Photons in the lines at 120 kVp (our choice, as published spectra show)."""


@lru_cache(maxsize=32)
def mass_attenuation(name: str) -> Float64Array:
    """Return a composition's mass attenuation coefficient (cm2 / g) at every whole keV of `_energies`."""
    total = np.zeros(len(_energies()))
    for element, share in COMPOSITION[name].items():
        total += share * _element(element)
    total.setflags(write=False)
    return total


@lru_cache(maxsize=16)
def spectrum(kvp: float, *, water_cm: float = WATER_CM) -> Float64Array:
    """Return what the detector weighs each keV with, behind filter and water; the sum is 1.

    Raises
    ------
    ValueError
        The tube voltage is not one of a CT.
    """
    if not LOWEST_KVP <= kvp <= HIGHEST_KVP:
        raise ValueError(f"tube voltage is {kvp} kVp, expected {LOWEST_KVP} to {HIGHEST_KVP}")
    kev = _energies()
    photons = np.maximum(kvp - kev, 0) / kev
    overvoltage = max(kvp / K_EDGE_KEV - 1, 0.0) / (REFERENCE_KVP / K_EDGE_KEV - 1)
    for line_kev, share in K_LINES_KEV:
        nearest = int(np.argmin(np.abs(kev - line_kev)))
        photons[nearest] += photons.sum() * K_LINE_SHARE * share * overvoltage**1.63
    path = FILTER_AL_CM * 2.70 * _element("Al") + water_cm * mass_attenuation("water")
    weights: Float64Array = photons * np.exp(-path) * kev
    weights /= weights.sum()
    weights.setflags(write=False)
    return weights


def hu_per_mg_cm3(name: str, *, kvp: float) -> float:
    """Return the HU that 1 mg / cm3 of a material adds where it displaces water."""
    weights = spectrum(kvp)
    water = float(weights @ mass_attenuation("water"))
    excess = float(weights @ mass_attenuation(name)) - water / DENSITY_G_CM3[name]
    return excess / water


def material_factor(material: Material, kvp: float) -> float:
    """Return a material's added HU at a tube voltage over that at 120 kVp."""
    name = MATERIALS[material]
    return hu_per_mg_cm3(name, kvp=kvp) / hu_per_mg_cm3(name, kvp=REFERENCE_KVP)


def bone_factor(kvp: float) -> float:
    """Return the HU of cortical bone at a tube voltage over that at 120 kVp."""
    return hu_per_mg_cm3("cortical_bone", kvp=kvp) / hu_per_mg_cm3("cortical_bone", kvp=REFERENCE_KVP)


def calcium_factor(kvp: float) -> float:
    """Return calcium's added HU at a tube voltage over that at 120 kVp."""
    return material_factor(Material.CALCIUM, kvp)


def water_attenuation_per_mm(kvp: float) -> float:
    """Return the mean linear attenuation of water behind 200 mm of it."""
    return float(spectrum(kvp) @ mass_attenuation("water")) / 10


@lru_cache(maxsize=16)
def hardening(kvp: float) -> tuple[float, float, float]:
    """Return how a water-corrected line integral errs behind water and bone.

    Returns
    -------
    tuple of float
        (a, b, c): with w the path through water (mm) and m the path integral of bone above water (water-equivalent mm
        at the reference spectrum), the error in water-equivalent mm is m (a + b w + c m). Fitted to rays of up to
        450 mm of water and 60 mm of excess.
    """
    bare = spectrum(kvp, water_cm=0.0)
    water, bone = mass_attenuation("water"), mass_attenuation("hydroxyapatite")
    reference = spectrum(kvp)
    excess_per_g = float(reference @ bone) / float(reference @ water)
    paths = np.arange(0, 120.0, 0.5)
    measured = -np.log(np.exp(-np.outer(paths, water)) @ bare)
    w, m = (grid.ravel() for grid in np.meshgrid(np.linspace(5, 45, 9), np.linspace(0.5, 6, 8), indexing="ij"))
    rays = -np.log(np.exp(-np.outer(w, water) - np.outer(m / excess_per_g, bone)) @ bare)
    error = 10 * (np.interp(rays, measured, paths) - w - m)
    w, m = 10 * w, 10 * m
    terms = np.stack([m, m * w, m * m], axis=1)
    a, b, c = np.linalg.lstsq(terms, error, rcond=None)[0]
    return float(a), float(b), float(c)


@lru_cache(maxsize=1)
def _energies() -> Float64Array:
    kev = np.arange(TABLE_KEV[0], TABLE_KEV[-1] + 0.5, 1.0)
    kev.setflags(write=False)
    return kev


@lru_cache(maxsize=16)
def _element(element: str) -> Float64Array:
    """Return an element's coefficient at `_energies`: straight lines between the table's points in log-log."""
    kev, values = np.array(TABLE_KEV), np.array(MASS_ATTENUATION_CM2_G[element])
    at = _energies()
    if element == "I":
        edge_kev, below, above = IODINE_K_EDGE
        low = np.interp(np.log(at), np.log([*kev[:2], edge_kev]), np.log([*values[:2], below]))
        high = np.interp(np.log(at), np.log([edge_kev, *kev[2:]]), np.log([above, *values[2:]]))
        coefficient: Float64Array = np.exp(np.where(at < edge_kev, low, high))
    else:
        coefficient = np.exp(np.interp(np.log(at), np.log(kev), np.log(values)))
    coefficient.setflags(write=False)
    return coefficient
