"""Make the simulated external cohort and lay its numbers beside the paper's.

Usage::

    python scripts/cohort_report.py [-o build/cohort] [--patients 2271] [--seed 1] [--sweep 20] [--docs docs]

Makes the cohort's table (what is finished in OUT is kept, an unfinished one goes on), prints for each number of the
paper that we know what the cohort gives with its 95 % interval, draws SWEEP more cohorts without calcium and readers,
and counts how often each printed number lies in the interval. With ``--docs`` the tables between the markers of
DOCS/explanation/simulated-cohort.md are written anew.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from calcmap.cohorts.order import SimulationOrder
from calcmap.cohorts.tables import TABLE_FILE, write_cohort_table
from calcmap.evaluation.agreement import Weighting, confusion_matrix, r_squared, weighted_kappa
from calcmap.evaluation.readings import PAPER_CUTS
from calcmap.prognosis.cox import CoxFit, fit_cox
from calcmap.prognosis.followup import follow_up
from calcmap.reproduction.comparison import HIGHEST_CUT, covariate_numbers, quantile
from calcmap.reproduction.paper import LEVELS, PAPER, PATIENTS
from calcmap.simulation.population.clinical import draw_clinical_row
from calcmap.simulation.population.draws import cohort_points
from calcmap.simulation.population.outcomes import DAYS_PER_YEAR, draw_outcome
from calcmap.simulation.population.populations import EXTERNAL
from calcmap.statistics.cells import levels_of
from calcmap.statistics.estimates import Estimate, wilson_proportion
from marked_page import write_sections

ROOT = Path(__file__).resolve().parent.parent

Floats = NDArray[np.float64]

PRINTED = {number.key: number for number in (*PAPER, *covariate_numbers())}
SHARE_TOLERANCE_POINTS = 2.0
EVENT_TOLERANCE = 20
AGES_YEARS = (61.9, 66.4, 70.8, 72.3)
COUNTS = {
    "men": ("is_male", 1147), "hypertension": ("hypertension", 1286), "diabetes": ("diabetes", 533),
    "dyslipidaemia": ("dyslipidaemia", 1003), "family history": ("family_history", 1118), "smoking": ("smoking", 150),
}  # fmt: skip
"""Sums of Table 1; which of them differ between categories (p < 0.001) the paper prints too."""
DIFFERS_BY_CATEGORY = {"men", "hypertension", "diabetes", "dyslipidaemia"}
FIVE_LIMITS = (1.0, 10.0, 100.0, 400.0)
"""0, 1-10, 11-100, 101-400, >400: the sibling paper's five categories, whose limits we could not read (our choice)."""
FOUR_LIMITS = PAPER_CUTS
READER_NAMES = ("expert_1", "expert_2", "gated", "visual", "dl_like")


@dataclass(frozen=True)
class Line:
    """One number of the paper beside the cohort's."""

    what: str
    printed: float
    estimate: float
    low: float
    high: float
    digits: int = 2

    @property
    def is_inside(self) -> bool:
        """Whether the printed number lies in the cohort's interval."""
        return self.low <= self.printed <= self.high

    def cells(self) -> str:
        """Return the line as a row of a Markdown table."""
        printed, *found = (f"{v:.{self.digits}f}" for v in (self.printed, self.estimate, self.low, self.high))
        said = "yes" if self.is_inside else "**no**"
        return f"| {self.what} | {printed} | {found[0]} ({found[1]} to {found[2]}) | {said} |"


@dataclass(frozen=True)
class Cohort:
    """The columns of a cohort's table that the paper has numbers for; one value a patient."""

    columns: dict[str, Floats]

    def __getitem__(self, name: str) -> Floats:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["category"])

    def fit(self, covariates: Floats) -> CoxFit:
        """Return hazard ratios of MACE (Efron's ties)."""
        days = np.rint(self["mace_years"] * DAYS_PER_YEAR)
        columns = {str(k): column for k, column in enumerate(covariates.T)}
        return fit_cox(follow_up(days, self["mace"], covariates=columns))


def read_cohort(path: Path) -> Cohort:
    """Return a cohort from its table; complete columns only."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {"is_male": np.array([float(row["sex"] == "M") for row in rows])}
    for name in rows[0]:
        try:
            columns[name] = np.array([float(row[name]) for row in rows])
        except ValueError:
            continue
    return Cohort(columns)


def draw_cohort(seed: int, n: int) -> Cohort:
    """Return the clinical rows and outcomes of a cohort, without its calcium."""
    values: list[dict[str, float]] = []
    for number, point in enumerate(islice(cohort_points(seed, population=EXTERNAL.name), n)):
        row = draw_clinical_row(point, number=number, population=EXTERNAL)
        outcome = draw_outcome(point, row=row)
        values.append({
            "category": row.category, "is_male": row.sex == "M", "age_years": row.age_years,
            "bmi_kg_m2": row.bmi_kg_m2, "hypertension": row.has_hypertension, "diabetes": row.has_diabetes,
            "dyslipidaemia": row.has_dyslipidaemia, "family_history": row.has_family_history, "smoking": row.is_smoker,
            "stress_tpd_class": row.stress_tpd_class, "rest_tpd_percent": row.rest_tpd_percent,
            "lvef_percent": row.lvef_percent, "follow_up_years": outcome.follow_up_days / DAYS_PER_YEAR,
            "mace": outcome.mace is not None, "mace_years": outcome.mace_follow_up_days / DAYS_PER_YEAR,
        })  # fmt: skip
    return Cohort({name: np.array([v[name] for v in values], dtype=np.float64) for name in values[0]})


def share_lines(cohort: Cohort) -> Iterator[Line]:
    """Yield the shares of the planted categories, in per cent."""
    for k, name in enumerate(LEVELS):
        yield _share_line(f"calcium {name}, %", f"share_{k}", cohort["category"] == k, scale=100.0)


def event_lines(cohort: Cohort) -> Iterator[Line]:
    """Yield events and follow-up."""
    mace = cohort["mace"] > 0
    yield _share_line("patients with MACE", "events", mace, scale=len(cohort))
    for k, name in enumerate(LEVELS):
        chosen = mace & (cohort["category"] == k)
        yield _share_line(f"MACE with calcium {name} (derived)", f"events_{k}", chosen, scale=len(cohort))
    for k, (share, name) in enumerate(((0.25, "first quartile"), (0.5, "median"), (0.75, "third quartile"))):
        yield _line(f"follow-up, {name}, years", f"follow_up_{k}", quantile(cohort["follow_up_years"], share))


def score_lines(cohort: Cohort) -> Iterator[Line]:
    """Yield the calcium scores of patients with and without MACE."""
    mace = cohort["mace"] > 0
    for name, key, has in (("with MACE", "with", mace), ("without", "without", ~mace)):
        scores = cohort["ideal_agatston"][has]
        yield _line(f"median score {name}", f"median_{key}", quantile(scores, 0.5))
        yield _share_line(f"score above 400 {name}, %", f"high_{key}", scores > HIGHEST_CUT, scale=100.0)


def table_1_lines(cohort: Cohort) -> Iterator[Line]:
    """Yield the rows of Table 1 that we know: mean ages by category, and sums over the categories."""
    for k, (name, printed) in enumerate(zip(LEVELS, AGES_YEARS, strict=True)):
        age = cohort["age_years"][cohort["category"] == k]
        half = float(stats.t.ppf(0.975, len(age) - 1) * age.std(ddof=1) / np.sqrt(len(age)))
        yield Line(f"mean age, calcium {name}, years", printed, age.mean(), age.mean() - half, age.mean() + half, 1)
    for name, (column, printed) in COUNTS.items():
        found = _share(cohort[column] > 0, scale=len(cohort))
        yield Line(f"{name}, patients", printed, *found, digits=0)


def table_2_lines(cohort: Cohort, *, category: str = "category", is_adjusted: bool) -> Iterator[Line]:
    """Yield hazard ratios of calcium alone, or of all that Table 2 holds."""
    classes = [cohort[category] == k for k in (1, 2, 3)]
    kind = "adjusted" if is_adjusted else "unadjusted"
    printed = {f"calcium {LEVELS[k]}": PRINTED[f"{kind}_{k}"].value for k in (1, 2, 3)}
    covariates = np.column_stack(classes).astype(np.float64)
    if is_adjusted:
        printed |= {number.what: number.value for number in covariate_numbers()}
        tpd = [cohort["stress_tpd_class"] == k for k in (1, 2, 3)]
        names = ("is_male", "bmi_kg_m2", "hypertension", "diabetes", "dyslipidaemia", "family_history", "smoking")
        factors = [cohort["age_years"] / 10, *(cohort[name] for name in names)]
        others = [*tpd, cohort["rest_tpd_percent"], cohort["lvef_percent"]]
        covariates = np.column_stack([*classes, *factors, *others]).astype(np.float64)
    fit = cohort.fit(covariates)
    for (name, ratio), log_hr, error in zip(printed.items(), fit.log_hr, fit.standard_error, strict=True):
        low, high = log_hr - 1.96 * error, log_hr + 1.96 * error
        yield Line(name, ratio, *(float(np.exp(v)) for v in (log_hr, low, high)))


def _line(what: str, key: str, found: Estimate) -> Line:
    printed = PRINTED[key]
    return Line(what, printed.value, *_limits(found), digits=printed.digits)


def _share_line(what: str, key: str, chosen: NDArray[np.bool_], *, scale: float) -> Line:
    return Line(what, PRINTED[key].value, *_share(chosen, scale=scale), digits=PRINTED[key].digits)


def _share(chosen: NDArray[np.bool_], *, scale: float) -> tuple[float, float, float]:
    estimate, low, high = _limits(wilson_proportion(int(chosen.sum()), len(chosen)))
    return estimate * scale, low * scale, high * scale


def _limits(found: Estimate) -> tuple[float, float, float]:
    """Return estimate, lower and upper limit, 0 where there is none."""
    return found.estimate or 0.0, found.low or 0.0, found.high or 0.0


def p_lines(cohort: Cohort) -> Iterator[str]:
    """Yield for each risk factor whether it differs between the categories, as Markdown rows."""
    for name, (column, _) in COUNTS.items():
        counts = confusion_matrix(cohort["category"], 3 * cohort[column], n_categories=4)[:, [0, 3]]
        p = float(stats.chi2_contingency(counts).pvalue)
        is_recovered = p < 0.001 if name in DIFFERS_BY_CATEGORY else p > 0.05
        printed = "< 0.001" if name in DIFFERS_BY_CATEGORY else "not significant"
        said = "< 0.001" if p < 0.001 else f"{p:.3f}"
        yield f"| {name} | {printed} | {said} | {'yes' if is_recovered else '**no**'} |"


def reader_rows(cohort: Cohort) -> Iterator[str]:
    """Yield the agreement of simulated readers beside what is published, as Markdown rows."""
    pairs = [
        ("two experts, attenuation CT, five categories: kappa", "0.85", "expert_1", "expert_2", FIVE_LIMITS),
        ("two experts, gated scan, five categories: kappa", "0.92", "gated", "gated_2", FIVE_LIMITS),
        ("attenuation CT and gated scan, first expert: kappa", "0.75 (0.69-0.81)", "expert_1", "gated", FIVE_LIMITS),
        ("attenuation CT and gated scan, second expert: kappa", "0.80 (0.75-0.85)", "expert_2", "gated", FIVE_LIMITS),
        ("network (stand-in) and expert, four categories: kappa", "0.80", "dl_like", "expert_1", FOUR_LIMITS),
    ]
    for what, printed, one, two, limits in pairs:
        yield f"| {what} | {printed} | {_said(_kappa(cohort, one, two, limits))} |"
    network, expert = cohort["dl_like_agatston"], cohort["expert_1_agatston"]
    yield f"| network (stand-in) and expert: r2 | 0.693 | {_said(r_squared(expert, network))} |"
    has = [cohort[f"{name}_category"] > 0 for name in ("dl_like", "visual")]
    found = wilson_proportion(int((has[0] != has[1]).sum()), len(cohort))
    yield f"| calcium or none: stand-in against visual reading, % | about 10 | {_said(found, scale=100, digits=1)} |"
    gated, ungated = cohort["gated_agatston"], cohort["expert_1_agatston"]
    yield f"| ungated over gated score, sums | 0.89 | {ungated.sum() / gated.sum():.2f} |"
    yield f"| ungated and gated score: r | 0.98 | {np.corrcoef(gated, ungated)[0, 1]:.2f} |"
    before, after = levels_of(gated, FOUR_LIMITS), levels_of(ungated, FOUR_LIMITS)
    moved = before != after
    yield f"| gated to ungated: another category, % | 38 | {100 * moved.mean():.0f} |"
    yield f"| of these, downwards, % | 78 | {100 * (after < before)[moved].mean():.0f} |"


def _kappa(cohort: Cohort, one: str, two: str, limits: Sequence[float]) -> Estimate:
    first, second = (levels_of(cohort[f"{name}_agatston"], limits) for name in (one, two))
    matrix = confusion_matrix(first, second, n_categories=len(limits) + 1)
    return weighted_kappa(matrix, Weighting.LINEAR)


def _said(found: Estimate, *, scale: float = 1.0, digits: int = 3) -> str:
    estimate, low, high = (f"{scale * each:.{digits}f}" for each in _limits(found))
    return f"{estimate} ({low} to {high})"


def reader_share_rows(cohort: Cohort) -> Iterator[str]:
    """Yield the category shares and hazard ratios that each reader's scores give, as Markdown rows."""
    for name in ("category", *(f"{reader}_category" for reader in READER_NAMES)):
        shares = 100 * np.bincount(cohort[name].astype(int), minlength=4) / len(cohort)
        ratios = [line.estimate for line in table_2_lines(cohort, category=name, is_adjusted=False)]
        who = "planted truth" if name == "category" else name.removesuffix("_category")
        cells = [*(f"{share:.1f}" for share in shares), *(f"{ratio:.2f}" for ratio in ratios)]
        yield f"| {who} | " + " | ".join(cells) + " |"


def sweep_rows(seeds: Sequence[int], n: int) -> Iterator[str]:
    """Yield how often each printed number lies inside the interval, over cohorts of other seeds, as Markdown rows."""
    groups: dict[str, Callable[[Cohort], Iterator[Line]]] = {
        "category shares": share_lines, "events and follow-up": event_lines, "Table 1": table_1_lines,
        "Table 2, unadjusted": partial(table_2_lines, is_adjusted=False),
        "Table 2, adjusted": partial(table_2_lines, is_adjusted=True),
    }  # fmt: skip
    cohorts = [draw_cohort(seed, n) for seed in seeds]
    for name, lines in groups.items():
        inside = [{line.what: line.is_inside for line in lines(cohort)} for cohort in cohorts]
        rates = {what: float(np.mean([found[what] for found in inside])) for what in inside[0]}
        worst = min(rates, key=lambda what: rates[what])
        complete = sum(all(found.values()) for found in inside)
        yield (f"| {name} | {len(rates)} | {100 * np.mean(list(rates.values())):.1f} | {worst}: "
               f"{round(rates[worst] * len(seeds))} of {len(seeds)} | {complete} of {len(seeds)} |")  # fmt: skip
    events = [int(cohort["mace"].sum()) for cohort in cohorts]
    off = max(float(np.abs(line.estimate - line.printed)) for cohort in cohorts for line in share_lines(cohort))
    wanted = round(PRINTED["events"].value)
    said = f"Events: mean {np.mean(events):.0f}, {min(events)} to {max(events)} (wanted {wanted} +- {EVENT_TOLERANCE})."
    yield f"\n{said} Shares: at most {off:.1f} points off (wanted: {SHARE_TOLERANCE_POINTS:.0f})."


def sections_of(cohort: Cohort, *, sweep: Sequence[int]) -> dict[str, str]:
    """Return the page's sections by name, as Markdown."""
    head = "| | printed | simulated (95 % interval) | inside? |\n|---|---|---|---|\n"
    adjusted, unadjusted = (list(table_2_lines(cohort, is_adjusted=flag)) for flag in (True, False))

    def table(lines: Iterator[Line] | list[Line]) -> str:
        return head + "\n".join(line.cells() for line in lines)

    return {
        "COHORT": table([*share_lines(cohort), *event_lines(cohort), *score_lines(cohort)]),
        "TABLE1": table(table_1_lines(cohort)) + "\n\n| by category | printed p | simulated p | same? |\n"
        "|---|---|---|---|\n" + "\n".join(p_lines(cohort)),
        "TABLE2": "Unadjusted hazard ratios:\n\n" + table(unadjusted) + "\n\nAdjusted:\n\n" + table(adjusted),
        "READERS": "| | published | simulated (95 % interval) |\n|---|---|---|\n" + "\n".join(reader_rows(cohort)),
        "SEEN": "| categories by | 0, % | 1-100 | 101-400 | >400 | HR 1-100 | HR 101-400 | HR >400 |\n"
        + "|---" * 8 + "|\n" + "\n".join(reader_share_rows(cohort)),
        "SWEEP": "| numbers | how many | inside, % | seldomest inside | cohorts with all inside |\n"
        + "|---" * 5 + "|\n" + "\n".join(sweep_rows(sweep, len(cohort))),
    }  # fmt: skip


def main() -> None:
    """Make the cohort and the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "build" / "cohort")
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sweep", type=int, default=20)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    if not (options.out / TABLE_FILE).exists():
        options.out.mkdir(parents=True, exist_ok=True)
        order = SimulationOrder(patients=options.patients, site="external", seed=options.seed)
        for done in write_cohort_table(order, options.out):
            print(f"\r{done} of {options.patients} patients", end="", file=sys.stderr, flush=True)
    cohort = read_cohort(options.out / TABLE_FILE)
    first = options.seed + 1
    sections = sections_of(cohort, sweep=range(first, first + options.sweep))
    for name, body in sections.items():
        print(f"\n{name}\n\n{body}")
    if options.docs:
        write_sections(options.docs / "explanation" / "simulated-cohort.md", sections)


if __name__ == "__main__":
    main()
