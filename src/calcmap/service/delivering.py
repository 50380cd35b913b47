"""One piece of the courier's work: one set of reports to one destination, with a receipt for each object."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from sqlalchemy import Connection

from calcmap.core.errors import CalcMapError, DeliveryError, NotInStoreError, TamperedError
from calcmap.core.result import JsonValue
from calcmap.service.destinations import Destination, Parcel
from calcmap.service.outbox import COURIER, Outbox
from calcmap.service.report_files import SET_FILES
from calcmap.service.store_audit import append_event
from calcmap.service.store_outbox import (
    Claim,
    Delivery,
    DeliveryState,
    Outcome,
    Receipt,
    ReportObject,
    ReportSet,
    add_receipt,
    end_delivery,
    keep_claim,
    put_off,
    read_objects,
    read_receipts,
    seconds_later,
    take_delivery,
    uids_sha256,
)
from calcmap.service.store_tables import DELIVERY

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """One attempt at one delivery.

    Parameters
    ----------
    outbox : Outbox
        Where it is written down.
    delivery : Delivery
        As it was taken.
    made : ReportSet
        Its set.
    claim : Claim
        By which this process holds it.
    receipts : list of Receipt
        Of this attempt, as they come.
    """

    outbox: Outbox
    delivery: Delivery
    made: ReportSet
    claim: Claim
    receipts: list[Receipt] = field(default_factory=list)

    def with_outcome(self, outcome: Outcome) -> list[Receipt]:
        """Return the receipts of one outcome."""
        return [each for each in self.receipts if each.outcome is outcome]

    def note(self, receipt: Receipt) -> bool:
        """Write a receipt down before the next object is sent; return whether the claim still holds."""
        self.receipts.append(receipt)
        now_utc = self.outbox.store.now_utc()
        until_utc = seconds_later(now_utc, self.outbox.policy.claim_s)
        with self.outbox.store.database.writing() as connection:
            add_receipt(connection, self.delivery, receipt, time_utc=now_utc)
            return keep_claim(connection, DELIVERY, self.delivery.id, self.claim, until_utc=until_utc)

    @property
    def problem(self) -> str | None:
        """What was not taken and why; ``None`` when all was."""
        missed = [*self.with_outcome(Outcome.REFUSED), *self.with_outcome(Outcome.LATER)]
        words = [f"{each.name}: {each.words}" if each.name else each.words for each in missed]
        return "; ".join(dict.fromkeys(words)) or None


def deliver_next(outbox: Outbox) -> bool:
    """Make one attempt at the oldest delivery that is due; return whether there was one."""
    claim = outbox.new_claim()
    with outbox.store.database.writing() as connection:
        taken = take_delivery(connection, claim, destinations=outbox.by_name)
    if taken is None:
        return False
    attempt = Attempt(outbox, *taken, claim)
    destination = outbox.by_name[attempt.delivery.destination]
    parcel = _parcel(attempt, destination)
    if parcel.objects:
        _hand_over(destination, parcel, attempt)
        _close(attempt, attempt.problem, n_objects=len(parcel.objects))
    else:  # nothing that this place wants, or a process died after the last receipt
        _close(attempt, f"nothing to send: {parcel.reason}" if parcel.reason else None, n_objects=0)
    return True


def _parcel(attempt: Attempt, destination: Destination) -> Parcel:
    """Return what is still to be sent: objects that were taken since it was last asked for are not sent again."""
    store, delivery, made = attempt.outbox.store, attempt.delivery, attempt.made
    with store.database.reading() as connection:
        objects = read_objects(connection, made.id)
        taken = {
            each.receipt.name
            for each in read_receipts(connection, delivery.id)
            if each.attempt >= delivery.since_attempt and each.receipt.outcome is Outcome.ACCEPTED
        }
    left = [one for one in objects if destination.wants(one) and one.name not in taken]

    def content_of(one: ReportObject) -> bytes:
        return store.contents.get(one.sha256)

    return Parcel(
        result_id=made.result_id,
        number=store.review(made.review_id).number if made.review_id is not None else 0,
        objects=tuple(sorted(left, key=lambda one: SET_FILES.index(one.name))),
        content_of=content_of,
        reason=made.reason,
    )


def _hand_over(destination: Destination, parcel: Parcel, attempt: Attempt) -> None:
    """Deliver a parcel and note each receipt as it comes; what ends the attempt early is a receipt too."""
    try:
        for receipt in destination.deliver(parcel):
            if not attempt.note(receipt):
                return  # another process goes on with it
    except (DeliveryError, NotInStoreError, TamperedError) as error:
        attempt.note(Receipt(Outcome.LATER, str(error)))
    except CalcMapError:
        raise
    except Exception as error:
        logger.error("a delivery met a defect: %s", type(error).__name__)
        logger.debug("its traceback", exc_info=True)
        attempt.note(Receipt(Outcome.LATER, f"unexpected {type(error).__name__}"))


def _close(attempt: Attempt, problem: str | None, *, n_objects: int) -> None:
    """Write down what became of an attempt: over, or to be tried again later."""
    outbox, delivery = attempt.outbox, attempt.delivery
    now_utc = outbox.store.now_utc()
    is_given_up = now_utc >= seconds_later(delivery.asked_utc, outbox.policy.give_up_s)
    state = DeliveryState.SENT if problem is None else DeliveryState.DEAD
    if attempt.with_outcome(Outcome.LATER) and not is_given_up:
        state = DeliveryState.WAITING
    with outbox.store.database.writing() as connection:
        if not _write_state(connection, attempt, state, problem, now_utc=now_utc):
            return
        if attempt.with_outcome(Outcome.ACCEPTED) or state is not DeliveryState.WAITING:
            _audit(connection, attempt, state, n_objects=n_objects, now_utc=now_utc)
    logger.info("review %s to %s: %s", attempt.made.review_id, delivery.destination, state.value)


def _write_state(
    connection: Connection, attempt: Attempt, state: DeliveryState, problem: str | None, *, now_utc: str
) -> bool:
    delivery, claim = attempt.delivery, attempt.claim
    if state is not DeliveryState.WAITING:
        return end_delivery(connection, delivery, claim, state, reason=problem, time_utc=now_utc)
    n_failures = delivery.n_attempts - delivery.since_attempt + 2
    next_utc = seconds_later(now_utc, attempt.outbox.policy.wait_s(n_failures))
    return put_off(connection, DELIVERY, delivery, claim, reason=problem or "", next_try_utc=next_utc)


def _audit(connection: Connection, attempt: Attempt, state: DeliveryState, *, n_objects: int, now_utc: str) -> None:
    accepted = attempt.with_outcome(Outcome.ACCEPTED)
    detail: dict[str, JsonValue] = {
        "destination": attempt.delivery.destination,
        "state": state.value,
        "attempt": attempt.delivery.n_attempts + 1,
        "n_objects": n_objects,
        "n_accepted": len(accepted),
        "statuses": [each.status for each in attempt.receipts if each.name is not None],
        "sop_uids_sha256": uids_sha256(each.sop_instance_uid for each in accepted if each.sop_instance_uid),
    }
    subject = f"review:{attempt.made.review_id}"
    append_event(connection, "deliver", subject=subject, actor=COURIER, time_utc=now_utc, detail=detail)
