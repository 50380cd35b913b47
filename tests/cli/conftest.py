"""Runs commands inside this process, as a shell would see them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from calcmap.cli.main import main
from scored_chest import StubCascade, scored_chest


class Ran(NamedTuple):
    """What a command left: exit code and both streams."""

    code: int
    out: str
    err: str


Calcmap = Callable[..., Ran]


@pytest.fixture
def calcmap(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Calcmap]:
    """Return a function that runs ``calcmap`` with some arguments."""
    logger = logging.getLogger("calcmap")
    before = (list(logger.handlers), logger.level)

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["calcmap", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, captured.out, captured.err)

    yield run
    logger.handlers[:], logger.level = before


@pytest.fixture
def stub_cascade(monkeypatch: pytest.MonkeyPatch) -> StubCascade:
    """Put a cascade that knows the scored chest in the place of the networks."""
    cascade = StubCascade(scored_chest()[1].labels_zyx)
    monkeypatch.setattr("calcmap.segmentation.cascade.load_cascade", lambda **_: cascade)
    return cascade
