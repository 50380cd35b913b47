"""What a cohort folder was asked to hold, so that another order never mixes into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from calcmap import __version__
from calcmap.core.errors import ConfigError, OutputError
from calcmap.simulation.patient import Recipe
from calcmap.simulation.scanner.sites import SITES

ORDER_FILE = "cohort.json"
SIMULATION_VERSION = 3
"""Raised whenever the same seed gives other bytes: a cohort begun with one simulator is not finished by another."""

OrderValue = str | int | float | bool | None | list[str]


@dataclass(frozen=True)
class SimulationOrder:
    """A simulated cohort: how many, where, from which seed, and in which form.

    Parameters
    ----------
    patients : int
        How many.
    site : str
        A name of `calcmap.simulation.scanner.sites.SITES`.
    seed : int
        Of the cohort.
    as_dicom : bool
        Write DICOM studies with the truth beside them, not labelled cases.
    recipe : Recipe or None
        What to draw, when not as nature does.

    Raises
    ------
    ConfigError
        No patients, or an unknown site.
    """

    patients: int
    site: str
    seed: int
    as_dicom: bool = False
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if self.patients < 1:
            raise ConfigError(f"{self.patients} patients asked for, expected at least 1")
        if self.site not in SITES:
            raise ConfigError(f"unknown site {self.site!r}, expected one of {', '.join(sorted(SITES))}")

    @property
    def draws_from_population(self) -> bool:
        """Whether patients are those of the site's population; a recipe that shifts categories makes its own."""
        recipe = self.recipe or Recipe()
        return recipe.category is None and recipe.category_shares == Recipe().category_shares

    def name_of(self, number: int) -> str:
        """Return the name of a patient: of the folder, of the row and of the person in the DICOM headers."""
        return f"{self.site}-{self.seed}-{number:05d}"


def open_cohort(out: Path, order: Mapping[str, OrderValue]) -> None:
    """Record a cohort's order in its folder, or make sure that the folder was made for the same order.

    How many patients are wanted is no part of an order: a cohort may grow.

    Parameters
    ----------
    out : Path
        Cohort folder; made if absent.
    order : mapping of str to plain values
        Everything that decides the bytes of a patient: kind, site, seed, form.

    Raises
    ------
    ConfigError
        The folder holds a cohort of another order, or something that is no cohort's record.
    OutputError
        The folder cannot be written.
    """
    wanted: dict[str, OrderValue] = {"simulation_version": SIMULATION_VERSION, **order}
    path = out / ORDER_FILE
    if path.exists():
        _require_same(wanted, path)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({**wanted, "calcmap_version": __version__}, indent=1) + "\n", encoding="utf-8")
        part.rename(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _require_same(wanted: Mapping[str, OrderValue], path: Path) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = sorted(key for key, value in wanted.items() if found.get(key) != value)
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} is no record of a cohort; choose another folder") from error
    if differing:
        said = "; ".join(f"{key} is {found.get(key)!r} there, {wanted[key]!r} here" for key in differing)
        raise ConfigError(f"{path.parent} holds another cohort ({said}); choose another folder")
