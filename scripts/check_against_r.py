"""Lay R's ``survival`` and ``cmprsk`` and this package side by side on the simulated cohort.

Usage::

    python scripts/check_against_r.py [-o build/cohort] [--patients 2271] [--seed 1] [--all]

Makes the cohort's table (one that lies in OUT is kept), fits the same models with both, and prints for each quantity
how many numbers it has and the largest difference, relative to R's; with ``--all`` every number. Exit 0 when all agree
to six digits, 1 when one does not. Without R (Debian: ``r-base-core r-cran-survival r-cran-cmprsk``) it says so and
exits 0.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calcmap.cohorts.order import SimulationOrder
from calcmap.cohorts.tables import TABLE_FILE, write_cohort_table
from calcmap.prognosis.cox import Variance, added_value, fit_cox, linear_predictor, predict_risk
from calcmap.prognosis.curves import cumulative_incidence, event_rate, kaplan_meier, log_rank
from calcmap.prognosis.discrimination import harrell_c, uno_c
from calcmap.prognosis.followup import FollowUp, follow_up
from calcmap.prognosis.gray import gray_test
from calcmap.prognosis.partial_likelihood import Ties
from calcmap.prognosis.proportionality import TimeTransform, score_test
from calcmap.prognosis.subdistribution import fit_subdistribution

Floats = NDArray[np.float64]
Values = Iterator[tuple[str, Floats | float | list[float]]]

ROOT = Path(__file__).resolve().parent.parent
PAPER_PATIENTS = 2271
SIX_DIGITS = 5e-7
"""Largest difference, relative to R's number, that counts as equal."""
CENTRES = 20
"""The cohort has one centre; patients are dealt to so many, to have strata and clusters."""
YEARS = [1.0, 2.0, 3.0, 4.0]
HORIZON_YEARS = 3.0
COVARIATES = ("age_years", "bmi_kg_m2", "hypertension", "diabetes", "dyslipidaemia", "family_history", "smoking",
              "stress_tpd_percent", "rest_tpd_percent", "lvef_percent")  # fmt: skip


def columns_of(path: Path) -> dict[str, Floats]:
    """Return what is compared: outcome, category of the stand-in for the network, covariates, made-up weights."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    event = np.array([float(row["mace"]) for row in rows])
    is_death = np.array([row["mace_kind"] == "death" for row in rows])
    number = np.arange(len(rows))
    columns = {
        "time": np.array([float(row["mace_years"]) for row in rows]), "event": event,
        "cause": np.where(event > 0, np.where(is_death, 2.0, 1.0), 0.0),
        "group": np.array([float(row["dl_like_category"]) for row in rows]),
        "centre": (number % CENTRES).astype(float), "sex": np.array([float(row["sex"] == "M") for row in rows]),
        "weight": 0.5 + (number % 7) / 4,
    }  # fmt: skip
    columns["x_male"] = columns["sex"]
    return columns | {f"x_{name}": np.array([float(row[name]) for row in rows]) for name in COVARIATES}


def table_of(columns: dict[str, Floats], **extra: Floats) -> FollowUp:
    """Return the follow-up with categories 1-3 and the covariates."""
    groups = {f"group {k}": columns["group"] == k for k in (1, 2, 3)}
    covariates = groups | {name: values for name, values in columns.items() if name.startswith("x_")}
    return follow_up(columns["time"], columns["event"], covariates=covariates, **extra)


def our_models(columns: dict[str, Floats]) -> Values:
    """Yield what the Cox models say, under the names of the R script."""
    table = table_of(columns)
    groups, others = table.names[:3], table.names[3:]
    crude, full, breslow = fit_cox(table, groups), fit_cox(table), fit_cox(table, ties=Ties.BRESLOW)
    yield "crude log HR", crude.log_hr
    yield "crude SE", crude.standard_error
    yield "crude log likelihood", [crude.log_likelihood_null, crude.log_likelihood]
    yield "crude score test", crude.score.statistic
    yield "adjusted log HR", full.log_hr
    yield "adjusted SE", full.standard_error
    yield "adjusted Wald test", full.wald.statistic
    yield "LR of categories added", added_value(fit_cox(table, others), full).statistic
    yield "AIC", full.aic
    yield "Breslow log HR", breslow.log_hr
    yield "robust SE", fit_cox(table, variance=Variance.ROBUST).standard_error
    clustered = table_of(columns, cluster=columns["centre"])
    yield "clustered SE", fit_cox(clustered, variance=Variance.CLUSTERED).standard_error
    stratified = fit_cox(table_of(columns, stratum=columns["centre"]))
    yield "stratified log HR", stratified.log_hr
    yield "stratified SE", stratified.standard_error
    yield "weighted log HR", fit_cox(table_of(columns, weight=columns["weight"])).log_hr
    for how in ("km", "rank", "identity", "log"):
        test = score_test(full, table, transform=TimeTransform(how))
        yield f"score test of proportionality, {how}", test.overall.statistic
    yield "risk at 3 years", predict_risk(full, table, at=HORIZON_YEARS)[:5]
    yield "risk at 3 years, Breslow", predict_risk(breslow, table, at=HORIZON_YEARS)[:5]
    yield from _concordances(table, columns["group"], linear_predictor(full, table))


def _concordances(table: FollowUp, group: Floats, risk: Floats) -> Values:
    found = {
        "Harrell's C, categories": harrell_c(table, group),
        "Harrell's C, adjusted": harrell_c(table, risk),
        "Uno's C to 4 years": uno_c(table, risk, tau=YEARS[-1]),
    }
    for (name, c), error in zip(found.items(), ("categories", "adjusted", "to 4 years"), strict=True):
        yield name, c.estimate or 0.0
        yield f"its SE{' ' if error.startswith('to') else ', '}{error}", c.standard_error or 0.0


def our_curves(columns: dict[str, Floats]) -> Values:
    """Yield what the curves and their tests say, under the names of the R script."""
    table, group = table_of(columns), columns["group"]
    yield "log-rank", log_rank(table, group).statistic
    yield "log-rank, stratified by sex", log_rank(table_of(columns, stratum=columns["sex"]), group).statistic
    for k in range(4):
        curve = kaplan_meier(table.rows(group == k))
        points, places = curve.at(YEARS), np.searchsorted(curve.time, YEARS, side="right") - 1
        yield f"Kaplan-Meier of category {k}", [point.estimate or 0.0 for point in points]
        yield f"its SE of category {k}", curve.standard_error[places]
        yield f"its lower limit of category {k}", [point.low or 0.0 for point in points]
    competing = (columns["cause"] == 2).astype(float)
    causes = follow_up(columns["time"], columns["cause"] == 1, competing=competing)
    curve = cumulative_incidence(causes)
    yield "incidence of what is not fatal", [point.estimate or 0.0 for point in curve.at(YEARS)]
    yield "its SE", curve.standard_error[np.searchsorted(curve.time, YEARS, side="right") - 1]
    death = cumulative_incidence(causes, cause=1).at(YEARS)
    yield "incidence of death", [point.estimate or 0.0 for point in death]
    yield "rate, exact lower limit", event_rate(table).low or 0.0


def our_competing_risks(columns: dict[str, Floats]) -> Values:
    """Yield Gray's tests and the models of Fine and Gray, named as in the R script; half years have ties."""
    for kind, time in (("", columns["time"]), (", tied", np.ceil(2 * columns["time"]) / 2)):
        whole = table_of(columns | {"time": time})
        death = (columns["cause"] == 2).astype(np.int64)
        causes = replace(whole, is_event=columns["cause"] == 1, competing=death)
        yield f"Gray's test{kind}", gray_test(causes, columns["group"]).statistic
        deaths = replace(whole, is_event=death > 0, competing=(columns["cause"] == 1).astype(np.int64))
        yield f"Gray's test of death{kind}", gray_test(deaths, columns["group"]).statistic
        by_sex = replace(causes, stratum=columns["sex"].astype(np.int64))
        yield f"Gray's test by sex{kind}", gray_test(by_sex, columns["group"]).statistic
        for name, names in (("crude", whole.names[:3]), ("adjusted", whole.names)):
            fit = fit_subdistribution(causes, names)
            yield f"subdistribution, {name} log HR{kind}", fit.log_hr
            yield f"subdistribution, {name} SE{kind}", fit.standard_error


def said_by_r(columns: dict[str, Floats]) -> dict[str, float]:
    """Return R's numbers by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cohort.csv"
        cells = [[repr(float(value)) for value in values] for values in columns.values()]
        lines = [",".join(columns), *(",".join(row) for row in zip(*cells, strict=True))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = ["Rscript", "--vanilla", str(ROOT / "scripts" / "check_against_r.R"), str(path)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(f"R failed: {found.stderr.strip()}")
    return {name: float(value) for name, value in (line.split("\t") for line in found.stdout.splitlines())}


def missing_from_r() -> str | None:
    """Return why R cannot be asked, or nothing."""
    if shutil.which("Rscript") is None:
        return "no Rscript on the path"
    has = ["Rscript", "--vanilla", "-e", 'quit(status = as.integer(system.file(package = "survival") == ""))']
    return "R has no package survival" if subprocess.run(has, check=False, capture_output=True).returncode else None


def cohort_columns(out: Path, *, patients: int, seed: int) -> dict[str, Floats]:
    """Return the columns of the cohort in a folder, which is made when it is not there."""
    if not (out / TABLE_FILE).exists():
        out.mkdir(parents=True, exist_ok=True)
        order = SimulationOrder(patients=patients, site="external", seed=seed)
        for done in write_cohort_table(order, out):
            print(f"\r{done} of {patients} patients", end="", file=sys.stderr, flush=True)
    return columns_of(out / TABLE_FILE)


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "build" / "cohort")
    parser.add_argument("--patients", type=int, default=PAPER_PATIENTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="print every number")
    options = parser.parse_args()
    if reason := missing_from_r():
        print(f"skipped: {reason}, nothing was compared")
        return 0
    columns = cohort_columns(options.out, patients=options.patients, seed=options.seed)
    r, n_wrong, n_seen = said_by_r(columns), 0, 0
    print("| quantity | numbers | R | calcmap | largest difference, relative |\n|---|---|---|---|---|")
    has_competing = "Gray's test" in r
    for name, values in [
        *our_models(columns),
        *our_curves(columns),
        *(our_competing_risks(columns) if has_competing else ()),
    ]:
        ours = np.atleast_1d(np.asarray(values, dtype=np.float64))
        labels = [name] if len(ours) == 1 else [f"{name} {k + 1}" for k in range(len(ours))]
        theirs = np.array([r[label] for label in labels])
        apart = np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-300)
        n_wrong, n_seen = n_wrong + int((apart > SIX_DIGITS).sum()), n_seen + len(ours)
        for k in range(len(ours)) if options.all else [int(apart.argmax())]:
            label, counted = (labels[k], 1) if options.all else (name, len(ours))
            print(f"| {label} | {counted} | {theirs[k]:.8g} | {ours[k]:.8g} | {apart[k]:.1e} |")
    print(f"\n{n_seen - n_wrong} of {n_seen} numbers agree to six digits, {len(columns['time'])} patients, "
          f"{int(columns['event'].sum())} events; R said {len(r)}.")  # fmt: skip
    if not has_competing:
        print("R has no package cmprsk (Debian: r-cran-cmprsk): competing risks were not compared")
    return 1 if n_wrong or n_seen != len(r) else 0


if __name__ == "__main__":
    sys.exit(main())
