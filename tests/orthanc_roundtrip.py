"""Stores DICOM files in a real Orthanc and fetches them back: ``orthanc_roundtrip.py IN OUT``."""

from __future__ import annotations

import sys
from pathlib import Path

from orthanc_server import fetch, running_orthanc, store


def main(folder: Path, out: Path) -> None:
    """Store every file of one folder, fetch every object into the other."""
    with running_orthanc():
        store(sorted(folder.glob("*.dcm")))
        fetch(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
