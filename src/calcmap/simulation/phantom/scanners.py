"""Calcium-scoring scanners of four vendors, as far as a phantom scan shows them: sharpness, HU, noise, slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from calcmap.core.errors import ConfigError
from calcmap.simulation.phantom.geometry import TISSUE_ABOVE_WATER_HU, MaterialHu, PhantomSize

PIXEL_MM = 0.48828
"""250 mm over 512 pixels; published areas are whole multiples of its square for three vendors."""
MTF50_SIGMA = 0.1874
"""Frequency at which a Gaussian point spread passes half, times its SD."""


@dataclass(frozen=True)
class Alignment:
    """How the phantom lay in the slices over the repetitions of one scanner and size."""

    start_phase: float = 0.0
    """Mean height of the nearest slice over the calcifications' plane, in increments."""
    start_spread: float = 1.0
    """Width over which that height is spread evenly, in increments; 1 is anywhere."""
    tilt_deg_xy: tuple[float, float] = (0.0, 0.0)
    """Rise of the calcifications' plane along x and along y."""


ANYWHERE = Alignment()


@dataclass(frozen=True)
class Protocol:
    """What one scanner makes of one phantom size."""

    psf_sigma_mm: float
    """In-plane point spread; fitted to published scores."""
    water_hu: float
    """Of the water rod; fitted, within the measured -8 to 36 HU of FACTS 8.1."""
    noise_sd_hu: float
    """In the heart insert; fitted, within the measured 8 to 24 HU of FACTS 8.2."""
    mass_factor: float
    """Measured calibration, mg per cm3 and HU (FACTS 8.2)."""
    alignment: Alignment = ANYWHERE

    @property
    def mtf50_per_mm(self) -> float:
        """Frequency at which the point spread passes half."""
        return MTF50_SIGMA / self.psf_sigma_mm

    @property
    def materials(self) -> MaterialHu:
        """HU of the phantom's materials."""
        return MaterialHu(self.water_hu, self.water_hu + TISSUE_ABOVE_WATER_HU, 1 / self.mass_factor)


@dataclass(frozen=True)
class PhantomScanner:
    """A scanner at 120 kVp with its vendor's calcium-scoring protocol."""

    name: str
    model: str
    increment_mm: float
    thickness_mm: float
    protocols: Mapping[PhantomSize, Protocol]
    pixel_mm: float = PIXEL_MM
    matrix: int = 512

    def protocol(self, size: PhantomSize) -> Protocol:
        """Return the protocol for a phantom size.

        Raises
        ------
        ConfigError
            Nothing is known of that size on this scanner.
        """
        try:
            return self.protocols[size]
        except KeyError:
            known = ", ".join(self.protocols)
            raise ConfigError(f"scanner {self.name!r} has no {size} phantom; there is {known}") from None


def _protocols(small: Protocol, large: Protocol | None = None) -> Mapping[PhantomSize, Protocol]:
    found = {PhantomSize.SMALL: small}
    if large is not None:
        found[PhantomSize.LARGE] = large
    return MappingProxyType(found)


CANON = PhantomScanner(
    "canon", "Aquilion ONE", 3.0, 3.0,
    _protocols(
        Protocol(0.537, 15.3, 12.1, 0.714, Alignment(0.57, 0.35, (0.39, 0.35))), Protocol(0.731, 35.9, 23.3, 0.725)
    ),
)  # fmt: skip
"""Large: a real scan gave 0.65 to 0.8, 31 and 21. Small: its published scores vary less than slices anywhere would make
them, so the alignment was fitted too."""
GE = PhantomScanner(
    "ge", "Revolution", 2.5, 2.5,
    _protocols(Protocol(0.5, 11.0, 17.0, 0.911), Protocol(0.58, 4.0, 16.0, 0.880)),
)  # fmt: skip
PHILIPS = PhantomScanner(
    "philips", "Brilliance iCT", 3.0, 3.0,
    _protocols(Protocol(0.76, -8.0, 9.0, 0.783), Protocol(0.88, -5.0, 15.0, 0.797)),
)  # fmt: skip
SIEMENS = PhantomScanner("siemens", "SOMATOM", 3.0, 3.0, _protocols(Protocol(0.64, -6.0, 14.0, 0.766)))
"""No size is certain for the published Siemens scans; they are taken as small."""

PHANTOM_SCANNERS: Mapping[str, PhantomScanner] = MappingProxyType(
    {scanner.name: scanner for scanner in (CANON, GE, PHILIPS, SIEMENS)}
)
