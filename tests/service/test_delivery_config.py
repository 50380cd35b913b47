from __future__ import annotations

from pathlib import Path

import pytest

from calcmap.core.errors import ConfigError
from calcmap.service.delivery_config import DeliverySettings
from calcmap.service.serve_config import load_serve_settings
from calcmap.service.signatories import NOT_STATED
from calcmap.service.store import open_store

FILE = """
[store]
folder = "{folder}"
[web]
public_url = "http://localhost:8443"
[delivery]
nodes = ["PACS@pacs.example:104", "ARCHIVE@10.0.0.7:11112", "PACS@pacs.example:104"]
our_title = "CALCMAP_LAB"
organization = "Klinik für Herzen"
"""


def test_a_server_is_told_where_verified_reports_go(tmp_path: Path) -> None:
    path = tmp_path / "calcmap.toml"
    path.write_text(FILE.format(folder=tmp_path / "store"), encoding="utf-8")
    settings = load_serve_settings(path).delivery
    assert settings is not None
    store = open_store(tmp_path / "store")
    outbox = settings.open_outbox(store)
    assert outbox.outgoing.destinations == ("PACS@pacs.example:104", "ARCHIVE@10.0.0.7:11112")
    assert outbox.organization == "Klinik für Herzen"
    store.close()


def test_without_nodes_a_folder_is_the_only_place(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    outbox = DeliverySettings().open_outbox(store, folders={1: tmp_path})
    assert (outbox.outgoing.destinations, outbox.organization) == (("folder",), NOT_STATED)
    store.close()


def test_every_complaint_is_told_at_once(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    with pytest.raises(ConfigError) as told:
        DeliverySettings(nodes=("PACS",), our_title="x" * 17, organization=" ", trusted=absent)
    for words in (
        "'PACS' is no address",
        "is no AE title",
        "the verifier's organization is ' '",
        "certificates make sense with tls = true alone",
        "absent.pem cannot be read",
    ):
        assert words in str(told.value)


def test_certificates_are_read_before_anything_is_served(tmp_path: Path) -> None:
    path = tmp_path / "trusted.pem"
    path.write_text("no certificate", encoding="utf-8")
    settings = DeliverySettings(nodes=("PACS@localhost:104",), tls=True, trusted=path)
    store = open_store(tmp_path / "store")
    with pytest.raises(ConfigError, match="certificates for sending cannot be used"):
        settings.open_outbox(store)
    store.close()
