from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from calcmap.service.store import open_store
from calcmap.web.local import LocalServer
from cli.conftest import Calcmap
from scored_chest import write_chest


@pytest.fixture
def results(calcmap: Calcmap, stub_cascade: object, tmp_path: Path) -> Path:
    calcmap("score", write_chest(tmp_path / "patient1"), "-o", tmp_path / "out")
    return tmp_path / "out"


def test_the_page_is_served_until_it_is_told_to_end(results: Path) -> None:
    command = [sys.executable, "-m", "calcmap.cli.main", "review", str(results), "--no-browser"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "60"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        lines = [run.stdout.readline(), run.stdout.readline()]
        assert lines[0] == "1 studies, 1 of them new to the store.\n"
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+/\?token=\S+", lines[1])
        with httpx.Client(follow_redirects=True) as client:
            assert "CalcMap review" in client.get(address).text
            (row,) = client.get(f"{address.partition('?')[0]}api/worklist").json()["rows"]
        assert (row["name"], row["agatston"]) == ("patient1", 180.0)
        run.send_signal(signal.SIGTERM)
        # communicate() would lose what came in with the lines that were read
        rest, complaints = run.stdout.read(), run.stderr.read()
        run.wait(timeout=30)
    assert run.returncode == 0, complaints
    assert "research use only" in rest
    assert "closed" in rest
    assert complaints == ""
    store = open_store(results.with_name("out-review"))
    assert store.has_scan(store.worklist()[0].study_id)
    store.close()


def test_the_browser_is_opened_unless_told_not_to(
    calcmap: Calcmap, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: LocalServer, *, when_up: Callable[[], None]) -> None:
        when_up()
        self.close()
        raise KeyboardInterrupt

    opened: list[str] = []
    monkeypatch.setattr(LocalServer, "run", run)
    monkeypatch.setattr("webbrowser.open", opened.append)
    (results / "patient1" / "source.json").unlink()
    ran = calcmap("review", results, "--store", tmp_path / "kept")
    assert ran.code == 0
    assert len(opened) == 1
    assert "images were not found" in ran.err
    ran = calcmap(
        "review", results / "patient1", "--store", tmp_path / "kept", "--images", tmp_path / "patient1", "--no-browser"
    )
    assert (ran.code, ran.err, len(opened)) == (0, "", 1)
    assert "token=" in ran.out


def test_what_holds_no_results_is_named(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("review", tmp_path / "nowhere")
    assert (ran.code, "no such folder" in ran.err) == (2, True)
    ran = calcmap("review", tmp_path, "--store", tmp_path / "kept")
    assert (ran.code, "result.json" in ran.err) == (2, True)


def test_an_install_without_the_page_says_what_to_install(
    calcmap: Calcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calcmap.cli.console.find_spec", lambda name: None if name == "uvicorn" else object())
    ran = calcmap("review", tmp_path)
    assert ran.code == 2
    assert "calcmap[service]" in ran.err


def test_an_account_without_a_name_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    from calcmap.cli.console import LOCAL_ACCOUNT, os_account

    def fail() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr("getpass.getuser", fail)
    assert os_account() == LOCAL_ACCOUNT
