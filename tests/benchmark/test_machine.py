from __future__ import annotations

from pathlib import Path

import pytest

from calcmap.benchmark import machine
from calcmap.benchmark.machine import cpu_model, installed_version, machine_facts
from calcmap.core.machine import usable_cores


def test_the_processor_is_named_as_linux_lists_it(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU: 2 GHz\nmodel name\t: other\n")
    assert cpu_model(tmp_path / "cpuinfo") == "Some CPU: 2 GHz"


def test_elsewhere_python_names_the_processor_or_nobody_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t:\nflags: x\n")
    monkeypatch.setattr(machine.platform, "processor", lambda: "arm")
    assert cpu_model(tmp_path / "cpuinfo") == cpu_model(tmp_path / "absent") == "arm"
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    assert cpu_model(tmp_path / "absent") == "unknown"


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert installed_version("numpy")
    assert installed_version("no-such-package-as-this") is None


def test_the_machine_is_described_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "node", lambda: "hospital-42")
    facts = machine_facts()
    assert facts.cores == usable_cores()
    assert "hospital-42" not in str(facts)
    assert set(facts.packages) == {"numpy", "scipy", "pydicom", "onnxruntime", "torch"}


def test_a_system_without_load_tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(machine.os, "getloadavg", raising=False)
    assert machine_facts().load_before is None
