"""OpenID Connect against made-up answers, each wrong in one way; against a real provider in ``tests/web``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from calcmap.core.errors import NotSignedInError
from calcmap.service.accounts_roles import Role
from calcmap.service.oidc import FRESH_S, LEEWAY_S, Flow, Provider, new_flow, role_of
from calcmap.service.serve_config import OidcSettings

ISSUER, CLIENT, BACK = "https://login.example/realm", "calcmap", "https://calcmap.example/oidc/callback"
NOW = 1_800_000_000
KEY, STRANGERS = RSAKey.generate_key(2048, {"kid": "one"}), RSAKey.generate_key(2048, {"kid": "one"})
SECRET = "a secret of sixteen bytes and more, for this test alone"
Tamper = Callable[[dict[str, Any]], None]


class MadeUp:
    """A provider that answers as it is told."""

    def __init__(self) -> None:
        self.description: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth?realm=lab",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
        self.claims: dict[str, Any] = {}
        self.key: Any = KEY
        self.published = KEY
        self.header = {"alg": "RS256", "kid": "one"}
        self.userinfo: dict[str, Any] = {}
        self.asked: list[httpx.Request] = []
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path.removeprefix("/realm")
        said: Any = {
            "/.well-known/openid-configuration": self.description,
            "/keys": KeySet([self.published]).as_dict(private=False),
            "/token": {"id_token": self.token(), "access_token": "opaque"},
            "/me": self.userinfo,
        }[path]
        return httpx.Response(self.status, content=json.dumps(said))

    def token(self) -> str:
        return jwt.encode(self.header, self.claims, self.key, algorithms=["RS256", "HS256"])


class Way:
    """One login: what the browser holds, and a provider that is right unless it is told otherwise."""

    def __init__(self, **settings: Any) -> None:
        self.made_up = MadeUp()
        self.time = float(NOW)
        given: dict[str, Any] = {"issuer": ISSUER, "client_id": CLIENT, "roles": {"readers": Role.READER}} | settings
        self.provider = Provider(
            OidcSettings(**given),
            redirect_url=BACK,
            clock=lambda: self.time,
            transport=httpx.MockTransport(self.made_up),
        )
        self.flow = new_flow()
        self.answer = {"state": self.flow.state, "code": "c0de"}
        self.made_up.claims = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": "4711",
            "iat": NOW,
            "exp": NOW + 300,
            "nonce": self.flow.nonce,
            "preferred_username": "mara",
            "name": "Dr. Mara Lind",
            "groups": ["staff", "readers"],
        }

    def end(self) -> Any:
        return self.provider.user_of(self.flow, self.answer)


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Way:
    monkeypatch.setenv("CALCMAP_OIDC_CLIENT_SECRET", SECRET)
    return Way()


def test_the_browser_is_sent_with_all_that_the_protocol_asks_for(way: Way) -> None:
    address = urlsplit(way.provider.address_of(way.flow))
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{ISSUER}/auth"
    assert asked == {
        "realm": "lab",
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": BACK,
        "scope": "openid profile",
        "state": way.flow.state,
        "nonce": way.flow.nonce,
        "code_challenge": way.flow.challenge,
        "code_challenge_method": "S256",
    }
    assert len({way.flow.state, way.flow.nonce, way.flow.verifier, way.flow.challenge, way.flow.secret}) == 5
    assert Flow(way.flow.secret) == way.flow != new_flow()


def test_the_challenge_is_that_of_the_standards_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flow, "verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")  # RFC 7636, appendix B
    assert Flow("x").challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_right_token_says_who_it_is(way: Way) -> None:
    user = way.end()
    assert (user.issuer, user.subject, user.name, user.display_name) == (ISSUER, "4711", "mara", "Dr. Mara Lind")
    assert user.role is Role.READER
    (token,) = [request for request in way.made_up.asked if request.url.path.endswith("/token")]
    sent = {name: values[0] for name, values in parse_qs(token.content.decode()).items()}
    assert sent == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": BACK,
        "code_verifier": way.flow.verifier,
    }
    assert token.headers["authorization"].startswith("Basic ")


def test_a_public_client_shows_no_secret() -> None:
    way = Way()
    way.end()
    token = next(request for request in way.made_up.asked if request.url.path.endswith("/token"))
    assert "authorization" not in token.headers
    assert b"client_id=calcmap" in token.content


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"nonce": "another"},
        {"exp": NOW - LEEWAY_S - 1},
        {"nbf": NOW + LEEWAY_S + 10},
        {"iat": NOW + LEEWAY_S + 10},
        *({name: None} for name in ("iss", "aud", "nonce", "exp", "iat", "sub")),
    ],
)
def test_a_token_that_is_wrong_in_one_claim_lets_nobody_in(way: Way, claims: dict[str, Any]) -> None:
    way.made_up.claims |= claims
    way.made_up.claims = {name: value for name, value in way.made_up.claims.items() if value is not None}
    with pytest.raises(NotSignedInError, match="token"):
        way.end()


def test_a_token_that_somebody_else_signed_lets_nobody_in(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="calcmap")
    way.made_up.key = STRANGERS
    with pytest.raises(NotSignedInError, match="token is not right"):
        way.end()
    assert "Mara" not in caplog.text


@pytest.mark.parametrize("header", [{"alg": "HS256", "kid": "one"}, {"alg": "none"}])
def test_a_token_signed_with_the_pages_own_secret_or_not_at_all_lets_nobody_in(
    way: Way, header: dict[str, str]
) -> None:
    way.made_up.header, way.made_up.key = header, OctKey.import_key(SECRET, {"kid": "one"})
    if header["alg"] == "none":
        right = way.made_up.__class__.token
        way.made_up.header, way.made_up.key = {"alg": "RS256", "kid": "one"}, KEY
        signed = right(way.made_up).split(".")
        unsigned = f"eyJhbGciOiJub25lIn0.{signed[1]}."
        way.made_up.token = lambda: unsigned  # type: ignore[method-assign]
    with pytest.raises(NotSignedInError, match="token is not right"):
        way.end()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"state": "another"}, "another login"),
        ({"state": ""}, "another login"),
        ({"code": None}, "no code"),
        ({"error": "access_denied"}, "did not let you in"),
        ({"error": "<script>"}, "reports an error"),
        ({"iss": "https://evil.example"}, "not of the configured provider"),
    ],
)
def test_an_answer_that_is_not_meant_so_lets_nobody_in(way: Way, answer: dict[str, str | None], words: str) -> None:
    way.answer = {name: value for name, value in (way.answer | answer).items() if value is not None}
    with pytest.raises(NotSignedInError, match=words):
        way.end()


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"issuer": "https://login.example"}, "names itself otherwise"),
        ({"token_endpoint": "http://login.example/token"}, "not encrypted"),
        ({"jwks_uri": None}, "not complete"),
        ({"authorization_response_iss_parameter_supported": True}, "configured provider"),
    ],
)
def test_a_provider_that_is_not_the_configured_one_lets_nobody_in(
    way: Way, description: dict[str, Any], words: str
) -> None:
    way.made_up.description |= description
    with pytest.raises(NotSignedInError, match=words):
        way.end()


def test_a_provider_that_is_ill_lets_nobody_in(way: Way) -> None:
    way.made_up.status = 500
    with pytest.raises(NotSignedInError, match="refused this login"):
        way.end()

    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("too long", request=request)

    settings = OidcSettings(ISSUER, CLIENT, {"a": Role.READER})
    provider = Provider(settings, redirect_url=BACK, transport=httpx.MockTransport(silent))
    with pytest.raises(NotSignedInError, match="does not answer"):
        provider.address_of(new_flow())
    provider.close()


def test_what_the_token_does_not_say_is_asked_for(way: Way) -> None:
    way.made_up.description["userinfo_endpoint"] = f"{ISSUER}/me"
    del way.made_up.claims["groups"]
    way.made_up.userinfo = {"sub": "4711", "groups": "readers", "name": "of no weight"}
    user = way.end()
    assert (user.role, user.display_name) == (Role.READER, "Dr. Mara Lind")
    way.made_up.userinfo["sub"] = "another"
    with pytest.raises(NotSignedInError, match="two people"):
        way.end()


def test_new_keys_are_fetched_when_they_are_met_and_old_ones_kept_an_hour(way: Way) -> None:
    way.end()
    way.end()
    assert sum(request.url.path.endswith("/keys") for request in way.made_up.asked) == 1
    fresh = RSAKey.generate_key(2048, {"kid": "two"})
    way.made_up.key = way.made_up.published = fresh
    way.made_up.header = {"alg": "RS256", "kid": "two"}
    assert way.end().subject == "4711"
    way.made_up.claims |= {"exp": NOW + 10**6}
    way.time += FRESH_S + 1
    way.end()
    assert sum(request.url.path.endswith("/keys") for request in way.made_up.asked) == 3


@pytest.mark.parametrize(
    ("said", "role"),
    [
        (["viewers", "readers"], Role.READER),
        (["viewers"], Role.VIEWER),
        ("viewers", Role.VIEWER),
        (["visitors"], None),
        ([], None),
        (None, None),
        ({"readers": 1}, None),
    ],
)
def test_the_first_entry_of_the_table_that_one_has_is_ones_role(said: object, role: Role | None) -> None:
    assert role_of(said, {"readers": Role.READER, "viewers": Role.VIEWER}) is role
