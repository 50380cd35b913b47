"""Who comes to which site: the populations from which clinical tables are drawn.

Printed numbers are the paper's (Miller 2023) unless another source is named. How risk factors and perfusion spread over
the calcium categories is not printed where we could read it: those splits are our choice, made so that the printed
sums, the printed significance (sex, hypertension, diabetes and dyslipidaemia rise with calcium; family history and
smoking do not) and both columns of hazard ratios come out.
"""

from __future__ import annotations

from dataclasses import dataclass

from calcmap.core.errors import ConfigError

N_CATEGORIES = 4
ByCategory = tuple[float, float, float, float]
"""One number for each calcium category: 0, 1-100, 101-400, >400."""
Shares = tuple[float, float, float, float]
"""Shares of stress perfusion deficits below 1 %, 1 to below 5 %, 5 to below 10 %, and above; their sum is 1."""
SHARE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Population:
    """Marginal distributions of a clinical table, by calcium category where they differ.

    Parameters
    ----------
    name : str
        Part of every cohort's random stream.
    category_shares : tuple of float
        Of the four calcium categories; their sum is 1.
    male : tuple of float
        Share of men in each category.
    age_mean_years, age_sd_years : tuple of float
        Age in each category, before ages outside 30 to 92 are left out.
    bmi_median : float
        In kg/m2; log-normal.
    hypertension, diabetes, dyslipidaemia, family_history, smoking : tuple of float
        Prevalence in each category.
    stress_tpd : tuple of tuple of float
        For each category, the shares of the four classes of attenuation-corrected stress perfusion deficit.
    lvef_mean_percent : tuple of float
        Left ventricular ejection fraction in each category, both sexes together.
    pharmacologic_stress : tuple of float
        Share not stressed by exercise, in each category.

    Raises
    ------
    ConfigError
        A share lies outside 0 to 1, or shares that must sum to 1 do not.
    """

    name: str
    category_shares: ByCategory
    male: ByCategory
    age_mean_years: ByCategory
    age_sd_years: ByCategory
    bmi_median: float
    hypertension: ByCategory
    diabetes: ByCategory
    dyslipidaemia: ByCategory
    family_history: ByCategory
    smoking: ByCategory
    stress_tpd: tuple[Shares, Shares, Shares, Shares]
    lvef_mean_percent: ByCategory
    pharmacologic_stress: ByCategory

    def __post_init__(self) -> None:
        complaints = []
        for name in ("male", "hypertension", "diabetes", "dyslipidaemia", "family_history", "smoking",
                     "pharmacologic_stress"):  # fmt: skip
            if not all(0 <= share <= 1 for share in getattr(self, name)):
                complaints.append(f"{name} is {getattr(self, name)}, expected shares from 0 to 1")
        for shares in (self.category_shares, *self.stress_tpd):
            if min(shares) < 0 or abs(sum(shares) - 1) > SHARE_TOLERANCE:
                complaints.append(f"shares are {shares}, expected none below 0 and a sum of 1")
        if complaints:
            raise ConfigError(f"population {self.name!r}: " + "; ".join(complaints))


EXTERNAL = Population(
    name="external",
    category_shares=(908 / 2271, 596 / 2271, 354 / 2271, 413 / 2271),
    male=(0.36, 0.53, 0.62, 0.6893),
    age_mean_years=(62.0, 66.6, 71.1, 72.8),
    age_sd_years=(11.5, 10.5, 9.5, 9.5),
    bmi_median=28.3,
    hypertension=(0.47, 0.57, 0.66, 0.6922),
    diabetes=(0.18, 0.23, 0.27, 0.3315),
    dyslipidaemia=(0.36, 0.46, 0.50, 0.5446),
    family_history=(0.517, 0.485, 0.488, 0.4519),
    smoking=(0.060, 0.076, 0.071, 0.0608),
    stress_tpd=(
        (0.640, 0.290, 0.055, 0.015),
        (0.580, 0.312, 0.074, 0.034),
        (0.490, 0.330, 0.110, 0.070),
        (0.380, 0.350, 0.140, 0.130),
    ),
    lvef_mean_percent=(65.0, 64.5, 63.5, 62.0),
    pharmacologic_stress=(0.42, 0.48, 0.56, 0.60),
)
"""The paper's external cohort: 2,271 patients of Calgary without known coronary disease. Printed: category shares, mean
ages (61.9, 66.4, 70.8, 72.3; the means here make up for the oldest, who are left out), and the sums male 1147,
hypertension 1286, diabetes 533, dyslipidaemia 1003, family history 1118, smoking 150."""

SPECT_TRAINING = Population(
    name="spect_training",
    category_shares=(0.35, 0.25, 0.18, 0.22),
    male=(0.43, 0.55, 0.61, 0.66),
    age_mean_years=(61.0, 66.0, 69.5, 71.5),
    age_sd_years=(11.5, 11.0, 10.0, 10.0),
    bmi_median=29.0,
    hypertension=(0.55, 0.64, 0.71, 0.74),
    diabetes=(0.22, 0.29, 0.33, 0.36),
    dyslipidaemia=(0.26, 0.33, 0.38, 0.41),
    family_history=(0.19, 0.18, 0.18, 0.17),
    smoking=(0.10, 0.11, 0.11, 0.10),
    stress_tpd=(
        (0.45, 0.38, 0.12, 0.05),
        (0.40, 0.38, 0.14, 0.08),
        (0.34, 0.38, 0.17, 0.11),
        (0.28, 0.37, 0.20, 0.15),
    ),
    lvef_mean_percent=(64.0, 63.0, 61.0, 59.0),
    pharmacologic_stress=(0.43, 0.48, 0.53, 0.57),
)
"""North American SPECT patients. Sex, age, BMI, risk factors and stress type: the 13,988 patients of another study of
the same group (npj Digital Medicine 2023, s41746-023-00806-x, Table 2); shares and splits are our choice."""

PET_TRAINING = Population(
    name="pet_training",
    category_shares=(0.34, 0.22, 0.17, 0.27),
    male=(0.44, 0.52, 0.57, 0.62),
    age_mean_years=(58.0, 64.0, 68.5, 70.5),
    age_sd_years=(11.0, 10.5, 10.0, 9.5),
    bmi_median=29.5,
    hypertension=(0.56, 0.65, 0.70, 0.74),
    diabetes=(0.21, 0.26, 0.29, 0.33),
    dyslipidaemia=(0.46, 0.56, 0.61, 0.65),
    family_history=(0.30, 0.29, 0.29, 0.28),
    smoking=(0.15, 0.15, 0.15, 0.15),
    stress_tpd=SPECT_TRAINING.stress_tpd,
    lvef_mean_percent=(63.0, 62.0, 60.5, 58.5),
    pharmacologic_stress=(1.0, 1.0, 1.0, 1.0),
)
"""PET patients of the sibling paper's training cohort (PMC13016421, Table 1: shares, sex, age, BMI, risk factors); the
splits by category are our choice."""

LUNG_SCREENING = Population(
    name="lung_screening",
    category_shares=(0.24, 0.32, 0.18, 0.26),
    male=(0.46, 0.57, 0.66, 0.74),
    age_mean_years=(59.5, 61.0, 62.5, 63.5),
    age_sd_years=(4.5, 4.8, 5.0, 5.0),
    bmi_median=27.5,
    hypertension=(0.29, 0.34, 0.39, 0.44),
    diabetes=(0.07, 0.09, 0.11, 0.14),
    dyslipidaemia=(0.30, 0.34, 0.38, 0.42),
    family_history=(0.30, 0.30, 0.30, 0.30),
    smoking=(0.47, 0.48, 0.49, 0.50),
    stress_tpd=EXTERNAL.stress_tpd,
    lvef_mean_percent=(65.0, 64.5, 63.5, 62.5),
    pharmacologic_stress=EXTERNAL.pharmacologic_stress,
)
"""Heavy smokers of 55 to 74 years. Shares: manual scores of 396 NLST scans (DeepCAC); the rest is our choice."""

POPULATIONS: dict[str, Population] = {
    "external": EXTERNAL,
    "pet_ct": PET_TRAINING,
    "chest_low_dose": LUNG_SCREENING,
}
"""Population of a site, by the site's name."""


def population_of(site: str) -> Population:
    """Return a site's population; sites without one of their own see the SPECT patients of the training sites."""
    return POPULATIONS.get(site, SPECT_TRAINING)
