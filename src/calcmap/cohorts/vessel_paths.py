"""Vessel centre lines from files that people draw them into: JSON, CSV, or 3D Slicer's fiducial lists."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from calcmap.core.errors import ConfigError, InputError
from calcmap.simulation.planting.tracing import PATH_NAMES, VesselPath

DEFAULT_RADIUS_MM = 1.7
"""Radius where a file gives none: about the mean of the main branches (Dodge 1992, FACTS 8.4)."""
_COLUMNS = ("name", "x", "y", "z")
_ALIASES = {
    "d1": "diagonal",
    "d2": "diagonal",
    "om": "marginal",
    "om1": "marginal",
    "cx": "LCx",
    "rpda": "PDA",
    "lmca": "LM",
    "aorta": "descending_aorta",
}
_FCSV_COLUMNS = ["id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "associatedNodeID"]
_Point = tuple[float, float, float, float]


def read_vessel_paths(path: Path) -> tuple[VesselPath, ...]:
    """Return the centre lines of a file.

    Parameters
    ----------
    path : Path
        ``.json``: ``{"branches": [{"name": "LAD", "points_lps_mm": [[x, y, z], ...], "radius_mm": 1.7}, ...]}`` with
        one radius or one per point. ``.csv``: columns ``name, x, y, z`` and, if known, ``radius`` (LPS, mm), a row per
        point. ``.fcsv``: labels ``LAD-1``, ``LAD-2``, ...; its coordinate system is taken from its header.

    Returns
    -------
    tuple of VesselPath
        In the order of the file. Names are matched without regard to case.

    Raises
    ------
    InputError
        The file cannot be read, or is no such table.
    ConfigError
        A vessel is unknown or named twice, or has fewer than two points.
    """
    readers = {".json": _from_json, ".csv": _from_csv, ".fcsv": _from_fcsv}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path.name} is no vessel path file, expected .json, .csv or .fcsv")
    try:
        points = readers[path.suffix.lower()](path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path.name} is no table of vessel points: {error!r}") from error
    if not points:
        raise InputError(f"{path.name} holds no vessel point")
    return tuple(
        VesselPath(name, np.array([p[:3] for p in line]), np.array([p[3] for p in line]))
        for name, line in points.items()
    )


def _from_json(text: str) -> dict[str, list[_Point]]:
    points: dict[str, list[_Point]] = {}
    for branch in json.loads(text)["branches"]:
        name, line = _canonical(branch["name"]), branch["points_lps_mm"]
        if name in points:
            raise ConfigError(f"vessel {name} is named twice")
        radius_mm = np.broadcast_to(np.asarray(_or_default(branch.get("radius_mm")), dtype=np.float64), len(line))
        points[name] = [(float(x), float(y), float(z), float(r)) for (x, y, z), r in zip(line, radius_mm, strict=True)]
    return points


def _from_csv(text: str) -> dict[str, list[_Point]]:
    rows = list(csv.DictReader(text.splitlines()))
    if rows and not set(_COLUMNS) <= set(rows[0]):
        raise ValueError(f"columns {', '.join(rows[0])}, expected {', '.join(_COLUMNS)}")
    return _grouped(
        (
            row["name"],
            (
                float(row["x"]),
                float(row["y"]),
                float(row["z"]),
                float(_or_default(row.get("radius") or row.get("radius_mm"))),
            ),
        )
        for row in rows
    )


def _from_fcsv(text: str) -> dict[str, list[_Point]]:
    lines = text.splitlines()
    header = next((line for line in lines if "coordinatesystem" in line.lower()), "= RAS")
    # Slicer wrote 0 for RAS and 1 for LPS before it wrote the words.
    sign = 1.0 if header.split("=")[1].strip().upper() in ("LPS", "1") else -1.0
    columns = next((line for line in lines if line.lower().replace(" ", "").startswith("#columns=")), "")
    order = columns.split("=")[1].strip().split(",") if columns else _FCSV_COLUMNS
    rows = [dict(zip(order, row, strict=False)) for row in csv.reader(ln for ln in lines if ln and ln[0] != "#")]
    return _grouped(
        (
            re.sub(r"[-_ ]\d+$", "", row["label"]),
            (sign * float(row["x"]), sign * float(row["y"]), float(row["z"]), DEFAULT_RADIUS_MM),
        )
        for row in rows
    )


def _grouped(named: Iterable[tuple[str, _Point]]) -> dict[str, list[_Point]]:
    points: dict[str, list[_Point]] = {}
    for name, point in named:
        points.setdefault(_canonical(name), []).append(point)
    return points


def _canonical(name: str) -> str:
    """Return a vessel's name as `PATH_NAMES` spells it; a name unknown there as it stands."""
    word = name.strip().lower().replace(" ", "_")
    spelt = {known.lower(): known for known in PATH_NAMES}
    return spelt.get(word) or _ALIASES.get(word) or name.strip()


def _or_default(value: Any) -> Any:
    return DEFAULT_RADIUS_MM if value in (None, "") else value
