"""What a person types: `make` lists itself, names a Python that is too old, and keeps other people's files."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from house.documents import PROJECT

OLD_PYTHON = "#!/bin/sh\n[ \"$1\" = -V ] && echo 'Python 3.8.10' && exit 0\nexit 1\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with the files that `make` reads, and nothing installed."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, folder / name)
    shutil.copytree(PROJECT / "scripts", folder / "scripts")
    return folder


def test_make_alone_prints_every_target(clone: Path) -> None:
    shown = _make(clone).stdout
    for target in ("score", "review", "test", "check", "clean", "help"):
        assert f"make {target}" in shown


def test_old_python_is_named_in_one_line(clone: Path) -> None:
    run = _make(clone, "score", f"PYTHON={_program(clone / 'old-python', OLD_PYTHON)}")
    assert run.returncode != 0
    assert "Python 3.11 or newer is needed" in run.stderr
    assert "Python 3.8.10" in run.stderr
    assert not (clone / ".venv").exists()


def test_scoring_uses_what_is_there_and_names_the_picture(clone: Path) -> None:
    _install_stub(clone)
    run = _make(clone, "score")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Picture: out/demo/one/overview.png" in run.stdout
    assert "make review OUT='out/demo'" in run.stdout.splitlines()[-1]
    again = _make(clone, "score")
    assert "Simulating" in run.stdout
    assert "Simulating" not in again.stdout


def test_interrupted_simulation_leaves_no_demo(clone: Path) -> None:
    _install_stub(clone, simulate="exit 1")
    assert _make(clone, "score").returncode != 0
    assert not (clone / "demo").exists()


def test_own_study_needs_no_demo(clone: Path) -> None:
    _install_stub(clone)
    (clone / "mine").mkdir()
    run = _make(clone, "score", "STUDY=mine")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Picture: out/mine/one/overview.png" in run.stdout
    assert not (clone / "demo").exists()


def test_study_that_is_not_there_is_named(clone: Path) -> None:
    _install_stub(clone)
    run = _make(clone, "score", "STUDY=nowhere")
    assert run.returncode != 0
    assert "there is no nowhere" in run.stderr


def test_refused_study_fails_and_points_to_the_table(clone: Path) -> None:
    _install_stub(clone, score='mkdir -p "$4"; touch "$4/results.csv"; exit 3')
    run = _make(clone, "score")
    assert run.returncode != 0
    assert "the table says why" in run.stdout
    assert "out/demo/results.csv" in run.stdout


def test_clean_keeps_results_of_own_studies(clone: Path) -> None:
    for name in ("demo/ct", "out/demo", "out/mine", ".venv"):
        (clone / name).mkdir(parents=True)
    assert _make(clone, "clean").returncode == 0
    assert (clone / "out" / "mine").exists()
    assert (clone / ".venv").exists()
    assert not (clone / "demo").exists()
    assert not (clone / "out" / "demo").exists()


def _install_stub(
    clone: Path,
    *,
    simulate: str = "mkdir -p demo.part",
    score: str = 'mkdir -p "$4/one"; touch "$4/one/overview.png" "$4/results.csv"',
) -> None:
    """Put a stand-in for an installed CalcMap into .venv; its arguments are those that the recipes give."""
    script = f'#!/bin/sh\ncase "$1" in\nsimulate) {simulate} ;;\nscore) {score} ;;\nesac\n'
    (clone / ".venv" / "bin").mkdir(parents=True)
    _program(clone / ".venv" / "bin" / "calcmap", script)
    (clone / ".venv" / ".calcmap-base").touch()


def _program(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A suite started by `make test` hands its own make variables down; they are not this make's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment.pop("MFLAGS", None)
    return subprocess.run(
        ["make", *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
