"""The cases on which the models beside the networks are fitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calcmap.io.cases import find_cases
from calcmap.segmentation.cascade import Cascade
from calcmap.training.calibrating import HeldOutCase, held_out_case


def read_held_out(folders: Sequence[Path], cascade: Cascade) -> list[HeldOutCase]:
    """Return what the networks say of every case under ``folders``; each is told when it is done."""
    found = find_cases(folders)
    cases = []
    for number, folder in enumerate(found, start=1):
        cases.append(held_out_case(folder, cascade))
        print(f"{number} of {len(found)}: {cases[-1].id}", flush=True)
    return cases
