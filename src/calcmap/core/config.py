"""Settings from TOML into frozen dataclasses, every complaint at once."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar, Union

from calcmap.core.errors import ConfigError

ConfigT = TypeVar("ConfigT")


def load_config(path: Path, config_type: type[ConfigT]) -> ConfigT:
    """Return ``config_type`` filled from a TOML file; keys that the file leaves out keep their defaults.

    Parameters
    ----------
    path : Path
        A TOML file.
    config_type : type
        A frozen dataclass; its fields may be dataclasses (TOML tables), numbers, strings, booleans, paths and tuples.

    Returns
    -------
    ConfigT
        The settings, checked by the dataclass itself.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, has unknown keys, lacks required ones, holds values of the wrong type, or the
        dataclass refuses the combination. All complaints are listed together, unknown keys with the nearest known one.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return config_from_dict(table, config_type, where=str(path))


def config_from_dict(table: dict[str, Any], config_type: type[ConfigT], *, where: str) -> ConfigT:
    """Return ``config_type`` filled from nested dicts, as `load_config` does; ``where`` opens every message."""
    complaints: list[str] = []
    config = _build(table, config_type, prefix="", complaints=complaints)
    if complaints or config is None:
        raise ConfigError(f"{where}: " + "; ".join(complaints))
    return config


def config_to_dict(config: object) -> dict[str, Any]:
    """Return a dataclass as nested JSON-ready dicts (paths as strings, tuples as lists)."""
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=str))  # type: ignore[call-overload]
    return fields


def config_sha256(config: object) -> str:
    """Return the SHA-256 of a configuration's canonical JSON."""
    return hashlib.sha256(json.dumps(config_to_dict(config), sort_keys=True).encode()).hexdigest()


def _build(table: dict[str, Any], config_type: type[ConfigT], *, prefix: str, complaints: list[str]) -> ConfigT | None:
    hints = typing.get_type_hints(config_type)
    fields = {field.name: field for field in dataclasses.fields(config_type)}  # type: ignore[arg-type]
    n_before = len(complaints)
    unknown = [_unknown_key(str(key), list(fields), prefix) for key in table if key not in fields]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _convert(table[name], hints[name], name=prefix + name, complaints=complaints)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            complaints.append(f"missing key {prefix}{name}")
    is_whole = len(complaints) == n_before
    complaints[n_before:n_before] = unknown
    try:
        return config_type(**values) if is_whole else None
    except (ConfigError, ValueError) as error:
        complaints.append(str(error))
        return None


def _unknown_key(key: str, known: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"unknown key {prefix}{key}" + (f" (did you mean {prefix}{near[0]}?)" if near else "")


def _convert(value: Any, hint: Any, *, name: str, complaints: list[str]) -> Any:  # noqa: PLR0911 - one return a type
    """Return a TOML value as the annotated type, or note a complaint."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(value, typing.cast("type[Any]", hint), prefix=f"{name}.", complaints=complaints)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        return _convert(value, inner[0], name=name, complaints=complaints)
    if origin is tuple and isinstance(value, list):
        each = arguments[0]
        return tuple(_convert(item, each, name=f"{name}[{i}]", complaints=complaints) for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        each = arguments[1]
        return {key: _convert(item, each, name=f"{name}.{key}", complaints=complaints) for key, item in value.items()}
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    if isinstance(hint, type) and issubclass(hint, str) and isinstance(value, str):
        return _enum(value, hint, name=name, complaints=complaints)
    complaints.append(f"{name} is {value!r}, expected {getattr(hint, '__name__', hint)}")
    return None


def _enum(value: str, hint: type[str], *, name: str, complaints: list[str]) -> Any:
    try:
        return hint(value)
    except ValueError:
        allowed = ", ".join(sorted(str(item) for item in hint))  # type: ignore[attr-defined]
        complaints.append(f"{name} is {value!r}, expected one of {allowed}")
        return None
