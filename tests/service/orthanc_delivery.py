"""Signs a study, is killed, goes on, and delivers to a real Orthanc that is away at first.

Run as ``orthanc_delivery.py STUDY URL ... FETCHED`` in a network of its own; prints what became of it as JSON. A study
folder holds ``chest`` and ``out``; without a URL its database is SQLite.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from calcmap.service.courier import Courier
from calcmap.service.destinations import FolderDestination
from calcmap.service.dicom_node import NodeDestination
from calcmap.service.node_address import NodeAddress
from calcmap.service.outbox import DeliveryPolicy, Outbox
from calcmap.service.store import open_store
from orthanc_server import PORTS, TITLE, fetch, running_orthanc, store
from service.outgoing import CLINIC, Clock, sign, take_results

POLICY = DeliveryPolicy(first_wait_s=30.0, claim_s=90.0)


def main(studies: list[Path], urls: list[str], fetched: Path) -> None:
    """Tell the story of each study, one on each database."""
    stories = [Story(study, url, hours=n) for n, (study, url) in enumerate(zip(studies, urls, strict=True))]
    for story in stories:
        story.go_on()  # nobody listens at the node's port
    with running_orthanc():
        store(sorted((studies[0] / "out" / "chest").glob("[!v]*.dcm")))
        for story in stories:
            story.clock.turn(30)
            story.go_on()
            story.outbox.send_again(story.review_id, actor="local")
            story.go_on()
        fetch(fetched)
    for story in stories:
        story.outbox.store.check()
        story.outbox.store.close()
    print(json.dumps([story.said for story in stories]))  # noqa: T201


class Story:
    """A study that was signed by a process that is dead."""

    def __init__(self, study: Path, url: str, *, hours: int) -> None:
        self.clock = Clock()
        self.clock.turn(3600 * hours)  # signatures of different moments: reports of different UIDs
        self.review_id = _sign_and_be_killed(study, url, self.clock)
        self.clock.turn(60)
        self.outbox = _outbox(study, url, self.clock)
        self.said = [self.outbox.status(self.review_id).as_json()]

    def go_on(self) -> None:
        """Let a courier do what is due, and note what is said of it."""
        Courier(self.outbox).run_due()
        self.said.append(self.outbox.status(self.review_id).as_json())


def _sign_and_be_killed(study: Path, url: str, clock: Clock) -> int:
    """Let another process sign and kill it before its courier runs; return the review."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        outbox = _outbox(study, url, clock)
        (result_id,) = take_results(outbox.store, study / "out")
        os.write(write_end, str(sign(outbox, result_id, is_edited=True)).encode())
        signal.pause()
    review_id = int(os.read(read_end, 20))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return review_id


def _outbox(study: Path, url: str, clock: Clock) -> Outbox:
    opened = open_store(study / "store", url=url or None, clock=clock)
    node = NodeDestination(NodeAddress(TITLE, "127.0.0.1", PORTS["DicomPort"]))
    folder = FolderDestination({1: study / "out" / "chest"})
    return Outbox(opened, [folder, node], organization=CLINIC, policy=POLICY)


if __name__ == "__main__":
    *pairs, last = sys.argv[1:]
    main([Path(each) for each in pairs[::2]], pairs[1::2], Path(last))
