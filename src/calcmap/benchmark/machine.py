"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from calcmap.core.machine import usable_cores

PACKAGES = ("numpy", "scipy", "pydicom", "onnxruntime", "torch")
"""Whose versions change times."""
CPU_FACTS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class MachineFacts:
    """Processor, system and versions; no host name, which may name a hospital."""

    cores: int
    """That this process may use; every engine gets as many threads."""
    cpu: str
    system: str
    python: str
    packages: dict[str, str | None]
    """Installed versions; ``None`` for what is not installed."""
    load_before: float | None
    """Mean number of busy processes in the minute before, where the system tells it."""


def machine_facts() -> MachineFacts:
    """Return what is known of this machine."""
    return MachineFacts(
        cores=usable_cores(),
        cpu=cpu_model(CPU_FACTS),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: installed_version(name) for name in PACKAGES},
        load_before=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def cpu_model(path: Path) -> str:
    """Return the processor's name from Linux's list of processors; elsewhere what Python knows, else ``"unknown"``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or "unknown"


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
