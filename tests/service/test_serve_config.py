from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calcmap.core.config import config_from_dict
from calcmap.core.errors import ConfigError
from calcmap.service.accounts_roles import Role
from calcmap.service.serve_config import ServeSettings, load_serve_settings, read_secret

OPEN = {"public_url": "https://calcmap.lab.example", "trusted_proxies": ["127.0.0.1"]}


def build(**sections: Any) -> ServeSettings:
    table = {"store": {"folder": "/srv/calcmap"}, "web": dict(OPEN)}
    for name, keys in sections.items():
        table[name] = {**table.get(name, {}), **keys}
    return config_from_dict(table, ServeSettings, where="here")


def test_a_small_file_is_enough() -> None:
    settings = build()
    assert (settings.users.passwords, settings.users.min_password_characters) == (True, 12)
    assert (settings.sessions.idle_minutes, settings.sessions.absolute_hours) == (30, 12)
    assert (settings.limits.burst, settings.limits.per_second, settings.oidc) == (1000, 40, None)
    assert (settings.web.host, settings.web.port, settings.web.is_secure) == ("127.0.0.1", 8443, True)


def test_every_complaint_is_listed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(
        """
[store]
folder = "relative"
password_file = "/nowhere/secret"
[web]
public_url = "http://calcmap.lab.example"
host = "0.0.0.0"
port = 70000
certificat = "/etc/cert.pem"
[users]
min_password_characters = 8
[sesions]
[limits]
burst = 0
[oidc]
issuer = "http://login.example"
client_id = "calcmap"
client_secret = "PLANTED"
roles = {}
""",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as refusal:
        load_serve_settings(file)
    for complaint in (
        "store.folder is 'relative', expected a path from /",
        "store.password_file makes sense beside store.url alone",
        "store.password_file is '/nowhere/secret', which cannot be read",
        "web.public_url is 'http://calcmap.lab.example', expected https",
        "web.host is '0.0.0.0', open to others, without TLS",
        "web.port is 70000",
        "unknown key web.certificat (did you mean web.certificate?)",
        "users.min_password_characters is 8, expected 12 to 256",
        "unknown key sesions (did you mean sessions?)",
        "limits.burst is 0",
        "oidc.issuer is 'http://login.example', expected https",
        "unknown key oidc.client_secret (did you mean oidc.client_secret_file?)",
        "oidc.roles is empty",
    ):
        assert complaint in str(refusal.value)
    assert "PLANTED" not in str(refusal.value)


@pytest.mark.parametrize(
    ("web", "words"),
    [
        ({"public_url": "calcmap.lab.example"}, "expected https://name"),
        ({"public_url": "https://a.example/path"}, "expected https://name"),
        ({"public_url": "https://user@a.example"}, "expected https://name"),
        ({"public_url": "https://a.example:port"}, "is no URL"),
        ({"trusted_proxies": []}, "https exactly when"),
        ({"trusted_proxies": ["proxy.example"]}, "expected an address or network"),
        ({"host": "calcmap.lab.example"}, "expected an address of this machine"),
        ({"names": ["https://a.example"]}, "without scheme"),
        ({"certificate": "/etc/hostname"}, "belong together"),
        ({"certificate": "/etc/hostname", "key": "/etc/hostname"}, "contradict each other"),
        ({"certificate": "cert.pem"}, "a path from / on"),
        ({"public_url": "http://localhost:8080"}, "https exactly when"),
    ],
)
def test_what_would_not_be_safe_is_refused(web: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(web=web)


@pytest.mark.parametrize(
    ("web", "hosts", "origin"),
    [
        ({}, ("calcmap.lab.example",), "https://calcmap.lab.example"),
        ({"public_url": "https://CalcMap.lab.example:443/"}, ("calcmap.lab.example",), "https://calcmap.lab.example"),
        ({"public_url": "https://a.example:8443", "names": ["B.example"]}, ("a.example:8443", "b.example:8443"), None),
        ({"public_url": "http://127.0.0.1:8080", "trusted_proxies": []}, ("127.0.0.1:8080",), "http://127.0.0.1:8080"),
        ({"public_url": "https://[2001:db8::1]:9443"}, ("[2001:db8::1]:9443",), "https://[2001:db8::1]:9443"),
    ],
)
def test_the_page_answers_to_its_public_names_alone(
    web: dict[str, Any], hosts: tuple[str, ...], origin: str | None
) -> None:
    settings = build(web=web).web
    assert settings.hosts == hosts
    assert settings.origins[0] == (origin or f"https://{hosts[0]}")
    assert settings.base_url == settings.origins[0]


def test_a_certificate_of_ones_own_opens_every_address() -> None:
    files = {"certificate": "/etc/hostname", "key": "/etc/hostname", "trusted_proxies": [], "host": "0.0.0.0"}
    assert build(web=files).web.is_secure


def test_the_databases_password_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p@ss/word\n", encoding="utf-8")
    url = "postgresql://calcmap@db/calcmap"
    assert build().store.database_url() is None
    assert build(store={"url": url}).store.database_url() == url
    given = build(store={"url": url, "password_file": str(tmp_path / "secret")}).store.database_url()
    assert given == "postgresql://calcmap:p%40ss%2Fword@db/calcmap"
    with pytest.raises(ConfigError, match=r"store\.url holds a password") as refusal:
        build(store={"url": "postgresql://calcmap:PLANTED@db/calcmap"})
    assert "PLANTED" not in str(refusal.value)
    with pytest.raises(ConfigError, match=r"store\.url is no URL"):
        build(store={"url": "no url"})


def test_somebody_must_be_able_to_come_in() -> None:
    with pytest.raises(ConfigError, match="nobody could come in"):
        build(users={"passwords": False})
    oidc = {"issuer": "https://login.example", "client_id": "calcmap", "roles": {"readers": "reader"}}
    assert build(users={"passwords": False}, oidc=oidc).oidc is not None


def test_the_clients_secret_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    oidc: dict[str, Any] = {"issuer": "https://login.example", "client_id": "calcmap", "roles": {"readers": "reader"}}
    settings = build(oidc=oidc).oidc
    assert settings is not None
    assert settings.roles == {"readers": Role.READER}
    assert settings.client_secret({}) is None
    assert settings.client_secret({"CALCMAP_OIDC_CLIENT_SECRET": "s"}) == "s"
    (tmp_path / "secret").write_text("of the file\n", encoding="utf-8")
    settings = build(oidc=oidc | {"client_secret_file": str(tmp_path / "secret")}).oidc
    assert settings is not None
    assert settings.client_secret({"CALCMAP_OIDC_CLIENT_SECRET": "s"}) == "of the file"
    with pytest.raises(ConfigError, match=r"oidc\.scopes lacks openid"):
        build(oidc=oidc | {"scopes": ["profile"]})


def test_a_secret_that_is_not_there_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    for name, words in (("empty", "is empty"), ("none", "cannot be read")):
        with pytest.raises(ConfigError, match=words):
            read_secret(tmp_path / name)
