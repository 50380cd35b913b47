"""A DICOM node as a destination of reports: C-STORE, with the meaning of every status."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from calcmap.core.errors import DeliveryError
from calcmap.service.destinations import Parcel
from calcmap.service.node_address import OUR_TITLE, NodeAddress, TlsFiles
from calcmap.service.store_outbox import Outcome, Receipt, ReportObject

CONNECT_S = 10.0
"""How long a node may take to accept a connection (our choice)."""
ANSWER_S = 30.0
"""How long it may take to each answer (our choice)."""
SUCCESS = 0x0000
WARNINGS = (0xB000, 0xB006, 0xB007)
"""Stored, with elements coerced, discarded, or not as its class says (PS3.4, B.2.3)."""
ALREADY_THERE = 0x0111
"""Duplicate SOP instance (PS3.7, C.5): UIDs are ours and stable, so it is the same object."""
OUT_OF_RESOURCES = range(0xA700, 0xA800)
TRY_AGAIN = (0x0110, 0x0211, 0x0213)
"""Processing failure, unrecognized operation and resource limitation: a node that starts or is full says so."""
MEANINGS: tuple[tuple[range, str], ...] = (
    (OUT_OF_RESOURCES, "out of resources"),
    (range(0xA900, 0xAA00), "the object does not match its class"),
    (range(0xC000, 0xD000), "the object is not understood"),
    (range(0x0110, 0x0111), "processing failure"),
    (range(0x0117, 0x0118), "the instance UID is not valid"),
    (range(0x0122, 0x0123), "its class is not supported"),
    (range(0x0124, 0x0125), "not authorized"),
    (range(0x0213, 0x0214), "resource limitation"),
)
"""What failures mean (PS3.4, table B.2-1; PS3.7, C.5)."""
MAX_COMMENT = 64


@dataclass(frozen=True)
class NodeDestination:
    """A DICOM node that takes objects by C-STORE.

    Parameters
    ----------
    address : NodeAddress
        Whom to call.
    our_title : str
        Who calls.
    tls : TlsFiles or None
        ``None``: not encrypted.
    connect_s, answer_s : float
        How long the node may take, seconds.
    """

    address: NodeAddress
    our_title: str = OUR_TITLE
    tls: TlsFiles | None = None
    connect_s: float = CONNECT_S
    answer_s: float = ANSWER_S

    @property
    def name(self) -> str:
        """Its name in the store: title, host and port."""
        return str(self.address)

    def wants(self, one: ReportObject) -> bool:
        """Tell whether an object is DICOM."""
        return one.sop_instance_uid is not None

    def deliver(self, parcel: Parcel) -> Iterator[Receipt]:
        """Send every object over one association."""
        association = self._associate(parcel)
        try:
            for one in parcel.objects:
                yield _store(association, one, parcel.content_of(one))
        finally:
            if association.is_established:
                association.release()

    def _associate(self, parcel: Parcel) -> Association:
        tls = self.tls.context() if self.tls is not None else None
        self._knock(tls)
        entity = AE(ae_title=self.our_title)
        entity.connection_timeout, entity.acse_timeout = self.connect_s, self.answer_s
        entity.dimse_timeout = entity.network_timeout = self.answer_s
        for sop_class_uid in sorted({one.sop_class_uid or "" for one in parcel.objects}):
            entity.add_requested_context(sop_class_uid)
        association = entity.associate(
            self.address.host,
            self.address.port,
            ae_title=self.address.title,
            tls_args=(tls, self.address.host) if tls is not None else None,
        )
        if not association.is_established:
            raise DeliveryError(_why_not(association))
        return association

    def _knock(self, tls: ssl.SSLContext | None) -> None:
        """Connect and go: the system says why it cannot be done, pynetdicom keeps that to itself and leaks a socket."""
        try:
            with socket.create_connection((self.address.host, self.address.port), self.connect_s) as plain:
                if tls is not None:
                    tls.wrap_socket(plain, server_hostname=self.address.host).close()
        except OSError as error:
            words = getattr(error, "verify_message", "") or error.strerror or str(error) or type(error).__name__
            raise DeliveryError(words.lower()) from error


def outcome_of(status: int) -> tuple[Outcome, str]:
    """Return what a C-STORE status means for an object, and words for it."""
    if status == SUCCESS:
        return Outcome.ACCEPTED, "stored"
    if status == ALREADY_THERE:
        return Outcome.ACCEPTED, "there already"
    if status in WARNINGS:
        return Outcome.ACCEPTED, f"stored with warning {status:04X}"
    meaning = next((words for codes, words in MEANINGS if status in codes), "failed")
    is_later = status in OUT_OF_RESOURCES or status in TRY_AGAIN
    return Outcome.LATER if is_later else Outcome.REFUSED, f"{meaning} ({status:04X})"


def _why_not(association: Association) -> str:
    if not association.is_rejected:
        return "the node broke off the association"
    answer = association.acceptor.primitive
    return f"the node rejected the association: {answer.reason_str.lower() if answer else 'no reason given'}"


def _store(association: Association, one: ReportObject, content: bytes) -> Receipt:
    if one.sop_class_uid not in {context.abstract_syntax for context in association.accepted_contexts}:
        return Receipt(Outcome.REFUSED, "its class is not accepted", one.name, one.sop_instance_uid)
    if not association.is_established:
        raise DeliveryError(f"the node broke off before {one.name}")
    answer = association.send_c_store(dcmread(BytesIO(content)))
    if "Status" not in answer:
        raise DeliveryError(f"the node did not answer to {one.name}, or broke off")
    outcome, words = outcome_of(answer.Status)
    return Receipt(outcome, f"{words}{_comment(answer)}", one.name, one.sop_instance_uid, answer.Status)


def _comment(answer: Dataset) -> str:
    comment = "".join(filter(str.isprintable, str(answer.get("ErrorComment") or "")))
    return f": {comment[:MAX_COMMENT]}" if comment else ""
