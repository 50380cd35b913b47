"""One piece of the courier's work: the reports of one signed review, made and written down."""

from __future__ import annotations

import logging

from calcmap.core.errors import CalcMapError, InputError, OutputError, StoreError
from calcmap.service.outbox import COURIER, Outbox
from calcmap.service.store_outbox import (
    Claim,
    ReportObject,
    ReportSet,
    audit_objects,
    end_set,
    put_off,
    seconds_later,
    take_set,
)
from calcmap.service.store_tables import REPORT_SET

REPORTS_MISSING = "the packages that make DICOM reports are not installed: pip install 'calcmap[service]'"

logger = logging.getLogger(__name__)


def make_next(outbox: Outbox) -> bool:
    """Make the oldest set of reports that is due; return whether there was one.

    What cannot be made as DICOM is written down with the reason, and what needs no DICOM goes out. A store that fails
    is asked again later.
    """
    claim = outbox.new_claim()
    with outbox.store.database.writing() as connection:
        taken = take_set(connection, claim)
    if taken is None or taken.review_id is None:
        return False
    try:
        objects, reason = _make(outbox, taken, taken.review_id)
    except StoreError as error:
        _put_off(outbox, taken, claim, error)
        return True
    _write_down(outbox, taken, claim, objects, reason)
    return True


def _make(outbox: Outbox, taken: ReportSet, review_id: int) -> tuple[list[ReportObject], str | None]:
    """Return the objects of a set, and why there is no DICOM among them, if so."""
    # highdicom and matplotlib take a second to import: not before somebody has signed
    try:
        from calcmap.service.verified_reports import load_signed, make_verified, report_objects
    except ImportError:
        return [], REPORTS_MISSING
    signed = load_signed(outbox.store, review_id)
    made, reason = None, None
    try:
        made = make_verified(outbox.store, signed, organization=taken.organization)
    except (InputError, OutputError) as error:
        reason = str(error)
    except CalcMapError:
        raise
    except Exception as error:
        reason = f"unexpected {type(error).__name__}"
        logger.error("review %d: making reports met a defect: %s", review_id, type(error).__name__)
        logger.debug("its traceback", exc_info=True)
    return report_objects(outbox.store, signed, made, report_set=taken), reason


def _write_down(
    outbox: Outbox, taken: ReportSet, claim: Claim, objects: list[ReportObject], reason: str | None
) -> None:
    now_utc = outbox.store.now_utc()
    with outbox.store.database.writing() as connection:
        if end_set(connection, taken, claim, objects=objects, reason=reason, time_utc=now_utc):
            audit_objects(connection, taken, objects, reason=reason, actor=COURIER, time_utc=now_utc)
    logger.info("review %s: %d reports made", taken.review_id, len(objects))


def _put_off(outbox: Outbox, taken: ReportSet, claim: Claim, error: CalcMapError) -> None:
    """Try again later, or give up when it was tried for as long as a delivery would be."""
    logger.warning("review %s: reports wait: %s", taken.review_id, error)
    now_utc = outbox.store.now_utc()
    if now_utc >= seconds_later(taken.asked_utc, outbox.policy.give_up_s):
        _write_down(outbox, taken, claim, [], str(error))
        return
    next_utc = seconds_later(now_utc, outbox.policy.wait_s(taken.n_attempts + 1))
    with outbox.store.database.writing() as connection:
        put_off(connection, REPORT_SET, taken, claim, reason=str(error), next_try_utc=next_utc)
