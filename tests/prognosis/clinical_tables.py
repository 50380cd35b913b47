"""Public clinical tables behind the check values, and where they come from.

``aml`` is small enough to be written down (Miller, Survival Analysis, 1981). ``whas500`` and ``rossi`` lie in
../shared. ``lung``, ``veteran``, ``pbc``, ``colon`` and ``mgus2`` come from R's ``survival``, the aneurysm patients
from ``pROC``, read from an installed R (Debian: ``r-cran-survival``, ``r-cran-proc``); their licences keep them out of
this project.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray

from calcmap.prognosis.followup import FollowUp, follow_up

Columns = dict[str, NDArray[np.str_]]

AML = {
    "Maintained": "9 13 13+ 18 23 28+ 31 34 45+ 48 161+",
    "Nonmaintained": "5 5 8 8 12 16+ 23 27 30 33 43 45",
}
"""Weeks of remission; + is censored."""


def aml() -> tuple[FollowUp, NDArray[np.str_]]:
    """Return the leukaemia trial and its arms."""
    cells = [(arm, cell) for arm, line in AML.items() for cell in line.split()]
    table = follow_up([float(cell.rstrip("+")) for _, cell in cells], ["+" not in cell for _, cell in cells])
    return table, np.array([arm for arm, _ in cells])


def read_columns(path: Path) -> Columns:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


IN_R = {"survival": ("lung", "veteran", "pbc", "colon", "mgus2"), "pROC": ("aSAH",)}

READ_IN_R = """
for (line in commandArgs(TRUE)) {
  word <- strsplit(line, " ")[[1]]; store <- file.path(system.file("data", package = word[1]), "Rdata")
  if (!file.exists(paste0(store, ".rdb"))) next
  lazyLoad(store, envir = (e <- new.env()))
  for (name in word[-(1:2)]) write.csv(get(name, e), file.path(word[2], paste0(name, ".csv")), row.names = FALSE)
}
"""
"""Takes the tables out of the packages' stores without loading the packages, which would take seconds."""


@cache
def _tables_of_r() -> dict[str, Columns]:
    with TemporaryDirectory() as folder:
        wanted = [" ".join([package, folder, *names]) for package, names in IN_R.items()]
        command = ["Rscript", "--vanilla", "-e", READ_IN_R, "--args", *wanted]
        subprocess.run(command, capture_output=True, text=True, check=True)
        return {path.stem: read_columns(path) for path in Path(folder).glob("*.csv")}


def from_r(name: str) -> Columns:
    """Return a table of an R package as text columns, or skip: R is not part of the project."""
    if shutil.which("Rscript") is None:
        pytest.skip(f"R ABSENT: no Rscript, the check on the table {name} did not run")
    if name not in (tables := _tables_of_r()):
        package = next(package for package, names in IN_R.items() if name in names)
        pytest.skip(f"R PACKAGE ABSENT: {package}, the check on its table {name} did not run")
    return tables[name]


def table_of(columns: Columns, *names: str, time: str = "time", event: NDArray[np.bool_]) -> FollowUp:
    """Return the complete rows of the named covariates."""
    complete = np.all([columns[name] != "NA" for name in names], axis=0) if names else np.ones(len(event), dtype=bool)
    return follow_up(
        columns[time][complete].astype(float),
        event[complete],
        covariates={name: columns[name][complete].astype(float) for name in names},
    )


def lung(*names: str) -> FollowUp:
    columns = from_r("lung")
    return table_of(columns, *names, event=columns["status"] == "2")


def veteran(*names: str) -> FollowUp:
    columns = from_r("veteran")
    return table_of(columns, *names, event=columns["status"] == "1")


def pbc() -> FollowUp:
    """Return the five-covariate model of R's manual: age, edema, and logarithms of bili, protime and albumin."""
    columns = from_r("pbc")
    known = columns["protime"] != "NA"
    values = {name: columns[name][known].astype(float) for name in ("age", "edema", "bili", "protime", "albumin")}
    covariates = {name: v if name in ("age", "edema") else np.log(v) for name, v in values.items()}
    return follow_up(columns["time"][known].astype(float), columns["status"][known] == "2", covariates=covariates)


ROSSI = ("fin", "age", "race", "wexp", "mar", "paro", "prio")
WHAS = ("afb", "age", "av3", "bmi", "chf", "cvd", "diasbp", "gender", "hr", "los", "miord", "mitype", "sho", "sysbp")


def rossi(shared: Path) -> FollowUp:
    columns = read_columns(shared / "statistics" / "rossi.csv")
    return table_of(columns, *ROSSI, time="week", event=columns["arrest"] == "1")


def whas500(shared: Path, *names: str) -> FollowUp:
    columns = read_columns(shared / "statistics" / "whas500.csv")
    return table_of(columns, *(names or WHAS), event=columns["event"] == "1")


def whas500_age_groups(table: FollowUp) -> NDArray[np.int64]:
    """Return 0 below 60 years, 1 below 70, 2 below 80, 3 from there on."""
    return np.digitize(table.columns(["age"])[:, 0], [60, 70, 80])
