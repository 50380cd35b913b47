"""The page for several people, really served: over TLS with a certificate of the test's own, or as a proxy sees it."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from calcmap.core.config import config_from_dict
from calcmap.service.accounts_roles import Role
from calcmap.service.serve_config import ServeSettings
from calcmap.service.store import Store
from calcmap.web.access import CSRF_HEADER
from calcmap.web.shared import SharedServer
from service.openid_server import free_port
from service.people import ADMIN, CHEAP, PASSWORD

NAMES = {"vera": Role.VIEWER, "rita": Role.READER, "adam": Role.ADMIN}


def write_certificate(folder: Path) -> dict[str, str]:
    """Write a certificate for localhost that vouches for itself, and its key; return where they are."""
    x509 = pytest.importorskip("cryptography.x509", reason="NO CRYPTOGRAPHY: nothing was served over TLS")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


def make_settings(folder: Path, *, web: dict[str, Any] | None = None, **sections: Any) -> ServeSettings:
    """Return settings of a page at a free port, over plain HTTP unless the web section says otherwise."""
    port = free_port()
    given = web or {}
    scheme = "https" if "certificate" in given or "trusted_proxies" in given else "http"
    table = {
        "store": {"folder": str(folder)},
        "web": {"public_url": f"{scheme}://localhost:{port}", "port": port, **given},
        **sections,
    }
    return config_from_dict(table, ServeSettings, where="test")


@contextmanager
def shared(store: Store, settings: ServeSettings) -> Iterator[SharedServer]:
    """Serve a store for as long as the block lasts, with a viewer, a reader and an admin who have accounts."""
    server = SharedServer(store, settings, cost=CHEAP)
    known = {account.name for account in server.door.accounts.list()}
    for name, role in NAMES.items():
        if name not in known:
            server.door.accounts.add(name, display_name=f"Dr. {name}", role=role, password=PASSWORD, actor=ADMIN)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=30)
        assert not thread.is_alive()


def enter(client: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """Log in as the page does, and learn the header of writes."""
    answer = client.post("/api/login", json={"name": name, "password": password}, headers={CSRF_HEADER: "door"})
    if answer.status_code == 204:
        client.headers[CSRF_HEADER] = client.get("/api/session").json()["csrf"]
    return answer
