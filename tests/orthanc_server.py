"""A real Orthanc for the length of a block, and programs that speak to it in a network of their own.

Debian's Orthanc listens on every interface whatever its configuration says, so what starts it is run in a network where
there is but the loopback (`in_own_network`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PORTS = {"HttpPort": 18042, "DicomPort": 14242}
REST = f"http://127.0.0.1:{PORTS['HttpPort']}"
TITLE = "ORTHANC"
STORESCU = "/usr/bin/storescu"
"""dcmtk's: pynetdicom puts another program of that name before it."""
INSTALL = "apt-get install -y orthanc dcmtk"
WAIT_SECONDS = 30.0


def find_orthanc() -> str | None:
    """Return the server's program, which Debian puts where only root looks."""
    return shutil.which("Orthanc", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))


def why_absent() -> str | None:
    """Return why no server can be had here, or ``None``."""
    if find_orthanc() is None or not Path(STORESCU).is_file():
        return f"ORTHANC ABSENT: no report was stored to a real server; {INSTALL}"
    probe = subprocess.run([*_own_network(), "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "ORTHANC NOT STARTED: no network of its own can be made here (unshare)"


def in_own_network(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a network of its own."""
    command = [*_own_network(), sys.executable, str(program), *(str(each) for each in arguments)]
    tests = str(Path(__file__).parent)
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=os.environ | {"PYTHONPATH": tests}
    )


def _own_network() -> list[str]:
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *as_root, "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']


@contextmanager
def running_orthanc() -> Iterator[None]:
    """Start a server and stop it; only in a network of its own."""
    with tempfile.TemporaryDirectory() as work:
        config = {
            **PORTS, "StorageDirectory": work, "IndexDirectory": work, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False, "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True, "Plugins": [],
        }  # fmt: skip
        path = Path(work) / "orthanc.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        orthanc = find_orthanc()
        assert orthanc is not None
        server = subprocess.Popen([orthanc, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait()
            yield
        finally:
            server.terminate()
            server.wait()


def store(files: Sequence[Path]) -> None:
    """Send files to the server with dcmtk."""
    command = [STORESCU, "-R", "-aec", TITLE, "127.0.0.1", str(PORTS["DicomPort"]), *(str(one) for one in files)]
    subprocess.run(command, check=True)


def fetch(out: Path) -> None:
    """Write every object that the server has into a folder."""
    for name in json.loads(get("/instances")):
        (out / f"{name}.dcm").write_bytes(get(f"/instances/{name}/file"))


def get(path: str) -> bytes:
    """Return what the server answers."""
    with urllib.request.urlopen(REST + path, timeout=10) as answer:
        content: bytes = answer.read()
    return content


def _wait() -> None:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            get("/system")
            return
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
