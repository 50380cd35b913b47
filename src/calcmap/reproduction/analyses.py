"""Agreement and prognosis of a scored table, with the settings that come with the room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TypeVar

from calcmap.core.config import load_config
from calcmap.evaluation.study import (
    REFERENCE,
    TEST,
    VISUAL,
    AgreementSettings,
    Readings,
    read_columns,
)
from calcmap.io.tables import read_table, table_column
from calcmap.prognosis.assessment import assess_prognosis
from calcmap.prognosis.config import PrognosisSettings
from calcmap.prognosis.study import PrognosisStudy

COLUMNS = {REFERENCE: "expert_1_agatston", TEST: "network_agatston", VISUAL: "visual_category"}
"""What the agreement compares: the paper's expert, its network, its visual reading."""
SettingsT = TypeVar("SettingsT", AgreementSettings, PrognosisSettings)
Advance = Callable[[int], object]


@dataclass(frozen=True)
class RoomSettings:
    """Of both analyses."""

    agreement: AgreementSettings
    prognosis: PrognosisSettings


def room_settings(*, draws: int, workers: int) -> RoomSettings:
    """Return the settings that come with the room, for so many bootstrap draws and processes."""
    agreement = _settings("agreement.toml", AgreementSettings)
    prognosis = _settings("prognosis.toml", PrognosisSettings)
    return RoomSettings(
        replace(agreement, draws=draws, workers=workers),
        replace(prognosis, bootstrap=replace(prognosis.bootstrap, draws=draws, workers=workers)),
    )


def read_readings(table: Path, settings: AgreementSettings) -> Readings:
    """Return what expert, network and visual reading say of every scored patient of a table.

    Raises
    ------
    InputError
        Fewer than two patients were scored, or the table is not one that `write_scored_table` wrote.
    """
    frame = read_table(table)
    cells = {part: table_column(frame, name).tolist() for part, name in COLUMNS.items()}
    ids = table_column(frame, settings.id or "id").tolist()
    return read_columns(cells, columns={**COLUMNS, "id": settings.id or "id"}, settings=settings, ids=ids)


def assess_table(table: Path, settings: PrognosisSettings, *, advance: Advance) -> PrognosisStudy:
    """Return the prognosis of a scored table; ``advance`` hears of finished bootstrap draws.

    Raises
    ------
    InputError
        The table cannot be analysed, such as when nobody has the event.
    """
    frame = read_table(table)
    cells = {name: table_column(frame, name).tolist() for name in settings.columns}
    return assess_prognosis(cells, settings, advance=advance)


def _settings(name: str, kind: type[SettingsT]) -> SettingsT:
    with resources.as_file(resources.files("calcmap.reproduction") / "settings" / name) as path:
        return load_config(path, kind)
