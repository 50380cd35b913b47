"""Results as JSON holds them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import numpy as np

Json = dict[str, Any]  # Any: whatever JSON holds


def plain_json(value: Any, *, told: Callable[[Any], Any] = lambda value: value) -> Any:  # Any: what a result holds
    """Return a result as JSON holds it: dataclasses are dicts, enums text, and what is not finite is ``null``.

    Parameters
    ----------
    value : object
        Dataclasses, mappings, lists, tuples, arrays, enums of text, numbers, text, ``None``, in each other.
    told : callable, optional
        What stands for a value, asked of each before it is looked into; the value itself unless given.

    Returns
    -------
    dict, list, str, int, float, bool or None
        In the order of the fields.
    """
    value = told(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain_json(each, told=told) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(each, told=told) for each in value]
    if isinstance(value, StrEnum):
        return value.value
    return None if isinstance(value, float) and not math.isfinite(value) else value
