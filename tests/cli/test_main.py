from __future__ import annotations

import logging

import pytest

from calcmap import __version__
from calcmap.cli import console
from calcmap.core.errors import CalcMapError, InputError
from cli.conftest import Calcmap


def raising(error: Exception) -> object:
    def find_studies(paths: object) -> None:
        logging.getLogger("calcmap.io").info("looking")
        raise error

    return find_studies


def test_the_version_is_printed(calcmap: Calcmap) -> None:
    assert calcmap("--version") == (0, f"calcmap {__version__}\n", "")


def test_help_lists_the_commands(calcmap: Calcmap) -> None:
    ran = calcmap("-h")
    assert ran.code == 0
    for command in ("score", "series", "agatston", "conformance", "simulate", "train", "export", "evaluate"):
        assert f"  {command} " in ran.out
    assert "Not a medical device" in " ".join(ran.out.split())


@pytest.mark.parametrize("arguments", [("fly",), ("score", "--wings", "2", "."), ("agatston", ".")])
def test_wrong_usage_ends_with_two(calcmap: Calcmap, arguments: tuple[str, ...]) -> None:
    ran = calcmap(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("error", [InputError("two\nlines, one message"), CalcMapError("any of ours")])
def test_our_errors_are_one_line_and_two(
    calcmap: Calcmap, monkeypatch: pytest.MonkeyPatch, error: CalcMapError
) -> None:
    monkeypatch.setattr("calcmap.io.finding.find_studies", raising(error))
    ran = calcmap("series", ".")
    assert ran == (2, "", f"calcmap: {' '.join(str(error).split())}\n")


def test_a_defect_is_one_line_and_one(calcmap: Calcmap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calcmap.io.finding.find_studies", raising(ZeroDivisionError("oh")))
    ran = calcmap("series", ".")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "calcmap: unexpected ZeroDivisionError: oh (run `calcmap --verbose ...` for the traceback)\n"


def test_verbose_shows_the_log_and_the_traceback(calcmap: Calcmap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calcmap.io.finding.find_studies", raising(ZeroDivisionError("oh")))
    ran = calcmap("--verbose", "series", ".")
    assert ran.code == 1
    assert "calcmap.io INFO looking" in ran.err
    assert "Traceback" in ran.err


def test_the_log_has_one_handler_however_often_it_is_configured(calcmap: Calcmap) -> None:
    for _ in range(3):
        calcmap("series", "/does/not/exist")
    assert len(logging.getLogger("calcmap").handlers) == 1


def test_text_in_square_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.open_console().print("CTAC [/b] [red]x :warning:")
    assert capsys.readouterr().out == "CTAC [/b] [red]x :warning:\n"


def test_json_is_never_given_a_number_that_is_none() -> None:
    with pytest.raises(ValueError, match="JSON"):
        console.print_json({"a": float("nan")})
