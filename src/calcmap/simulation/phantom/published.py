"""Published scores of the phantom, insert by insert: what a simulated scan is held against.

Canon Aquilion ONE, GE Revolution and Philips Brilliance iCT: the lowest and the highest Agatston score of each insert
over five scans with small shifts and turns, without and with extension ring, from ``data/output/agatston.csv`` of
MolloiLab/CAC-stanford-data (MIT licence; commit 0321508b), which was made with the authors' own code. That code gives
area times weight as for 3 mm slices; GE's slices are 2.5 mm apart, so GE's values are multiplied by 2.5 / 3 here. The
means of the same scans by another public code (van Praagh et al., Med Phys 2021, doi 10.1002/mp.14912) agree with the
means of this table within 1 or 2 points per insert, 6 for the largest.

Siemens: no scan-by-scan table was at hand, only means over 19 scans. The range is the mean plus and minus what 19
normal draws spread to, half of 3.69 SD, with each insert's relative SD pooled from the other three vendors.
"""

from __future__ import annotations

from dataclasses import dataclass

from calcmap.simulation.phantom.geometry import INSERTS, PhantomSize

POOLED_RELATIVE_SD = (0.094, 0.049, 0.159, 0.179, 0.094, 0.514)
"""Root mean square, over three vendors and two sizes, of the SD over the mean of the 5 mm and 3 mm inserts."""
HALF_SPREAD_OF_19 = 1.84
"""Half the expected range of 19 normal draws, in SD (the table of d2 gives 3.689)."""
SIEMENS_MEANS = (259.0, 182.0, 74.0, 86.0, 36.0, 8.0)
"""FACTS 8.2."""


@dataclass(frozen=True)
class PublishedScores:
    """Agatston scores of one scanner and phantom size, the inserts in the order of `INSERTS`."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    total_mean: float
    total_sd: float
    total_mass_mg: float
    """Mean measured mass of all inserts."""

    def holds(self, insert_name: str, agatston: float) -> bool:
        """Tell whether a score lies in the range of an insert."""
        at = [insert.name for insert in INSERTS].index(insert_name)
        return self.low[at] <= agatston <= self.high[at]


def _siemens() -> PublishedScores:
    half = [HALF_SPREAD_OF_19 * sd * mean for sd, mean in zip(POOLED_RELATIVE_SD, SIEMENS_MEANS, strict=True)]
    low = tuple(round(max(mean - h, 0.0), 1) for mean, h in zip(SIEMENS_MEANS, half, strict=True))
    high = tuple(round(mean + h, 1) for mean, h in zip(SIEMENS_MEANS, half, strict=True))
    # 1 mm: "mostly 0, 800 mg/cm3 0 to 6" over all vendors (FACTS 8.2)
    return PublishedScores((*low, 0.0, 0.0, 0.0), (*high, 6.0, 0.0, 0.0), (*SIEMENS_MEANS, 0.0, 0.0, 0.0),
                           645.0, 24.0, 154.0)  # fmt: skip


PUBLISHED: dict[tuple[str, PhantomSize], PublishedScores] = {
    ("canon", PhantomSize.SMALL): PublishedScores(
        (267.7, 190.8, 107.9, 65.2, 46.7, 14.8, 0.9, 0.0, 0.0),
        (298.6, 200.5, 114.1, 105.7, 52.4, 16.7, 1.7, 0.0, 0.0),
        (280.2, 195.4, 111.2, 82.4, 50.3, 15.4, 1.2, 0.0, 0.0),
        737.0,
        16.0,
        180.0,
    ),
    ("canon", PhantomSize.LARGE): PublishedScores(
        (338.2, 236.7, 131.7, 89.3, 62.4, 20.5, 2.4, 0.0, 0.0),
        (396.3, 271.5, 164.8, 146.7, 83.3, 36.2, 6.2, 3.1, 2.4),
        (363.7, 257.5, 149.1, 115.2, 69.2, 27.7, 4.1, 1.2, 0.9),
        996.0,
        54.0,
        214.0,
    ),
    ("ge", PhantomSize.SMALL): PublishedScores(
        (206.2, 151.4, 49.7, 51.7, 31.0, 11.9, 0.0, 0.0, 0.0),
        (261.5, 180.8, 68.7, 75.5, 38.7, 19.1, 1.6, 0.0, 0.0),
        (241.0, 169.2, 58.3, 61.1, 33.7, 13.6, 0.7, 0.0, 0.0),
        579.0,
        34.0,
        182.0,
    ),
    ("ge", PhantomSize.LARGE): PublishedScores(
        (210.8, 166.1, 49.1, 60.6, 31.6, 5.8, 0.0, 0.0, 0.0),
        (272.6, 174.8, 69.7, 77.1, 36.0, 13.1, 1.0, 0.0, 0.0),
        (231.3, 169.4, 60.9, 69.3, 34.3, 11.4, 0.2, 0.0, 0.0),
        578.0,
        37.0,
        171.0,
    ),
    ("philips", PhantomSize.SMALL): PublishedScores(
        (235.8, 155.7, 42.9, 58.9, 22.2, 0.0, 0.0, 0.0, 0.0),
        (296.4, 178.8, 75.3, 88.7, 29.8, 11.9, 0.0, 0.0, 0.0),
        (250.4, 172.1, 62.6, 79.2, 27.2, 4.2, 0.0, 0.0, 0.0),
        599.0,
        20.0,
        160.0,
    ),
    ("philips", PhantomSize.LARGE): PublishedScores(
        (236.3, 176.4, 48.6, 67.7, 22.4, 2.1, 0.0, 0.0, 0.0),
        (329.0, 204.1, 73.4, 94.4, 30.8, 5.5, 0.0, 0.0, 0.0),
        (287.5, 187.5, 64.9, 75.0, 26.6, 4.3, 0.0, 0.0, 0.0),
        649.0,
        29.0,
        162.0,
    ),
    ("siemens", PhantomSize.SMALL): _siemens(),
}
"""By vendor and size. Totals, their SD and masses: FACTS 8.2."""
