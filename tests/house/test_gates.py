"""Each gate of `scripts/check` and `scripts/test` is shown failing once, on a small tree with one planted fault."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

DOUBLE_MODULE = '''"""Something to measure."""


def doubled(number: int) -> int:
    """Return twice the number."""
    return 2 * number
'''
COVERING_TEST = """from calcmap.{room}.double import doubled


def test_{room}_doubles() -> None:
    assert doubled(2) == 4
"""
HALF_COVERED_MODULE = '''"""Something to measure."""


def doubled(number: int) -> int:
    """Return twice the number, or zero for a negative one."""
    if number < 0:
        return 0
    return 2 * number
'''


@pytest.fixture(scope="module")
def sound_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree with the project's own gates and settings around rooms that hold nothing but a docstring."""
    tree = tmp_path_factory.mktemp("gates") / "sound"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(PROJECT / name, tree / name)
    for name in ("scripts", ".ci"):
        shutil.copytree(PROJECT / name, tree / name)
    for room in ["", *_rooms()]:
        _write(tree, f"src/calcmap/{room}/__init__.py", '"""A room."""\n')
    _write(tree, "src/calcmap/core/double.py", DOUBLE_MODULE)
    return tree


@pytest.fixture
def tree(sound_tree: Path, tmp_path: Path) -> Path:
    """Return a copy of the sound tree to plant a fault in; caches come along, so that mypy starts warm."""
    return Path(shutil.copytree(sound_tree, tmp_path / "tree"))


def test_sound_tree_passes_every_gate(sound_tree: Path) -> None:
    run = _check(sound_tree)
    assert run.returncode == 0, run.stdout + run.stderr


def test_unformatted_file_fails_the_format_gate(tree: Path) -> None:
    _write(tree, "src/calcmap/core/planted.py", '"""Planted."""\n\nVALUE = [1,2 ]\n')
    _assert_fails(tree, "format", "planted.py")


def test_unused_import_fails_the_lint_gate(tree: Path) -> None:
    _write(tree, "src/calcmap/core/planted.py", '"""Planted."""\n\nimport os\n')
    _assert_fails(tree, "lint", "F401")


def test_print_in_the_library_fails_the_lint_gate(tree: Path) -> None:
    _write(tree, "src/calcmap/core/planted.py", '"""Planted."""\n\nprint("here")\n')
    _assert_fails(tree, "lint", "T201")


def test_wrong_type_fails_the_types_gate(tree: Path) -> None:
    _write(tree, "src/calcmap/core/planted.py", '"""Planted."""\n\nVALUE: int = "one"\n')
    _assert_fails(tree, "types", "Incompatible types")


def test_upward_import_fails_the_imports_gate(tree: Path) -> None:
    _write(tree, "src/calcmap/core/planted.py", '"""Planted."""\n\nimport calcmap.pipeline  # noqa: F401\n')
    _assert_fails(tree, "imports", "Rooms import one way")


def test_torch_in_serving_fails_the_imports_gate(tree: Path) -> None:
    _write(tree, "src/calcmap/pipeline/planted.py", '"""Planted."""\n\nimport torch  # noqa: F401\n')
    _assert_fails(tree, "imports", "Serving never imports torch")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("def bare() -> int:\n    return 1\n", "GL08"),
        ('class Thing:\n    """Hold."""\n\n    def bare(self) -> int:\n        return 1\n', "GL08"),
        ('def unfinished() -> int:\n    """Return one"""\n    return 1\n', "SS03"),
        (
            'def half(a: int, b: int) -> int:\n    """Return a sum.\n\n    Parameters\n    ----------\n'
            '    a : int\n        One.\n\n    Returns\n    -------\n    int\n        Sum.\n    """\n    return a + b\n',
            "PR01",
        ),
    ],
)
def test_missing_docstring_part_fails_the_docstrings_gate(tree: Path, source: str, code: str) -> None:
    _write(tree, "src/calcmap/core/planted.py", f'"""Planted."""\n\n\n{source}')
    _assert_fails(tree, "docstrings", code)


def test_handed_out_function_with_an_array_needs_its_parameters_described(tree: Path) -> None:
    _write(tree, "src/calcmap/core/__init__.py", '"""A room."""\n\n__all__ = ["peak"]\n')
    function = 'def peak(ct_hu_zyx: Int16Array) -> int:\n    """Return the highest value."""\n    return 1\n'
    _write(tree, "src/calcmap/core/planted.py", f'"""Planted."""\n\n\n{function}')
    _assert_fails(tree, "docstrings", "PR01")


def test_one_oversized_function_fails_the_sizes_gate(tree: Path) -> None:
    _write(tree, "src/calcmap/core/planted.py", _function("short", 3) * 20 + _function("endless", 81))
    _assert_fails(tree, "sizes", "endless: 81 lines")


def test_too_many_long_functions_fail_the_sizes_gate(tree: Path) -> None:
    _write(tree, "src/calcmap/core/planted.py", _function("short", 3) * 8 + _function("long", 31) * 2)
    _assert_fails(tree, "sizes", "p90 31")


def test_broken_script_fails_the_shell_gate(tree: Path) -> None:
    _write(tree, "scripts/planted", "#!/usr/bin/env bash\nif true; then echo\n")
    _assert_fails(tree, "shell", "planted")


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("format", "saw no files"),
        ("lint", "saw no files"),
        ("types", "saw no files"),
        ("imports", "saw no files"),
        ("docstrings", "0 looked at"),
        ("sizes", "no function"),
    ],
)
def test_gate_that_sees_no_files_fails(tree: Path, gate: str, expected: str) -> None:
    shutil.rmtree(tree / "src" / "calcmap")
    _assert_fails(tree, gate, expected)


def test_unknown_gate_is_refused(tree: Path) -> None:
    run = _check(tree, "spelling")
    assert run.returncode == 2
    assert "no gate is called 'spelling'" in run.stderr


def test_covered_tree_passes_and_closes_with_pytests_line(tree: Path) -> None:
    _plant_covered_rooms(tree)
    run = _test(tree)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout.splitlines()[-1]


def test_uncovered_branch_in_scoring_fails_the_coverage_gate(tree: Path) -> None:
    _plant_covered_rooms(tree)
    _write(tree, "src/calcmap/scoring/double.py", HALF_COVERED_MODULE)
    run = _test(tree)
    assert run.returncode != 0
    assert "coverage of scoring: FAILED" in run.stdout


def test_uncovered_room_fails_the_total_coverage_gate(tree: Path) -> None:
    _plant_covered_rooms(tree)
    _write(tree, "src/calcmap/core/planted.py", DOUBLE_MODULE + "\n\nVALUE = doubled(1)\n" * 20)
    run = _test(tree)
    assert run.returncode != 0
    assert "coverage of everything: FAILED" in run.stdout


def test_room_that_is_not_there_fails_its_coverage_gate(tree: Path) -> None:
    _plant_covered_rooms(tree)
    shutil.rmtree(tree / "src" / "calcmap" / "report")
    (tree / "tests" / "test_report.py").unlink()
    run = _test(tree)
    assert run.returncode != 0
    assert "coverage of report: FAILED" in run.stdout


def test_failing_test_fails_the_suite(tree: Path) -> None:
    _plant_covered_rooms(tree)
    _write(tree, "tests/test_planted.py", "def test_planted() -> None:\n    assert 1 == 2\n")
    run = _test(tree)
    assert run.returncode == 1
    assert "1 failed, 3 passed" in run.stdout.splitlines()[-1]


def test_warning_fails_the_suite(tree: Path) -> None:
    _plant_covered_rooms(tree)
    _write(
        tree, "tests/test_planted.py", "import warnings\n\n\ndef test_planted() -> None:\n    warnings.warn('old')\n"
    )
    assert _test(tree).returncode == 1


def test_suite_without_a_test_fails(tree: Path) -> None:
    (tree / "tests").mkdir()
    assert _test(tree).returncode != 0


def _rooms() -> list[str]:
    """Return the rooms and modules that the import contracts name, so that the small tree satisfies them."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    named = [room.strip(" ()") for layer in layers for room in layer.replace(":", "|").split("|")]
    named += [module for contract in settings["contracts"] for module in contract.get("source_modules", [])]
    return [room.removeprefix("calcmap.").replace(".", "/") for room in dict.fromkeys(named)]


def _write(tree: Path, name: str, text: str) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _function(name: str, n_lines: int) -> str:
    body = "\n".join(["    value = 0"] * (n_lines - 1) + ["    return value"])
    return f'def {name}() -> int:\n    """Return zero."""\n{body}\n\n\n'


def _plant_covered_rooms(tree: Path) -> None:
    for room in ("core", "scoring", "report"):
        _write(tree, f"src/calcmap/{room}/double.py", DOUBLE_MODULE)
        _write(tree, f"tests/test_{room}.py", COVERING_TEST.format(room=room))


def _check(tree: Path, *gates: str) -> subprocess.CompletedProcess[str]:
    return _run(tree, "scripts/check", *gates)


def _test(tree: Path) -> subprocess.CompletedProcess[str]:
    return _run(tree, "scripts/test")


def _run(tree: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The suite that runs this test may itself be measured: its coverage settings must not reach the small tree.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    environment["CALCMAP_BIN"] = str(Path(sys.executable).parent)
    return subprocess.run(
        [f"./{script}", *arguments], cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def _assert_fails(tree: Path, gate: str, expected: str) -> None:
    run = _check(tree, gate)
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"FAILED: {gate}" in run.stdout
    assert expected in run.stdout + run.stderr
