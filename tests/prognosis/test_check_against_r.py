from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_against_r", ROOT / "scripts" / "check_against_r.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_r_one_line_says_that_nothing_was_compared(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["check_against_r.py"])
    assert script.main() == 0
    assert capsys.readouterr().out == "skipped: no Rscript on the path, nothing was compared\n"


def test_every_number_of_the_r_script_has_its_counterpart(script: ModuleType) -> None:
    """Names are said in both files; a name in one alone would compare nothing."""
    said = (ROOT / "scripts" / "check_against_r.R").read_text(encoding="utf-8")
    ours = (ROOT / "scripts" / "check_against_r.py").read_text(encoding="utf-8")
    names = [line.split('"')[1] for line in said.splitlines() if line.lstrip().startswith('say("')]
    assert len(names) > 25
    assert [name for name in names if f'"{name}"' not in ours and not name.startswith("its SE")] == []
    assert script.SIX_DIGITS < 1e-6
