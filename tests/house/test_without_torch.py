"""The suite itself can be collected where torch is absent: what needs it is skipped aloud instead of failing."""

from __future__ import annotations

import subprocess
import sys

from house.documents import PROJECT

COLLECT = """
import sys
from importlib.machinery import PathFinder

find = PathFinder.find_spec


class AllButTorch:
    # As on a machine without it. (A None in sys.modules would fail imports too, but scipy looks there.)
    def __call__(self, name, path=None, target=None):
        return None if name.partition(".")[0] == "torch" else find(name, path, target)


PathFinder.find_spec = AllButTorch()
import pytest
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "--ignore=tests/house", "tests"]))
"""


def test_suite_is_collected_and_says_what_it_skips() -> None:
    run = subprocess.run([sys.executable, "-c", COLLECT], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "torch is not installed" in run.stdout
