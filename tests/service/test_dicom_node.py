from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from calcmap.core.errors import ConfigError, DeliveryError
from calcmap.service.destinations import Parcel
from calcmap.service.dicom_node import NodeDestination, outcome_of
from calcmap.service.node_address import NodeAddress, TlsFiles, check_title, parse_address
from calcmap.service.store_outbox import Outcome, Receipt, ReportObject
from ct_series import ct_images

TITLE = "NODE"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def content_of(one: ReportObject) -> bytes:
    """Return a small object that says the class and UID of a report."""
    image = ct_images()[0]
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = one.sop_class_uid
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = one.sop_instance_uid
    held = BytesIO()
    image.save_as(held, enforce_file_format=True)
    return held.getvalue()


def parcel(*classes: str) -> Parcel:
    objects = tuple(
        ReportObject(f"{n}.dcm", "0" * 64, sop_class, f"1.2.3.{n}") for n, sop_class in enumerate(classes, start=1)
    )
    return Parcel(1, 1, objects, content_of)


ONE, TWO = parcel(SecondaryCaptureImageStorage), parcel(SecondaryCaptureImageStorage, SecondaryCaptureImageStorage)


class Node:
    """A real node on the loopback that answers with the statuses it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int | Dataset] = []
        self.kept: list[Dataset] = []
        self.port = 0

    def store(self, event: evt.Event) -> int | Dataset:
        """Answer one C-STORE."""
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.kept.append(dataset)
        return self.answers.pop(0) if self.answers else 0


@pytest.fixture
def node_of() -> Iterator[Callable[..., Node]]:
    """Return what starts a node."""
    servers: list[ThreadedAssociationServer] = []

    def start(*, needs_title: bool = False, context: ssl.SSLContext | None = None, handlers: list[object] = []) -> Node:  # noqa: B006
        node, entity = Node(), AE(ae_title=TITLE)
        entity.require_called_aet = needs_title
        entity.add_supported_context(SecondaryCaptureImageStorage)
        server = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            ssl_context=context,
            evt_handlers=[(evt.EVT_C_STORE, node.store), *handlers],  # type: ignore[list-item]
        )
        servers.append(server)
        node.port = server.server_address[1]
        return node

    yield start
    for server in servers:
        server.shutdown()


def destination(
    port: int, *, title: str = TITLE, tls: TlsFiles | None = None, host: str = "127.0.0.1"
) -> NodeDestination:
    return NodeDestination(NodeAddress(title, host, port), tls=tls, connect_s=5.0, answer_s=1.0)


def test_objects_arrive_as_they_were_made_with_a_receipt_each(node_of: Callable[..., Node]) -> None:
    node = node_of()
    receipts = list(destination(node.port).deliver(TWO))
    assert receipts == [
        Receipt(Outcome.ACCEPTED, "stored", f"{n}.dcm", f"1.2.3.{n}", 0) for n in (1, 2)
    ]  # fmt: skip
    assert node.kept == [dcmread(BytesIO(content_of(one))) for one in TWO.objects]


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (0x0000, Outcome.ACCEPTED, "stored"),
        (0xB000, Outcome.ACCEPTED, "stored with warning B000"),
        (0xB006, Outcome.ACCEPTED, "stored with warning B006"),
        (0xB007, Outcome.ACCEPTED, "stored with warning B007"),
        (0x0111, Outcome.ACCEPTED, "there already"),
        (0xA700, Outcome.LATER, "out of resources (A700)"),
        (0xA7FF, Outcome.LATER, "out of resources (A7FF)"),
        (0x0110, Outcome.LATER, "processing failure (0110)"),
        (0x0213, Outcome.LATER, "resource limitation (0213)"),
        (0xA900, Outcome.REFUSED, "the object does not match its class (A900)"),
        (0xC000, Outcome.REFUSED, "the object is not understood (C000)"),
        (0x0117, Outcome.REFUSED, "the instance UID is not valid (0117)"),
        (0x0122, Outcome.REFUSED, "its class is not supported (0122)"),
        (0x0124, Outcome.REFUSED, "not authorized (0124)"),
        (0x0999, Outcome.REFUSED, "failed (0999)"),
    ],
)
def test_every_status_has_its_meaning(status: int, outcome: Outcome, words: str) -> None:
    assert outcome_of(status) == (outcome, words)


def test_what_a_node_says_of_one_object_does_not_stop_the_next(node_of: Callable[..., Node]) -> None:
    node = node_of()
    full = Dataset()
    full.Status, full.ErrorComment = 0xA700, "disk full"
    node.answers = [full, 0xB000]
    receipts = list(destination(node.port).deliver(TWO))
    assert [(one.outcome, one.words, one.status) for one in receipts] == [
        (Outcome.LATER, "out of resources (A700): disk full", 0xA700),
        (Outcome.ACCEPTED, "stored with warning B000", 0xB000),
    ]


def test_an_object_whose_class_the_node_does_not_take_is_refused_and_the_others_go(
    node_of: Callable[..., Node],
) -> None:
    node = node_of()
    receipts = list(destination(node.port).deliver(parcel(ENCAPSULATED_PDF, SecondaryCaptureImageStorage)))
    assert [(one.outcome, one.words) for one in receipts] == [
        (Outcome.REFUSED, "its class is not accepted"),
        (Outcome.ACCEPTED, "stored"),
    ]


def test_a_node_that_is_not_there_says_why(node_of: Callable[..., Node]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DeliveryError, match=r"^connection refused$"):
        next(destination(port).deliver(ONE))


def test_a_node_that_wants_another_title_says_so(node_of: Callable[..., Node]) -> None:
    node = node_of(needs_title=True)
    with pytest.raises(DeliveryError, match="rejected the association: called ae title not recognised"):
        next(destination(node.port, title="OTHER").deliver(ONE))


def test_a_node_that_breaks_off_is_tried_again(node_of: Callable[..., Node]) -> None:
    node = node_of(handlers=[(evt.EVT_REQUESTED, lambda event: event.assoc.abort())])
    with pytest.raises(DeliveryError, match="broke off the association"):
        next(destination(node.port).deliver(ONE))


def test_a_node_that_dies_between_two_objects_keeps_the_receipt_of_the_first(node_of: Callable[..., Node]) -> None:
    node = node_of()
    going = destination(node.port).deliver(TWO)
    assert next(going).outcome is Outcome.ACCEPTED

    for association in threading.enumerate():
        if hasattr(association, "is_acceptor") and association.is_acceptor:
            association.abort()
    with pytest.raises(DeliveryError, match=r"broke off"):
        next(going)


def test_a_node_that_accepts_and_never_answers_costs_only_its_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(DeliveryError, match="broke off the association"):
            next(destination(deaf.getsockname()[1]).deliver(ONE))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate of ``localhost``, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "node.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
    ]
    names = ["2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path)]
    try:
        done = subprocess.run([*command, *names], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NO OPENSSL: sending over TLS was not tested ({error})")
    path.write_text(path.read_text(encoding="utf-8") + done.stdout, encoding="utf-8")
    return path


def test_objects_go_encrypted_to_a_node_whose_certificate_is_trusted(
    node_of: Callable[..., Node], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    node = node_of(context=context)
    tls = TlsFiles(trusted=certificate, certificate=certificate)
    (receipt,) = destination(node.port, tls=tls, host="localhost").deliver(ONE)
    assert receipt.outcome is Outcome.ACCEPTED
    with pytest.raises(DeliveryError, match=r"self.signed certificate"):
        next(destination(node.port, tls=TlsFiles(), host="localhost").deliver(ONE))
    with pytest.raises(DeliveryError, match="ip address mismatch"):
        next(destination(node.port, tls=tls).deliver(ONE))


def test_certificates_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="certificates for sending cannot be used"):
        TlsFiles(trusted=tmp_path / "absent.pem").context()


def test_an_address_is_title_host_and_port() -> None:
    assert parse_address("PACS@pacs.example:104") == NodeAddress("PACS", "pacs.example", 104)
    assert str(parse_address("MY PACS@[::1]:11112")) == "MY PACS@[::1]:11112"
    assert destination(104).name == "NODE@127.0.0.1:104"
    assert destination(104).wants(ONE.objects[0])
    assert not destination(104).wants(ReportObject("report.pdf", "0" * 64))


@pytest.mark.parametrize(
    "text",
    ["", "PACS", "PACS@host", "PACS@host:0", "PACS@host:65536", "@host:104", "PACS@ho st:104", "A" * 17 + "@h:1"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        parse_address(text)


@pytest.mark.parametrize("title", ["", " ", "x" * 17, "a\\b", "Ä"])
def test_what_is_no_title_is_refused(title: str) -> None:
    with pytest.raises(ConfigError, match="is no AE title"):
        check_title(title)
