"""What goes out after a signature: asked for with it, made and delivered behind it, told to whoever looks."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from calcmap.core.errors import ReviewError
from calcmap.core.result import JsonValue
from calcmap.service.destinations import Destination
from calcmap.service.signatories import NOT_STATED, written_organization
from calcmap.service.store import Store
from calcmap.service.store_audit import append_event
from calcmap.service.store_outbox import (
    Claim,
    Delivery,
    DeliveryState,
    Outcome,
    Outgoing,
    ReportSet,
    SetState,
    StoredReceipt,
    ask,
    find_set,
    read_deliveries,
    read_objects,
    read_receipts,
    seconds_between,
    seconds_later,
)
from calcmap.service.store_reviews import SIGNED

COURIER = "calcmap"
"""The account of what nobody did by hand."""
NOT_OPEN = "this destination is not among those of this run"


@dataclass(frozen=True)
class DeliveryPolicy:
    """How often and how long it is tried; all our choice.

    Parameters
    ----------
    first_wait_s, longest_wait_s : float
        Wait after the first failure, doubled after each further one up to the longest.
    give_up_s : float
        After this long since it was asked for, a delivery is dead.
    claim_s : float
        A process that says nothing for this long has lost its work to another. Longer than any single answer.
    poll_s : float
        How often it is looked for work that other processes left.
    """

    first_wait_s: float = 30.0
    longest_wait_s: float = 3_600.0
    give_up_s: float = 7 * 86_400.0
    claim_s: float = 90.0
    poll_s: float = 10.0

    def wait_s(self, n_failures: int) -> float:
        """Return how long to wait after a number of failures in a row, 1 or more."""
        doublings = min(n_failures - 1, 32)
        return min(self.first_wait_s * 2.0**doublings, self.longest_wait_s)


@dataclass(frozen=True)
class DeliveryStatus:
    """One destination: how far the delivery is, and every receipt."""

    delivery: Delivery
    receipts: tuple[StoredReceipt, ...]
    is_open: bool
    """Whether this run knows the destination."""

    def as_json(self, now_utc: str) -> dict[str, JsonValue]:
        """Return it as a page shows it at a moment."""
        one = self.delivery
        is_waiting = one.state is DeliveryState.WAITING
        taken = {each.receipt.place for each in self.receipts if each.receipt.outcome is Outcome.ACCEPTED}
        places: list[JsonValue] = [*sorted(place for place in taken if place)]
        return {
            "destination": one.destination,
            "state": one.state.value,
            "reason": one.reason if self.is_open or not is_waiting else NOT_OPEN,
            "n_attempts": one.n_attempts,
            "wait_s": max(seconds_between(now_utc, one.next_try_utc), 0.0) if is_waiting and self.is_open else None,
            "asked": one.asked_utc,
            "ended": one.ended_utc,
            "places": places,
            "receipts": [_receipt_json(each) for each in self.receipts],
        }


@dataclass(frozen=True)
class OutgoingStatus:
    """What became of the reports of one review."""

    report_set: ReportSet | None
    n_dicom: int
    deliveries: tuple[DeliveryStatus, ...]
    now_utc: str

    @property
    def is_pending(self) -> bool:
        """Whether something is still to happen."""
        is_made = self.report_set is None or self.report_set.state is not SetState.WAITING
        return not is_made or any(
            each.is_open and each.delivery.state is DeliveryState.WAITING for each in self.deliveries
        )

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as a page shows it: ``state`` of the reports, and each delivery with its receipts."""
        made = self.report_set
        return {
            "state": made.state.value if made else None,
            "reason": made.reason if made else None,
            "organization": made.organization if made else None,
            "n_dicom": self.n_dicom,
            "is_pending": self.is_pending,
            "deliveries": [each.as_json(self.now_utc) for each in self.deliveries],
        }


@dataclass(frozen=True)
class Outbox:
    """The way out of a store.

    Parameters
    ----------
    store : Store
        Holds reviews, reports and receipts.
    destinations : sequence of Destination
        Where reports go in this run.
    organization : str
        The verifier's.
    policy : DeliveryPolicy
        How often it is tried.

    Raises
    ------
    OutputError
        The organization cannot be written in DICOM.
    """

    store: Store
    destinations: Sequence[Destination]
    organization: str = NOT_STATED
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    has_news: threading.Event = field(default_factory=threading.Event)
    """Set when there may be work; `Courier` waits for it."""

    def __post_init__(self) -> None:
        written_organization(self.organization)

    @property
    def outgoing(self) -> Outgoing:
        """What a signature sets going."""
        return Outgoing(self.organization, tuple(self.by_name))

    @property
    def by_name(self) -> Mapping[str, Destination]:
        """The destinations by their names in the store."""
        return MappingProxyType({each.name: each for each in self.destinations})

    def new_claim(self) -> Claim:
        """Return a claim by which one piece of work is held from now on."""
        now_utc, policy = self.store.now_utc(), self.policy
        return Claim(
            token=uuid.uuid4().hex,
            now_utc=now_utc,
            until_utc=seconds_later(now_utc, policy.claim_s),
            latest_utc=seconds_later(now_utc, max(policy.longest_wait_s, policy.claim_s)),
        )

    def status(self, review_id: int) -> OutgoingStatus:
        """Return what became of the reports of a review."""
        with self.store.database.reading() as connection:
            made = find_set(connection, review_id)
            if made is None:
                return OutgoingStatus(None, 0, (), self.store.now_utc())
            objects = read_objects(connection, made.id)
            deliveries = tuple(
                DeliveryStatus(each, read_receipts(connection, each.id), each.destination in self.by_name)
                for each in read_deliveries(connection, made.id)
            )
        n_dicom = sum(one.sop_instance_uid is not None for one in objects)
        return OutgoingStatus(made, n_dicom, deliveries, self.store.now_utc())

    def send_again(self, review_id: int, *, actor: str) -> OutgoingStatus:
        """Let a signed review's reports go to every destination of this run once more.

        Raises
        ------
        ReviewError
            The review is not signed.
        NotInStoreError
            There is no such review.
        """
        review = self.store.review(review_id)
        if review.state != SIGNED:
            raise ReviewError(f"review {review_id} is not signed, so nothing of it goes out")
        time_utc = self.store.now_utc()
        with self.store.database.writing() as connection:
            ask(connection, review.result_id, review_id, self.outgoing, time_utc=time_utc)
            detail: dict[str, JsonValue] = {"n_destinations": len(self.by_name)}
            append_event(
                connection,
                "send_again",
                subject=f"review:{review_id}",
                actor=actor,
                time_utc=time_utc,
                detail=detail,
            )
        self.has_news.set()
        return self.status(review_id)


def _receipt_json(stored: StoredReceipt) -> dict[str, JsonValue]:
    receipt = stored.receipt
    return {
        "attempt": stored.attempt,
        "time": stored.time_utc,
        "name": receipt.name,
        "sop_instance_uid": receipt.sop_instance_uid,
        "outcome": receipt.outcome.value,
        "status": receipt.status,
        "words": receipt.words,
        "place": receipt.place,
    }
