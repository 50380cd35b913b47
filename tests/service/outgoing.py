"""What tests of the outbox share: a clock turned by hand, a destination that does as it is told, a real study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom

from calcmap.core.errors import DeliveryError
from calcmap.io.finding import find_studies
from calcmap.pipeline import ScoreOptions
from calcmap.pipeline.score import score_study
from calcmap.report.folder import write_study
from calcmap.service.courier import Courier
from calcmap.service.destinations import Parcel
from calcmap.service.importing import import_results
from calcmap.service.outbox import DeliveryPolicy, Outbox
from calcmap.service.review_edits import Reject
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store
from calcmap.service.store_outbox import Outcome, Receipt, ReportObject
from scored_chest import StubCascade, scored_chest, write_chest

NAME = "Plantedname^Zebedee=山田^太郎"
SIGNER, CLINIC = "Dr. Łucja Müller", "Klinik für Herzen"
POLICY = DeliveryPolicy(first_wait_s=30.0, longest_wait_s=120.0, give_up_s=600.0, claim_s=90.0, poll_s=0.05)


class Clock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 8, 15, tzinfo=UTC)

    def __call__(self) -> str:
        return self.now.isoformat(timespec="microseconds")

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass
class Place:
    """A destination that answers as it is told: for each attempt, what it says of the objects in their order."""

    answers: list[list[Outcome] | str] = field(default_factory=list)
    name: str = "place"
    seen: list[list[str]] = field(default_factory=list)

    def wants(self, one: ReportObject) -> bool:
        """Take everything."""
        return True

    def deliver(self, parcel: Parcel) -> Iterator[Receipt]:
        """Answer; a text instead of answers is a connection that fails."""
        answer = self.answers.pop(0) if self.answers else [Outcome.ACCEPTED] * len(parcel.objects)
        self.seen.append([one.name for one in parcel.objects])
        if isinstance(answer, str):
            raise DeliveryError(answer)
        for one, outcome in zip(parcel.objects, answer, strict=True):
            assert parcel.content_of(one)
            yield Receipt(outcome, outcome.value, one.name, one.sop_instance_uid)


def write_results(folder: Path, *, has_reports: bool = True) -> Path:
    """Write a study as DICOM and what ``calcmap score --dicom`` makes of it; return the results folder."""
    source = write_chest(folder / "chest")
    for path in source.rglob("*.dcm"):
        image = pydicom.dcmread(path)
        image.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        image.PatientName = NAME
        image.save_as(path)
    score_into(source, folder / "out", has_reports=has_reports)
    return folder / "out"


def score_into(source: Path, out: Path, *, has_reports: bool) -> None:
    """Write what ``calcmap score`` makes of a study, with DICOM reports if asked for."""
    (study,) = find_studies([source])
    done = score_study(study, StubCascade(scored_chest()[1].labels_zyx), options=ScoreOptions())  # type: ignore[arg-type]
    write_study(done.result, done.volume, done.labels, folder=out / done.result.study)
    if has_reports:
        from calcmap.report.dicom import ReportSettings, make_reports, write_reports
        from reported_chest import MADE_AT

        settings = ReportSettings(made_at=MADE_AT)
        made = make_reports(done.result, done.volume, done.labels, study=study, settings=settings)
        write_reports(made, out / done.result.study)


def take_results(store: Store, out: Path) -> dict[int, Path]:
    """Import a results folder with its images and return the folder of each result."""
    done = import_results(store, out, sources=[out.parent / "chest"], actor="local")
    assert [each.problem for each in done] == [None]
    return {each.result_id: each.folder for each in done if each.result_id is not None}


def sign(outbox: Outbox, result_id: int, *, name: str = SIGNER, is_edited: bool = False) -> int:
    """Sign the newest review of a result, its first lesion rejected if asked for; return the review."""
    reviewing = Reviewing(outbox.store, outbox=outbox)
    review_id = outbox.store.open_review(result_id, actor="local").id
    current = reviewing.current(review_id)
    if is_edited:
        lesion = current.review.score.lesions[-1]
        current = reviewing.edit(
            review_id, [Reject(lesion.anchor_zyx)], revision=current.stored.revision, author="local"
        )
    reviewing.sign(review_id, revision=current.stored.revision, account="local", name=name)
    return review_id


def amend(outbox: Outbox, review_id: int, *, name: str = SIGNER) -> int:
    """Sign an amendment of a signed review and return it."""
    amendment = outbox.store.amend_review(review_id, actor="local")
    reviewing = Reviewing(outbox.store, outbox=outbox)
    reviewing.sign(amendment.id, revision=amendment.revision, account="local", name=name)
    return amendment.id


def work(outbox: Outbox) -> int:
    """Let a courier do everything that is due."""
    return Courier(outbox).run_due()
