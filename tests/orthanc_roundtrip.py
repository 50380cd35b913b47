"""Stores DICOM files in a real Orthanc and fetches them back: ``orthanc_roundtrip.py IN OUT``.

Debian's Orthanc listens on every interface whatever its configuration says, so this program is run in a network of its
own, where there is but the loopback (`in_own_network`).
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
from pathlib import Path

PORTS = {"HttpPort": 18042, "DicomPort": 14242}
REST = f"http://127.0.0.1:{PORTS['HttpPort']}"
STORESCU = "/usr/bin/storescu"
"""dcmtk's: pynetdicom puts another program of that name before it."""
INSTALL = "apt-get install -y orthanc dcmtk"
WAIT_SECONDS = 30.0


def find_orthanc() -> str | None:
    """Return the server's program, which Debian puts where only root looks."""
    return shutil.which("Orthanc", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))


def why_absent() -> str | None:
    """Return why the round trip cannot be made here, or ``None``."""
    if find_orthanc() is None or not Path(STORESCU).is_file():
        return f"ORTHANC ABSENT: no report was stored to a real server; {INSTALL}"
    probe = subprocess.run([*_own_network(), "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "ORTHANC NOT STARTED: no network of its own can be made here (unshare)"


def in_own_network(folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Run this program in a network of its own."""
    command = [*_own_network(), sys.executable, __file__, str(folder), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _own_network() -> list[str]:
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *as_root, "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']


def main(folder: Path, out: Path) -> None:
    """Store every file of one folder, fetch every object into the other."""
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
            files = [str(one) for one in sorted(folder.glob("*.dcm"))]
            subprocess.run(
                [STORESCU, "-R", "-aec", "ORTHANC", "127.0.0.1", str(PORTS["DicomPort"]), *files], check=True
            )
            for name in json.loads(_get("/instances")):
                (out / f"{name}.dcm").write_bytes(_get(f"/instances/{name}/file"))
        finally:
            server.terminate()
            server.wait()


def _wait() -> None:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            _get("/system")
            return
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _get(path: str) -> bytes:
    with urllib.request.urlopen(REST + path, timeout=10) as answer:
        content: bytes = answer.read()
    return content


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
