from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from calcmap.service.store import open_store
from calcmap.service.store_tables import ACCOUNT
from cli.conftest import Calcmap
from scored_chest import write_chest
from service.openid_server import free_port
from service.people import PASSWORD


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file, port = tmp_path / "serve.toml", free_port()
    file.write_text(
        f'[store]\nfolder = "{tmp_path}/store"\n[web]\npublic_url = "http://localhost:{port}"\nport = {port}\n',
        encoding="utf-8",
    )
    return file


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    return tmp_path / "password"


def test_accounts_are_made_listed_and_changed(calcmap: Calcmap, config: Path, secret: Path, tmp_path: Path) -> None:
    made = calcmap(
        *("users", "add", "Mara", "--role", "reader", "--display-name", "Dr. Mara Lind"),
        *("--password-file", secret, "--config", config),
    )
    assert (made.code, made.out) == (0, "mara may come in as reader and signs as Dr. Mara Lind.\n")
    for command in (("disable", "mara"), ("enable", "mara"), ("role", "mara", "admin")):
        assert calcmap("users", *command, "--config", config).code == 0
    assert calcmap("users", "password", "mara", "--password-file", secret, "--config", config).code == 0
    listed = calcmap("users", "list", "--config", config)
    assert re.search(r"mara +Dr\. Mara Lind +admin +on +password", listed.out)
    assert '"name": "mara"' in calcmap("users", "list", "--json", "--config", config).out
    store = open_store(tmp_path / "store")
    events = store.audit_events()
    assert [event.action for event in events] == ["add_user", "disable_user", "enable_user", "set_role", "set_password"]
    assert all(event.actor.endswith(" on the server") for event in events)
    with store.database.reading() as connection:
        assert connection.execute(ACCOUNT.select()).one().password_hash.startswith("$argon2id$")
    store.close()


def test_a_password_is_asked_for_twice_and_unseen(
    calcmap: Calcmap, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("users", "add", "mara", "--role", "viewer", "--display-name", "Mara", "--config", config)
    ran = calcmap(*command)
    assert (ran.code, "no terminal" in ran.err) == (2, True)
    typed = iter([PASSWORD, "another one", PASSWORD, PASSWORD])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    ran = calcmap(*command)
    assert (ran.code, "differ" in ran.err) == (2, True)
    assert calcmap(*command).code == 0
    assert PASSWORD not in ran.out + ran.err


def test_a_password_may_come_by_standard_input(calcmap: Calcmap, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("users", "add", "mara", "--role", "viewer", "--display-name", "Mara", "--password-file", "-")
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    ran = calcmap(*command, "--config", config)
    assert (ran.code, "12 to 256" in ran.err) == (2, True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\r\n"))
    assert calcmap(*command, "--config", config).code == 0


@pytest.mark.parametrize(
    "command", [("disable", "nobody"), ("role", "nobody", "admin"), ("add", "a b", "--role", "admin")]
)
def test_what_cannot_be_is_said_in_one_line(calcmap: Calcmap, config: Path, command: tuple[str, ...]) -> None:
    ran = calcmap("users", *command, "--config", config)
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_a_file_is_checked_and_nothing_else(calcmap: Calcmap, config: Path, tmp_path: Path) -> None:
    assert "nothing to complain about" in calcmap("serve", "--config", config, "--check").out
    assert not (tmp_path / "store").exists()
    config.write_text("[stor]\n", encoding="utf-8")
    ran = calcmap("serve", "--config", config)
    assert ran.code == 2
    for complaint in ("unknown key stor (did you mean store?)", "missing key store", "missing key web"):
        assert complaint in ran.err


def test_results_are_taken_and_the_page_is_served_until_it_is_told_to_end(
    calcmap: Calcmap, stub_cascade: object, config: Path, secret: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        calcmap("score", write_chest(tmp_path / name / "patient1"), "-o", tmp_path / f"out_{name}")
    ran = calcmap("import", tmp_path / "out_one", "--config", config)
    assert (ran.code, ran.out) == (0, "1 studies, 1 of them new to the store.\n")
    assert calcmap("import", tmp_path / "nowhere", "--config", config).code == 2
    calcmap(
        *("users", "add", "mara", "--role", "reader", "--display-name", "Mara"),
        "--password-file",
        secret,
        "--config",
        config,
    )
    command = [sys.executable, "-m", "calcmap.cli.main", "serve", "--config", config, "--import", tmp_path / "out_two"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        lines = [run.stdout.readline() for _ in range(3)]
        (address,) = re.findall(r"http://localhost:\d+/", lines[1])
        assert "1 accounts are on" in lines[2]
        with httpx.Client(base_url=address) as client:
            asked = {"name": "mara", "password": PASSWORD}
            assert client.post("/api/login", json=asked, headers={"x-calcmap-csrf": "door"}).status_code == 204
            rows = client.get("/api/worklist").json()["rows"]
        assert {row["agatston"] for row in rows} == {180.0}
        run.send_signal(signal.SIGTERM)
        rest, complaints = run.communicate(timeout=30)
    assert (run.returncode, complaints) == (0, "")
    assert "closed" in rest


def test_an_install_without_the_server_says_what_to_install(
    calcmap: Calcmap, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calcmap.cli.console.find_spec", lambda name: None if name == "argon2" else object())
    for command in (("serve",), ("users", "list"), ("import", ".")):
        ran = calcmap(*command, "--config", config)
        assert (ran.code, "calcmap[service]" in ran.err) == (2, True)
