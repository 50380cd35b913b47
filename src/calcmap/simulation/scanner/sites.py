"""Named scan protocols: what each kind of hybrid scanner's attenuation CT looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Site:
    """Ranges from which each patient's acquisition is drawn (low, high), or choices."""

    name: str
    kvp: tuple[float, ...]
    """Choices of tube voltage."""
    pixel_mm: tuple[float, float]
    increment_mm: tuple[float, ...]
    """Choices of slice distance."""
    thickness_factor: tuple[float, float]
    """Slice thickness over increment; above 1 the slices overlap."""
    psf_sigma_mm: tuple[float, float]
    """In-plane Gaussian blur of the kernel and the focal spot."""
    noise_sd_hu: tuple[float, float]
    """In the heart of a patient."""
    motion_mm: tuple[float, float]
    """Path of the right coronary during a slice's acquisition; the others move less."""
    above_heart_mm: tuple[float, float]
    """How far the scan reaches above the heart label."""
    below_heart_mm: tuple[float, float]
    padding_hu: tuple[int | None, ...]
    """Choices of the value outside the round field of view; ``None``: no padding."""
    matrix: int = 512
    noncoronary_factor: float = 1.0


@dataclass(frozen=True)
class Acquisition:
    """One patient's drawn acquisition."""

    kvp: float
    pixel_mm: float
    increment_mm: float
    thickness_mm: float
    psf_sigma_mm: float
    noise_sd_hu: float
    motion_mm: float
    above_heart_mm: float
    below_heart_mm: float
    padding_hu: int | None
    matrix: int


SITES: dict[str, Site] = {
    site.name: site
    for site in (
        Site(
            name="ge_nmct",
            kvp=(120.0,),
            pixel_mm=(0.9766, 0.9766),
            increment_mm=(5.0, 5.0, 5.0, 3.75, 2.5),
            thickness_factor=(1.0, 1.0),
            psf_sigma_mm=(0.60, 0.80),
            noise_sd_hu=(13.0, 32.0),
            motion_mm=(0.5, 7.0),
            above_heart_mm=(0.0, 90.0),
            below_heart_mm=(10.0, 80.0),
            padding_hu=(-2000, -3024, None),
        ),
        Site(
            name="siemens_symbia",
            kvp=(110.0, 130.0, 130.0),
            pixel_mm=(0.9766, 0.9766),
            increment_mm=(5.0, 3.0, 4.0, 5.0),
            thickness_factor=(1.0, 1.25),
            psf_sigma_mm=(1.0, 1.7),
            noise_sd_hu=(8.0, 18.0),
            motion_mm=(0.5, 8.0),
            above_heart_mm=(0.0, 100.0),
            below_heart_mm=(10.0, 90.0),
            padding_hu=(None, None, -1024),
        ),
        Site(
            name="pet_ct",
            kvp=(120.0, 140.0, 100.0, 120.0),
            pixel_mm=(0.9766, 1.3672),
            increment_mm=(3.27, 4.0, 3.75, 3.0),
            thickness_factor=(1.0, 1.25),
            psf_sigma_mm=(0.65, 1.1),
            noise_sd_hu=(9.0, 26.0),
            motion_mm=(0.5, 7.0),
            above_heart_mm=(20.0, 140.0),
            below_heart_mm=(20.0, 100.0),
            padding_hu=(-3024, -1024, None),
        ),
        Site(
            name="chest_low_dose",
            kvp=(120.0, 140.0, 120.0, 100.0),
            pixel_mm=(0.60, 0.86),
            increment_mm=(5.0, 2.5, 3.0, 4.0),
            thickness_factor=(1.0, 1.2),
            psf_sigma_mm=(0.55, 0.80),
            noise_sd_hu=(10.0, 30.0),
            motion_mm=(0.5, 6.0),
            above_heart_mm=(30.0, 140.0),
            below_heart_mm=(30.0, 100.0),
            padding_hu=(None, -2000, -1024),
        ),
    )
}


def draw_acquisition(rng: np.random.Generator, *, site: Site) -> Acquisition:
    """Return one acquisition at a site."""
    increment = float(rng.choice(site.increment_mm))
    return Acquisition(
        kvp=float(rng.choice(site.kvp)),
        pixel_mm=float(rng.uniform(*site.pixel_mm)),
        increment_mm=increment,
        thickness_mm=increment * float(rng.uniform(*site.thickness_factor)),
        psf_sigma_mm=float(rng.uniform(*site.psf_sigma_mm)),
        noise_sd_hu=float(rng.uniform(*site.noise_sd_hu)),
        motion_mm=float(rng.uniform(*site.motion_mm)),
        above_heart_mm=float(rng.uniform(*site.above_heart_mm)),
        below_heart_mm=float(rng.uniform(*site.below_heart_mm)),
        padding_hu=site.padding_hu[int(rng.integers(len(site.padding_hu)))],
        matrix=site.matrix,
    )
