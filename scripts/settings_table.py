"""Every key of a training run's settings, with its default and meaning: the tables of docs/reference/training.md.

    python scripts/settings_table.py [--page docs/reference/training.md]

Names and defaults are those of the dataclasses, meanings those of their docstrings. Without a page the tables are
printed. A test holds the page against them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any, get_type_hints

from numpydoc.docscrape import NumpyDocString

from calcmap.networks.calcmap_net import CalcMapNetConfig
from calcmap.training.config import NetworkSettings, TrainConfig
from marked_page import write_sections

SECTION = "SETTINGS"
EXPLAINED_IN = {NetworkSettings: CalcMapNetConfig}
"""Settings whose fields another dataclass explains one by one."""


def main() -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path)
    page = parser.parse_args().page
    if page is None:
        sys.stdout.write(settings_tables() + "\n")
    else:
        write_sections(page, {SECTION: settings_tables()})


def settings_tables() -> str:
    """Return a Markdown table for the settings themselves and one for each TOML table in them."""
    nested = {name: hint for name, hint in get_type_hints(TrainConfig).items() if is_dataclass(hint)}
    parts = ["\n".join(_table(TrainConfig, without=set(nested)))]
    for name, settings in nested.items():
        parts.append("\n".join([f"### `[{name}]`", "", *_table(settings, without=set())]))
    return "\n\n".join(parts)


def _table(settings: type, *, without: set[str]) -> list[str]:
    meanings = _meanings(settings) | _meanings(EXPLAINED_IN.get(settings))
    shown = [each for each in fields(settings) if each.name not in without]
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for meaning, together in groupby(shown, key=lambda each: meanings[each.name]):
        named = list(together)
        names, defaults = ", ".join(f"`{each.name}`" for each in named), ", ".join(map(_default, named))
        lines.append(f"| {names} | {defaults} | {meaning} |")
    return lines


def _meanings(settings: type | None) -> dict[str, str]:
    """Return the sentence of each parameter; parameters explained together share theirs, and a row."""
    if settings is None:
        return {}
    documented = NumpyDocString(settings.__doc__ or "")["Parameters"]
    return {
        name: " ".join(" ".join(parameter.desc).split()).replace("``", "`").replace("|", "\\|")
        for parameter in documented
        for name in parameter.name.split(", ")
    }


def _default(each: Field[Any]) -> str:
    if each.default is MISSING and each.default_factory is MISSING:
        return "none: must be given"
    value = each.default_factory() if each.default_factory is not MISSING else each.default
    if value is None:
        return "none"
    if isinstance(value, Enum):
        others = [f'`"{other.value}"`' for other in type(value) if other is not value]
        return f'`"{value.value}"`; or {", ".join(others)}'
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    main()
