"""What a cohort folder was asked to hold, so that another order never mixes into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from calcmap import __version__
from calcmap.core.errors import ConfigError, OutputError

ORDER_FILE = "cohort.json"
SIMULATION_VERSION = 2
"""Raised whenever the same seed gives other bytes: a cohort begun with one simulator is not finished by another."""

OrderValue = str | int | float | bool | None | list[str]


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
