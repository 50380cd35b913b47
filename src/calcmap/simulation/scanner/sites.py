"""Named scan protocols: what each kind of hybrid scanner's attenuation CT looks like.

Ranges follow FACTS 1.6 where it gives them; those of noise, sharpness and breathing are our choice within clinical
practice. Five families serve training; `external` differs from all of them in protocol, population and anatomy spread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

HEART_RATES_BPM = (50.0, 95.0)


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel with the sharpness of the whole system, and how often a site uses it."""

    name: str
    sigma_mm: tuple[float, float]
    """Range of the in-plane point spread's SD; 50 % of modulation is at 0.187 / sigma."""
    edge: float = 0.0
    """Edge enhancement, see `optics.PointSpread`."""
    weight: float = 1.0
    manufacturer: str = ""
    """Whose kernel it is, at a site with scanners of several; empty for the site's own."""
    scanner_models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The patient table's cross-section; ranges in mm and HU."""

    curvature_per_mm: tuple[float, float]
    half_width_mm: tuple[float, float]
    thickness_mm: tuple[float, float]
    shell_hu: tuple[float, float]


GE, SIEMENS = "GE MEDICAL SYSTEMS", "SIEMENS"
BIOGRAPHS = ("Biograph 64", "Biograph 40")
GE_TABLE = Table((0.0010, 0.0016), (195.0, 220.0), (18.0, 30.0), (-150.0, 250.0))
SIEMENS_TABLE = Table((0.0014, 0.0024), (190.0, 215.0), (28.0, 45.0), (-250.0, 120.0))
PHILIPS_TABLE = Table((0.0006, 0.0012), (200.0, 240.0), (14.0, 24.0), (-100.0, 400.0))
ANY_TABLE = Table((0.0006, 0.0024), (190.0, 260.0), (14.0, 45.0), (-200.0, 500.0))


@dataclass(frozen=True)
class Site:
    """Ranges from which each patient's acquisition is drawn (low, high), or choices."""

    name: str
    manufacturer: str
    scanner_models: tuple[str, ...]
    series_descriptions: tuple[str, ...]
    """Choices; ``{thickness}`` and ``{kernel}`` stand for the acquisition's own."""
    kvp: tuple[float, ...]
    """Choices of tube voltage."""
    pixel_mm: tuple[float, ...]
    """Two values are a range, others choices."""
    increment_mm: tuple[float, ...]
    """Choices of slice distance."""
    thickness_factor: tuple[float, ...]
    """Choices of slice thickness over increment: above 1 slices overlap, below 1 they leave gaps."""
    kernels: tuple[Kernel, ...]
    mas: tuple[float, float]
    """Tube current times rotation time, of a reference patient when the current is modulated."""
    rotation_s: tuple[float, float]
    window_turns: tuple[float, ...]
    """Choices of the part of a turn that a slice uses: 0.5 or 1."""
    table_mm_s: tuple[float, float]
    breath_mm: tuple[float, float]
    """Depth of breathing during the scan."""
    above_heart_mm: tuple[float, float]
    """How far the scan reaches above the heart label."""
    below_heart_mm: tuple[float, float]
    padding_hu: tuple[int | None, ...]
    """Choices of the value outside the round field of view; ``None``: no padding."""
    beat_share: tuple[float, float] = (0.1, 0.5)
    """Heart motion relative to the published speeds, which are those of the fastest, middle segments; calcium lies
    mostly near the ostia (our choice: ungated over gated scores then differ about as FACTS 1.6 says)."""
    hold_share: float = 0.35
    """Share of patients who hold their breath at end-expiration."""
    breath_s: tuple[float, float] = (3.0, 5.5)
    heart_rate_bpm: tuple[float, float] = HEART_RATES_BPM
    modulation: float = 0.0
    """How far the tube current follows the patient's attenuation, 0 to 1."""
    scatter: float = 0.01
    """Scattered over primary radiation that is left after correction."""
    hardening: float = 0.4
    """Share of beam hardening by bone and metal that is left after correction."""
    ring_mm: float = 0.0
    """SD of the detector's gain errors, as water path."""
    scan_fov_mm: float = 500.0
    is_flat_panel: bool = False
    misregistration_sd_mm: tuple[float, float, float] = (3.0, 3.5, 6.0)
    """Spread of the heart's place on the emission images against the CT (x, y, z)."""
    table: Table = ANY_TABLE
    matrix: int = 512
    noncoronary_factor: float = 1.0
    body_spread: float = 1.0
    """Spread of bodies relative to the population's."""
    arms_down_share: float = 0.08


@dataclass(frozen=True)
class Acquisition:
    """One patient's drawn acquisition."""

    kvp: float
    pixel_mm: float
    increment_mm: float
    thickness_mm: float
    psf_sigma_mm: float
    mas: float
    beat_share: float
    """Heart motion relative to the published speeds; 0 for a still heart."""
    above_heart_mm: float
    below_heart_mm: float
    padding_hu: int | None
    matrix: int
    kernel: str = "STANDARD"
    edge: float = 0.0
    rotation_s: float = 0.6
    window_turns: float = 0.5
    table_mm_s: float = 30.0
    heart_rate_bpm: float = 70.0
    breath_mm: float = 0.0
    breath_s: float = 4.0
    modulation: float = 0.0
    scatter: float = 0.01
    hardening: float = 0.4
    ring_mm: float = 0.0
    scan_fov_mm: float = 500.0
    is_flat_panel: bool = False
    is_gated: bool = False
    table: Table = ANY_TABLE
    misregistration_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the emission images show the heart, relative to the CT (x, y, z)."""
    manufacturer: str = ""
    scanner_model: str = ""
    series_description: str = ""


GE_NMCT = Site(
    name="ge_nmct",
    manufacturer=GE,
    scanner_models=("Discovery NM/CT 570c", "Discovery NM/CT 670"),
    series_descriptions=("CTAC", "CT AC", "AC CT STRESS", "CT Atten Cor", "CTAC {thickness} THICK"),
    kvp=(120.0,),
    pixel_mm=(0.9766, 0.9766),
    increment_mm=(5.0, 5.0, 5.0, 3.75, 2.5),
    thickness_factor=(1.0,),
    kernels=(Kernel("STANDARD", (0.58, 0.74)),),
    mas=(8.0, 24.0),
    rotation_s=(0.5, 0.8),
    window_turns=(0.5, 1.0),
    table_mm_s=(25.0, 45.0),
    breath_mm=(2.0, 8.0),
    above_heart_mm=(0.0, 90.0),
    below_heart_mm=(10.0, 80.0),
    padding_hu=(-2000, -3024, None),
    modulation=0.0,
    table=GE_TABLE,
)
SIEMENS_SYMBIA = Site(
    name="siemens_symbia",
    manufacturer=SIEMENS,
    scanner_models=("Symbia T6", "Symbia T16", "Symbia Intevo 6", "Symbia Intevo 16"),
    series_descriptions=(
        "AC  {thickness}  {kernel}",
        "CT AC REST {thickness} {kernel}",
        "Cardiac CT AC  {thickness}  {kernel}",
    ),
    kvp=(110.0, 130.0, 130.0),
    pixel_mm=(0.9766, 0.9766),
    increment_mm=(5.0, 3.0, 4.0, 5.0),
    thickness_factor=(1.0, 1.0, 1.25, 1.67),
    kernels=(
        Kernel("B08s", (1.0, 1.35), weight=5.0),
        Kernel("B30s", (0.62, 0.75), weight=2.0),
        Kernel("B31s", (0.58, 0.70), weight=2.0),
        Kernel("B60s", (0.42, 0.48), edge=0.8, weight=0.6),
    ),
    mas=(12.0, 40.0),
    rotation_s=(0.6, 0.8),
    window_turns=(0.5, 1.0, 1.0),
    table_mm_s=(14.0, 32.0),
    breath_mm=(2.0, 9.0),
    above_heart_mm=(0.0, 100.0),
    below_heart_mm=(10.0, 90.0),
    padding_hu=(None, None, -1024),
    modulation=0.6,
    table=SIEMENS_TABLE,
)
PHILIPS = Site(
    name="philips",
    manufacturer="Philips Medical Systems",
    scanner_models=("Precedence 16P", "Precedence 6P", "Brilliance 16"),
    series_descriptions=("CT AC", "LowDose CT", "CT AC {thickness}mm"),
    kvp=(120.0, 120.0, 140.0),
    pixel_mm=(0.9766, 1.1719),
    increment_mm=(5.0, 4.0, 3.0, 2.5),
    thickness_factor=(1.0, 1.0, 1.25, 1.6),
    kernels=(Kernel("B", (0.60, 0.78), weight=2.0), Kernel("A", (0.80, 1.05)), Kernel("C", (0.50, 0.58), edge=0.15)),
    mas=(18.0, 32.0),
    rotation_s=(0.5, 0.75),
    window_turns=(0.5, 1.0),
    table_mm_s=(20.0, 35.0),
    breath_mm=(2.0, 8.0),
    above_heart_mm=(0.0, 80.0),
    below_heart_mm=(10.0, 80.0),
    padding_hu=(None, -1000, -1024),
    modulation=0.3,
    table=PHILIPS_TABLE,
)
XCT_FLAT_PANEL = Site(
    name="xct_flat_panel",
    manufacturer="Philips Medical Systems",
    scanner_models=("BrightView XCT",),
    series_descriptions=("XCT", "CT AC XCT", "LowDose CT"),
    kvp=(120.0,),
    pixel_mm=(0.98, 1.4),
    increment_mm=(2.0, 1.0, 5.0, 5.0),
    thickness_factor=(1.0,),
    kernels=(Kernel("SMOOTH", (0.85, 1.15)), Kernel("NORMAL", (0.65, 0.85))),
    mas=(20.0, 60.0),
    rotation_s=(12.0, 60.0),
    window_turns=(1.0,),
    table_mm_s=(1.0, 1.0),
    breath_mm=(3.0, 9.0),
    above_heart_mm=(0.0, 18.0),
    below_heart_mm=(0.0, 20.0),
    padding_hu=(-1000, None),
    hold_share=0.0,
    scatter=0.08,
    hardening=0.8,
    ring_mm=0.10,
    scan_fov_mm=470.0,
    is_flat_panel=True,
    table=PHILIPS_TABLE,
)
PET_CT = Site(
    name="pet_ct",
    manufacturer=GE,
    scanner_models=("Discovery ST", "Discovery 690", "Discovery STE"),
    series_descriptions=("CTAC {thickness} THICK", "CT WB {thickness} {kernel}", "AC CT {thickness} HD_FoV", "CTAC"),
    kvp=(120.0, 140.0, 100.0, 120.0),
    pixel_mm=(0.9766, 1.3672),
    increment_mm=(3.27, 4.0, 3.75, 3.0),
    thickness_factor=(1.0, 1.15, 1.25),
    kernels=(Kernel("STANDARD", (0.66, 0.82), weight=2.0),
             Kernel("B19f", (0.85, 1.1), manufacturer=SIEMENS, scanner_models=BIOGRAPHS),
             Kernel("B30f", (0.66, 0.78), manufacturer=SIEMENS, scanner_models=BIOGRAPHS)),
    mas=(12.0, 40.0),
    rotation_s=(0.5, 0.8),
    window_turns=(0.5, 1.0),
    table_mm_s=(20.0, 45.0),
    breath_mm=(2.0, 9.0),
    above_heart_mm=(20.0, 140.0),
    below_heart_mm=(20.0, 100.0),
    padding_hu=(-3024, -1024, None),
    modulation=0.4,
    scan_fov_mm=700.0,
)  # fmt: skip
CHEST_LOW_DOSE = Site(
    name="chest_low_dose",
    manufacturer=SIEMENS,
    scanner_models=("Sensation 16", "Emotion 16"),
    series_descriptions=("Chest LowDose  {thickness}  {kernel}", "THORAX NATIV  {thickness}  {kernel}"),
    kvp=(120.0, 140.0, 120.0, 100.0),
    pixel_mm=(0.60, 0.86),
    increment_mm=(5.0, 2.5, 3.0, 4.0),
    thickness_factor=(1.0, 1.0, 1.2, 0.8),
    kernels=(Kernel("B31f", (0.55, 0.68), weight=2.0),
             Kernel("STANDARD", (0.55, 0.70), weight=2.0, manufacturer=GE, scanner_models=("LightSpeed VCT",)),
             Kernel("B50f", (0.44, 0.50), edge=0.4, weight=0.5)),
    mas=(20.0, 80.0),
    rotation_s=(0.4, 0.6),
    window_turns=(0.5, 1.0, 1.0),
    table_mm_s=(30.0, 60.0),
    breath_mm=(0.0, 2.0),
    above_heart_mm=(30.0, 140.0),
    below_heart_mm=(30.0, 100.0),
    padding_hu=(None, -2000, -1024),
    hold_share=0.9,
    modulation=0.5,
    scatter=0.006,
    hardening=0.3,
)  # fmt: skip
MIXED_LOW_DOSE = Site(
    name="mixed_low_dose",
    manufacturer=GE,
    scanner_models=("Discovery NM/CT 670", "LightSpeed VCT"),
    series_descriptions=("CTAC", "CT AC {thickness} {kernel}", "LowDose CT"),
    kvp=(120.0, 120.0, 100.0, 130.0, 140.0),
    pixel_mm=(0.60, 1.37),
    increment_mm=(5.0, 4.0, 3.27, 3.0, 2.5, 2.0),
    thickness_factor=(1.0, 1.0, 0.8, 1.25, 1.67),
    kernels=(Kernel("STANDARD", (0.55, 0.95), weight=3.0),
             Kernel("B30s", (0.60, 1.10), weight=2.0, manufacturer=SIEMENS, scanner_models=BIOGRAPHS),
             Kernel("B50f", (0.44, 0.52), edge=0.4, manufacturer=SIEMENS, scanner_models=BIOGRAPHS),
             Kernel("B", (0.50, 0.80), edge=0.15, weight=2.0, manufacturer="Philips Medical Systems",
                    scanner_models=("Precedence 16P", "Brilliance 16"))),
    mas=(6.0, 30.0),
    rotation_s=(0.4, 0.8),
    window_turns=(0.5, 1.0),
    table_mm_s=(15.0, 60.0),
    breath_mm=(0.0, 10.0),
    above_heart_mm=(0.0, 120.0),
    below_heart_mm=(10.0, 110.0),
    padding_hu=(None, -3024, -1024),
    modulation=0.4,
    scatter=0.02,
    hardening=0.6,
    body_spread=1.2,
    arms_down_share=0.15,
)  # fmt: skip
"""No one maker's scanner: protocols drawn wider than at any site and at the lowest doses, so that what is learned from
them leans on no noise, sharpness or slice distance (domain randomisation, Tobin et al. 2017; ranges are our choice)."""
EXTERNAL = Site(
    name="external",
    manufacturer="TOSHIBA",
    scanner_models=("Aquilion CXL",),
    series_descriptions=("CT LOW DOSE AC {thickness}", "AC HEART {kernel} {thickness}"),
    kvp=(120.0, 135.0),
    pixel_mm=(0.78, 0.84),
    increment_mm=(4.0, 2.0),
    thickness_factor=(1.0, 1.5),
    kernels=(Kernel("FC08", (0.50, 0.60), edge=0.10), Kernel("FC03", (0.68, 0.80))),
    mas=(10.0, 18.0),
    rotation_s=(0.45, 0.55),
    window_turns=(0.5, 1.0),
    table_mm_s=(35.0, 55.0),
    breath_mm=(3.0, 11.0),
    above_heart_mm=(10.0, 55.0),
    below_heart_mm=(35.0, 130.0),
    padding_hu=(-2048, None),
    hold_share=0.15,
    heart_rate_bpm=(55.0, 100.0),
    modulation=0.8,
    scatter=0.018,
    hardening=0.55,
    table=Table((0.0018, 0.0028), (205.0, 235.0), (22.0, 34.0), (50.0, 500.0)),
    misregistration_sd_mm=(4.0, 4.5, 9.0),
    noncoronary_factor=1.25,
    body_spread=1.3,
    arms_down_share=0.22,
)
"""Differs from every training site: matrix of about 0.8 mm pixels, kernels, modulation, reach, heavier people."""
TRAINING_SITES = (GE_NMCT, SIEMENS_SYMBIA, PHILIPS, XCT_FLAT_PANEL, PET_CT, CHEST_LOW_DOSE, MIXED_LOW_DOSE)
SITES: dict[str, Site] = {site.name: site for site in (*TRAINING_SITES, EXTERNAL)}

GATED_REACH_MM = (5.0, 15.0)
GATED_SERIES = "CaScSeq  3.0"


def draw_acquisition(rng: np.random.Generator, *, site: Site) -> Acquisition:
    """Return one acquisition at a site."""
    increment = float(rng.choice(site.increment_mm))
    weights = np.array([kernel.weight for kernel in site.kernels])
    kernel = site.kernels[int(rng.choice(len(site.kernels), p=weights / weights.sum()))]
    models = kernel.scanner_models or site.scanner_models
    thickness = increment * float(rng.choice(site.thickness_factor))
    holds = rng.random() < site.hold_share
    pick = site.series_descriptions[int(rng.integers(len(site.series_descriptions)))]
    return Acquisition(
        kvp=float(rng.choice(site.kvp)),
        pixel_mm=_pixel(rng, site),
        increment_mm=increment,
        thickness_mm=thickness,
        psf_sigma_mm=float(rng.uniform(*kernel.sigma_mm)),
        mas=float(rng.uniform(*site.mas)),
        beat_share=float(rng.uniform(*site.beat_share)),
        above_heart_mm=float(rng.uniform(*site.above_heart_mm)),
        below_heart_mm=float(rng.uniform(*site.below_heart_mm)),
        padding_hu=site.padding_hu[int(rng.integers(len(site.padding_hu)))],
        matrix=site.matrix,
        kernel=kernel.name,
        edge=kernel.edge,
        rotation_s=float(rng.uniform(*site.rotation_s)),
        window_turns=float(rng.choice(site.window_turns)),
        table_mm_s=float(rng.uniform(*site.table_mm_s)),
        heart_rate_bpm=float(rng.uniform(*site.heart_rate_bpm)),
        breath_mm=0.0 if holds else float(rng.uniform(*site.breath_mm)),
        breath_s=float(rng.uniform(*site.breath_s)),
        modulation=site.modulation,
        scatter=site.scatter,
        hardening=site.hardening,
        ring_mm=site.ring_mm,
        scan_fov_mm=site.scan_fov_mm,
        is_flat_panel=site.is_flat_panel,
        table=site.table,
        misregistration_mm=_vector(rng.normal(0, site.misregistration_sd_mm)),
        manufacturer=kernel.manufacturer or site.manufacturer,
        scanner_model=models[int(rng.integers(len(models)))],
        series_description=pick.format(thickness=f"{thickness:.1f}", kernel=kernel.name),
    )


def gated(acquisition: Acquisition, *, rng: np.random.Generator, scale: int = 1) -> Acquisition:
    """Return the gated calcium scan of the same study: 120 kVp, 3 mm, prospectively triggered, in a breath hold.

    Sequential half scans of 0.25 s per slice, centred in diastasis; what motion is left there stays. ``scale`` is the
    coarseness of the plan, as in `plan_patient`: the matrix of ``acquisition`` is that much smaller already.
    """
    return replace(
        acquisition, kvp=120.0, pixel_mm=scale * float(rng.uniform(0.39, 0.49)), increment_mm=3.0, thickness_mm=3.0,
        psf_sigma_mm=float(rng.uniform(0.52, 0.62)), mas=float(rng.uniform(60, 80)), kernel="B35f", edge=0.0,
        rotation_s=float(rng.uniform(0.33, 0.42)), window_turns=0.5, breath_mm=0.0, modulation=0.3, scatter=0.006,
        hardening=0.25, ring_mm=0.0, scan_fov_mm=500.0, is_flat_panel=False, is_gated=True, padding_hu=None,
        above_heart_mm=GATED_REACH_MM[0], below_heart_mm=GATED_REACH_MM[1], series_description=GATED_SERIES,
        misregistration_mm=(0.0, 0.0, 0.0),
    )  # fmt: skip


def _pixel(rng: np.random.Generator, site: Site) -> float:
    if len(site.pixel_mm) == 2:
        return float(rng.uniform(*site.pixel_mm))
    return float(rng.choice(site.pixel_mm))


def _vector(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


__all__ = ["SITES", "TRAINING_SITES", "Acquisition", "Kernel", "Site", "Table", "draw_acquisition", "gated"]
