"""The wheel that people install holds everything that scoring needs, and nothing huge."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from house.documents import PROJECT, has_module

SOURCE = PROJECT / "src" / "calcmap"
MAX_FILE_BYTES = 12_000_000
"""No shipped file is larger: the weights are the largest, and a small package installs quickly (our choice)."""

PARTS = {
    "schema of result.json": ("calcmap.pipeline", "result-*.json"),
    "network weights": ("calcmap.pipeline", "*.onnx"),
    "conformance cases": ("calcmap.scoring", "*conformance*/**/*"),
    "reference tables": ("calcmap.scoring", "tables/*"),
}
"""What has to be there: the room whose presence makes the demand hard, and where it lies."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Return the wheel of this tree, built as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    # Isolation would fetch the build backend anew; the dev extra brings it, so CI builds without the network.
    isolation = ["--no-build-isolation"] if has_module("hatchling") else []
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", *isolation, "-w", str(folder), str(PROJECT)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "src/calcmap"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(listed) > 5
    assert {name.removeprefix("src/") for name in listed if (PROJECT / name).exists()} <= set(wheel.namelist())


@pytest.mark.parametrize("part", PARTS)
def test_wheel_holds(wheel: zipfile.ZipFile, part: str) -> None:
    room, pattern = PARTS[part]
    if not has_module(room):
        pytest.skip(f"NOT BUILT YET: {room} is missing, so the {part} cannot be asked for")
    files = [path for path in SOURCE.rglob(pattern) if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert files, f"the source tree has no {part}"
    assert {f"calcmap/{path.relative_to(SOURCE)}" for path in files} <= set(wheel.namelist())


def test_wheel_holds_licence_and_notice(wheel: zipfile.ZipFile) -> None:
    names = {Path(name).name for name in wheel.namelist()}
    assert {"LICENSE", "NOTICE", "py.typed"} <= names


def test_wheel_holds_nothing_huge(wheel: zipfile.ZipFile) -> None:
    assert [info.filename for info in wheel.infolist() if info.file_size > MAX_FILE_BYTES] == []


def test_wheel_holds_code_and_data_only(wheel: zipfile.ZipFile) -> None:
    strangers = [name for name in wheel.namelist() if not name.startswith(("calcmap/", "calcmap-"))]
    assert strangers == []


def test_base_install_asks_for_no_torch(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert needed
    assert [line for line in needed if "torch" in line or "onnxscript" in line] == []
