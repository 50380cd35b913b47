"""Tables of studies or patients: CSV and Parquet into a data frame, and its columns by name.

Needs the extra ``stats`` (pandas, pyarrow).
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from calcmap.core.errors import ConfigError, InputError, UnreadableFileError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MISSING_WORDS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""Cells that hold no value; ``None`` and ``none`` are left as words, since a visual grade may be called so."""
SUFFIXES = (".csv", ".parquet")


def read_table(path: Path) -> pd.DataFrame:
    """Return the table in a CSV (UTF-8, comma) or Parquet file, one row a patient.

    Cells that are empty or one of `MISSING_WORDS` are missing. Nothing else is altered: numbers with units stay text.

    Raises
    ------
    InputError
        No such file, another suffix, a column name twice, or no rows.
    UnreadableFileError
        The file is not what its suffix says.
    ConfigError
        The extra ``stats`` is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path.name} is no table that can be read, expected {' or '.join(SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"there is no table {path}")
    frame = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    if len(frame) == 0:
        raise InputError(f"{path.name} has no rows")
    return frame


def table_column(frame: pd.DataFrame, name: str) -> NDArray[np.object_]:
    """Return the cells of a column, ``None`` where they are missing, shape (rows,).

    Raises
    ------
    InputError
        There is no such column; the message names those that are most alike, or all where they are few.
    """
    if name not in frame.columns:
        columns = [str(column) for column in frame.columns]
        alike = difflib.get_close_matches(name, columns, n=3) or columns[:12]
        raise InputError(f"the table has no column {name!r}; it has {', '.join(alike)}")
    column = frame[name]
    cells: NDArray[np.object_] = column.astype(object).where(column.notna(), None).to_numpy(dtype=object)
    return cells


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal; it names the table in what is made of it.

    Raises
    ------
    UnreadableFileError
        The file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path.name}: {error.strerror or error}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
        twice = [name for name, count in Counter(header).items() if count > 1]
        if twice:
            raise InputError(f"{path.name} has the column {twice[0]!r} more than once")
        frame: pd.DataFrame = _pandas().read_csv(
            path, encoding="utf-8-sig", keep_default_na=False, na_values=list(MISSING_WORDS)
        )
        return frame
    except (OSError, ValueError) as error:  # of pandas: a parser's complaint, bytes that are no text, nothing at all
        raise UnreadableFileError(f"{path.name} is not a CSV table: {_first_line(error)}") from error


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = _pandas().read_parquet(path)
        return frame
    except ImportError as error:
        raise ConfigError("Parquet needs the extra stats: pip install 'calcmap[stats]'") from error
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of ValueError
        raise UnreadableFileError(f"{path.name} is not a Parquet table: {_first_line(error)}") from error


def _pandas() -> ModuleType:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise ConfigError("tables need the extra stats: pip install 'calcmap[stats]'") from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
