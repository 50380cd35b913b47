from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from calcmap.core.errors import ConfigError
from calcmap.service.store_postgres import ANSWER_TIMEOUT_S, postgres_arguments


def arguments(url: str) -> dict[str, Any]:
    return postgres_arguments(make_url(url))[1]


def test_a_plain_url_has_its_driver_and_a_patience() -> None:
    url, given = postgres_arguments(make_url("postgresql://reader:word@db:5433/calcmap"))
    assert url.render_as_string(hide_password=False) == "postgresql+pg8000://reader:word@db:5433/calcmap"
    assert given == {"timeout": ANSWER_TIMEOUT_S}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("host=/run/postgresql", {"unix_sock": "/run/postgresql/.s.PGSQL.5432"}),
        ("host=/run/postgresql/", {"unix_sock": "/run/postgresql/.s.PGSQL.5432"}),
        ("host=db", {"host": "db"}),
        ("connect_timeout=7", {"timeout": 7.0}),
        ("application_name=calcmap", {"application_name": "calcmap"}),
        ("options=-csearch_path%3Dlab", {"startup_params": {"options": "-csearch_path=lab"}}),
        ("sslmode=disable", {"ssl_context": False}),
    ],
)
def test_known_keys_become_what_the_driver_takes(query: str, wanted: dict[str, object]) -> None:
    given = arguments(f"postgresql://reader@/calcmap?{query}")
    assert {key: given[key] for key in wanted} == wanted


def test_a_socket_is_named_by_its_port() -> None:
    assert arguments("postgresql://a@:5433/b?host=/run")["unix_sock"] == "/run/.s.PGSQL.5433"


def test_encryption_knows_whether_the_server_is_checked() -> None:
    required = arguments("postgresql://a@b/c?sslmode=require")["ssl_context"]
    verified = arguments("postgresql://a@b/c?sslmode=verify-full")["ssl_context"]
    assert (required.verify_mode, required.check_hostname) == (ssl.CERT_NONE, False)
    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_certificates_to_trust_mean_that_the_server_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sslrootcert of the store's database URL cannot be read"):
        arguments(f"postgresql://a@b/c?sslrootcert={tmp_path}/none.pem")


def test_a_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    assert arguments("postgresql://a@b/c")["password"] == "of the environment"
    assert "password" not in arguments("postgresql://a:own@b/c")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sslcert=a&target_session_attrs=any", "has sslcert, target_session_attrs; understood are host, sslmode"),
        ("host=a&host=b", "has host more than once"),
        ("sslmode=prefer", "sslmode prefer, expected disable, require or verify-full"),
        ("connect_timeout=soon", "connect_timeout soon, expected whole seconds from 1 on"),
        ("connect_timeout=0", "connect_timeout 0, expected"),
    ],
)
def test_what_is_not_understood_is_refused_without_the_password(query: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        arguments(f"postgresql://a:secretword@b/c?{query}")
    assert "secretword" not in str(refusal.value)
