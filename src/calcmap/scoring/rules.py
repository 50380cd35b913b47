"""Scoring rules: what counts as a calcified lesion, and how much it weighs.

A rule is data. Every number that CalcMap reports names the rule that made it, because public programs that all say
"Agatston" differ in threshold, smallest lesion and connectivity.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from enum import StrEnum

from calcmap.core.errors import ConfigError, InputError

CALCIUM_THRESHOLD_HU = 130
"""A voxel at or above this is calcium (Agatston 1990, at 120 to 130 kVp)."""

WEIGHT_LIMITS_HU = (130, 200, 300, 400)
"""Lowest peak HU of weights 1, 2, 3 and 4 (Agatston 1990): 199 weighs 1, 200 weighs 2."""

KVP_WEIGHT_LIMITS_HU: tuple[tuple[float, tuple[int, int, int, int]], ...] = (
    (70.0, (207, 318, 477, 636)),
    (80.0, (177, 271, 408, 544)),
    (100.0, (145, 222, 334, 446)),
    (120.0, WEIGHT_LIMITS_HU),
    (135.0, (119, 183, 274, 364)),
)
"""Tube voltage (kVp) and the limits that replace 130/200/300/400 HU there (Gräni 2018)."""

ROUNDING_SLACK_PX = 1e-4
"""Slack when mm² are turned into pixels: files keep spacings in single precision or few decimals (our choice)."""


class MinimumArea(StrEnum):
    """How the smallest lesion of one slice is stated."""

    ROUNDED_PIXELS = "rounded_pixels"
    """mm², turned into the nearest whole number of pixels (halves up), never fewer than one."""
    EXACT_AREA = "exact_area"
    """mm²; the lesion's area must reach it, so pixels are rounded up."""
    PIXELS = "pixels"
    """A number of pixels, whatever their size."""
    NONE = "none"
    """One pixel is enough."""


class SliceLinking(StrEnum):
    """Which voxels of neighbouring slices belong to one three-dimensional lesion."""

    FULL = "full"
    """All nine voxels above and below; with 8 neighbours in the slice this is 26-connectivity."""
    FACE = "face"
    """Only the voxel straight above and below; with 4 neighbours in the slice this is 6-connectivity."""


@dataclass(frozen=True)
class AgatstonRule:
    """One way to compute calcium scores.

    Parameters
    ----------
    name : str
        Name of the profile.
    threshold_hu : int
        Voxels at or above this count as calcium.
    weights_hu : tuple of four int
        Lowest peak HU of weights 1 to 4, ascending; the first is not above the threshold.
    minimum : MinimumArea
        How the smallest lesion of a slice is stated.
    minimum_size : float
        That size, in mm² or pixels as ``minimum`` says; 0 for `MinimumArea.NONE`.
    connectivity : int
        Neighbours of a pixel in its slice: 4 (edges) or 8 (edges and corners).
    linking : SliceLinking
        How lesions of neighbouring slices are joined. Changes the number of lesions, never a score.
    source : str
        Where the rule comes from, and how certain that is.

    Raises
    ------
    ConfigError
        Connectivity other than 4 or 8, weight limits not ascending, a first limit above the threshold, or a size that
        does not fit ``minimum``.
    """

    name: str
    threshold_hu: int
    weights_hu: tuple[int, int, int, int]
    minimum: MinimumArea
    minimum_size: float
    connectivity: int
    linking: SliceLinking
    source: str

    def __post_init__(self) -> None:
        complaints = []
        if self.connectivity not in (4, 8):
            complaints.append(f"connectivity is {self.connectivity}, expected 4 or 8")
        if list(self.weights_hu) != sorted(set(self.weights_hu)):
            complaints.append(f"weight limits {self.weights_hu} do not ascend")
        if self.weights_hu[0] > self.threshold_hu:
            complaints.append(f"weight 1 begins at {self.weights_hu[0]} HU, above the threshold {self.threshold_hu} HU")
        if (self.minimum is MinimumArea.NONE) != (self.minimum_size == 0) or not 0 <= self.minimum_size < math.inf:
            complaints.append(f"minimum size {self.minimum_size} does not fit the minimum {self.minimum.value!r}")
        if complaints:
            raise ConfigError(f"scoring rule {self.name!r}: " + "; ".join(complaints))

    def min_area_px(self, pixel_area_mm2: float) -> int:
        """Return the fewest pixels that a lesion must have in one slice, at least 1.

        Notes
        -----
        Rounding takes halves up, as most languages do. Python's own ``round`` takes them to the even neighbour, which
        would let 2 pixels of 0.4 mm² (0.8 mm²) pass for 1 mm² while asking for 2 of 0.667 mm² as well.
        """
        if self.minimum is MinimumArea.ROUNDED_PIXELS:
            pixels = math.floor(self.minimum_size / pixel_area_mm2 + 0.5 + ROUNDING_SLACK_PX)
        elif self.minimum is MinimumArea.EXACT_AREA:
            pixels = math.ceil(self.minimum_size / pixel_area_mm2 - ROUNDING_SLACK_PX)
        else:
            pixels = math.ceil(self.minimum_size)
        return max(1, pixels)

    def min_area_mm2(self, pixel_area_mm2: float) -> float:
        """Return the rule's smallest area as it is stated, mm²; 0.0 without a minimum."""
        if self.minimum is MinimumArea.PIXELS:
            return self.minimum_size * pixel_area_mm2
        return self.minimum_size


def _rule(
    name: str,
    *,
    minimum: MinimumArea,
    minimum_size: float,
    connectivity: int,
    source: str,
    linking: SliceLinking = SliceLinking.FULL,
) -> AgatstonRule:
    return AgatstonRule(
        name=name,
        threshold_hu=CALCIUM_THRESHOLD_HU,
        weights_hu=WEIGHT_LIMITS_HU,
        minimum=minimum,
        minimum_size=minimum_size,
        connectivity=connectivity,
        linking=linking,
        source=source,
    )


_VENDOR_DOUBT = (
    "No vendor document was at hand; the same code uses 4 neighbours for every vendor, while its paper says that "
    "vendors differ in connectivity."
)

CLINICAL = _rule(
    "clinical",
    minimum=MinimumArea.ROUNDED_PIXELS,
    minimum_size=1.0,
    connectivity=8,
    source=(
        "Agatston et al., J Am Coll Cardiol 1990;15:827-832 (130 HU, 1 mm², weights by peak). Eight neighbours and the "
        "rounded number of pixels reproduce published values of a QRM phantom scan to five decimals "
        "(MolloiLab/CAC-stanford-data, Large_rep1)."
    ),
)
GE = _rule(
    "ge",
    minimum=MinimumArea.EXACT_AREA,
    minimum_size=1.0,
    connectivity=4,
    source=f"van Praagh et al., Med Phys 2021 (doi 10.1002/mp.14912), code FQM_Analysis: 1 mm². {_VENDOR_DOUBT}",
)
SIEMENS = _rule(
    "siemens",
    minimum=MinimumArea.NONE,
    minimum_size=0.0,
    connectivity=4,
    source=f"van Praagh et al., Med Phys 2021 (doi 10.1002/mp.14912), code FQM_Analysis: no minimum. {_VENDOR_DOUBT}",
)
PHILIPS = _rule(
    "philips",
    minimum=MinimumArea.EXACT_AREA,
    minimum_size=0.5,
    connectivity=4,
    source=f"van Praagh et al., Med Phys 2021 (doi 10.1002/mp.14912), code FQM_Analysis: 0.5 mm². {_VENDOR_DOUBT}",
)
CANON = _rule(
    "canon",
    minimum=MinimumArea.PIXELS,
    minimum_size=3,
    connectivity=4,
    source=f"van Praagh et al., Med Phys 2021 (doi 10.1002/mp.14912), code FQM_Analysis: 3 pixels. {_VENDOR_DOUBT}",
)
ORCASCORE = _rule(
    "orcascore",
    minimum=MinimumArea.NONE,
    minimum_size=0.0,
    connectivity=4,
    linking=SliceLinking.FACE,
    source=(
        "orCaScore challenge, orcascore.isi.uu.nl/evaluation: lesions are voxels 'greater than 130 HU' joined by 3-D "
        "6-connectivity. Uncertain: whether exactly 130 HU counts (here it does, as in Agatston 1990), whether there "
        "is a smallest lesion (none is stated) and how the challenge weighted peaks (here slice by slice, with the "
        "in-slice part of 6-connectivity, which is 4 neighbours)."
    ),
)

PROFILES: dict[str, AgatstonRule] = {rule.name: rule for rule in (CLINICAL, GE, SIEMENS, PHILIPS, CANON, ORCASCORE)}
"""Every named rule; ``clinical`` is the default of CalcMap."""


def get_profile(name: str) -> AgatstonRule:
    """Return the rule called ``name``.

    Raises
    ------
    ConfigError
        There is no such profile; the message lists those there are.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"no scoring profile {name!r}; there are {', '.join(PROFILES)}") from None


def rule_for_kvp(rule: AgatstonRule, kvp: float) -> AgatstonRule:
    """Return ``rule`` with threshold and weight limits adapted to the tube voltage.

    Linear interpolation between the tabulated voltages, each limit rounded to a whole HU (halves up). At 120 kVp the
    rule's limits stay 130/200/300/400. Used only on request: the reference paper scores every scan at 130 HU.

    Parameters
    ----------
    rule : AgatstonRule
        A rule for 120 kVp: its limits are replaced, everything else is kept.
    kvp : float
        Peak tube voltage, 70 to 135 kVp.

    Returns
    -------
    AgatstonRule
        Named ``<rule>@<kvp>kVp``.

    Raises
    ------
    ConfigError
        The rule's limits are not those of 120 kVp, so it was adapted already or is someone's own.
    InputError
        The voltage lies outside the table; nothing is extrapolated (140 kVp among them).

    Notes
    -----
    A public code gives 199/299/399 for 120 kVp and an exponential for other voltages that disagrees with its own table
    (153.7 HU at 100 kVp instead of 145); neither is used. For 100 kVp, 147 HU is in use elsewhere (Nakazato 2009).

    References
    ----------
    .. [1] Gräni et al., Eur Heart J Cardiovasc Imaging 2018;19:1362-1371. Interpolation is our choice.
    """
    if (rule.threshold_hu, rule.weights_hu) != (CALCIUM_THRESHOLD_HU, WEIGHT_LIMITS_HU):
        raise ConfigError(f"rule {rule.name!r} does not have the limits of 120 kVp, {WEIGHT_LIMITS_HU}")
    limits_hu = _limits_at(kvp)
    return replace(rule, name=f"{rule.name}@{kvp:g}kVp", threshold_hu=limits_hu[0], weights_hu=limits_hu)


def _limits_at(kvp: float) -> tuple[int, int, int, int]:
    for (low_kvp, low_hu), (high_kvp, high_hu) in itertools.pairwise(KVP_WEIGHT_LIMITS_HU):
        if low_kvp <= kvp <= high_kvp:
            share = (kvp - low_kvp) / (high_kvp - low_kvp)
            w1, w2, w3, w4 = (math.floor(a + share * (b - a) + 0.5) for a, b in zip(low_hu, high_hu, strict=True))
            return w1, w2, w3, w4
    lowest, highest = KVP_WEIGHT_LIMITS_HU[0][0], KVP_WEIGHT_LIMITS_HU[-1][0]
    raise InputError(f"no thresholds are known for {kvp:g} kVp; the table covers {lowest:g} to {highest:g} kVp")
