"""A PostgreSQL server of the tests' own: made in an empty folder, reached by a socket in it, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEBIAN_BINARIES = "/usr/lib/postgresql/*/bin"
ACCOUNT = "postgres"
"""The server refuses to run as root; root runs it as the account that Debian's package makes."""


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server, give its URL, and stop it; skip loudly where there is none."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip(
            "NO POSTGRESQL: initdb was not found, the store was tested on SQLite alone (apt-get install postgresql)"
        )
    folder = Path(tempfile.mkdtemp(prefix="calcmap-pg-", dir="/tmp"))  # a socket's path may have 107 characters
    as_account = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups"] if os.geteuid() == 0 else []
    if as_account:
        shutil.chown(folder, ACCOUNT, ACCOUNT)
    control = [*as_account, str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-w", "-s"]
    try:
        initdb = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", ACCOUNT, "-A", "trust", "-E", "UTF8"]
        _run([*as_account, *initdb, "--locale=C", "--no-sync"])
        # Clients are killed in these tests, the machine is not: the server need not flush.
        _run([*control, "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start"])
        try:
            yield f"postgresql://{ACCOUNT}@/postgres?host={folder}"
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(Path("/").glob(DEBIAN_BINARIES.lstrip("/")), default=None)


def _run(command: list[str]) -> None:
    # Through a file, not a pipe: the server keeps the pipe open and nobody would see its end.
    with tempfile.TemporaryFile() as shown:
        code = subprocess.run(command, stdout=shown, stderr=subprocess.STDOUT, cwd="/", check=False).returncode
        shown.seek(0)
        assert code == 0, shown.read().decode(errors="replace")
