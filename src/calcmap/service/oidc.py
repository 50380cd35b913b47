"""OpenID Connect: a provider's users come in by the authorization code flow with PKCE.

Nothing is stored before somebody is in: state, nonce and the verifier of PKCE are made from one random value, which the
browser keeps in a cookie of its own meanwhile. Tokens are verified by joserfc.

References
----------
OpenID Connect Core 1.0, 3.1; Discovery 1.0, 4. RFC 7636 (PKCE), RFC 9207 (the issuer in the answer).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from calcmap.core.errors import ConfigError, NotSignedInError
from calcmap.service.accounts_roles import Role
from calcmap.service.logins import ProvidedUser
from calcmap.service.serve_config import OidcSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that are taken: none that the page's own secret could make, and not ``none``."""
PATIENCE_S = 10.0
"""How long the provider may take to answer (our choice)."""
FRESH_S = 3600.0
"""How long the provider's description and keys are kept (our choice); an unknown key asks for them anew."""
LEEWAY_S = 60
"""How far the provider's clock may be off (our choice)."""
FLOW_BYTES = 32

Json = dict[str, Any]  # Any: what a provider says, checked where it is used

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Flow:
    """One way to the provider and back, made from what the browser's cookie holds."""

    secret: str

    @property
    def state(self) -> str:
        """Comes back with the answer: it was this browser that was sent."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Comes back in the token: it was made for this way."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Shown with the code: nobody else can use it."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """SHA-256 of the verifier."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())

    def _derived(self, label: str) -> str:
        return _base64url(hmac.digest(self.secret.encode(), label.encode(), "sha256"))


def new_flow() -> Flow:
    """Return a way that nobody went."""
    return Flow(secrets.token_urlsafe(FLOW_BYTES))


class Provider:
    """One OpenID provider; safe to share between threads.

    Parameters
    ----------
    settings : OidcSettings
        Who it is, and what its claims mean.
    redirect_url : str
        Where it sends people back.
    clock : callable
        Returns seconds since 1970.
    transport : BaseTransport, optional
        Carries requests otherwise than by the network.

    Raises
    ------
    ConfigError
        The certificates to trust or the secret cannot be read.
    """

    def __init__(
        self,
        settings: OidcSettings,
        *,
        redirect_url: str,
        clock: Callable[[], float] = time.time,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._redirect_url = redirect_url
        self._clock = clock
        self._secret = settings.client_secret()
        self._http = httpx.Client(timeout=PATIENCE_S, verify=_trust(settings), transport=transport)
        self._lock = threading.Lock()
        self._known: tuple[float, Json, KeySet] | None = None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def address_of(self, flow: Flow) -> str:
        """Return where the browser is sent; `NotSignedInError` when the provider does not answer."""
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect_url,
            "scope": " ".join(self.settings.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": flow.challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(self._described()[0]["authorization_endpoint"])
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def user_of(self, flow: Flow, answer: Mapping[str, str]) -> ProvidedUser:
        """Return for whom the provider vouches.

        Parameters
        ----------
        flow : Flow
            From the browser's cookie.
        answer : mapping
            The query with which the browser came back.

        Returns
        -------
        ProvidedUser
            From a token whose signature, issuer, audience, times and nonce are right.

        Raises
        ------
        NotSignedInError
            Anything is not as it should be; the message says what, and holds nothing secret.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), flow.state.encode()):
            raise NotSignedInError("this answer of the provider is of another login: begin anew")
        described, _ = self._described()
        self._check_answer(answer, described)
        tokens = self._tokens(described, code=answer["code"], flow=flow)
        claims = self._claims(str(tokens.get("id_token", "")), flow)
        return self._user(self._with_userinfo(described, claims, str(tokens.get("access_token", ""))))

    def _check_answer(self, answer: Mapping[str, str], described: Json) -> None:
        is_named = bool(described.get("authorization_response_iss_parameter_supported"))
        if (is_named or "iss" in answer) and answer.get("iss") != self.settings.issuer:
            raise NotSignedInError("the answer is not of the configured provider")
        if "error" in answer:
            said = {"access_denied": "the provider did not let you in"}.get(
                answer["error"], "the provider reports an error"
            )
            raise NotSignedInError(said)
        if "code" not in answer:
            raise NotSignedInError("the provider's answer holds no code")

    def _tokens(self, described: Json, *, code: str, flow: Flow) -> Json:
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_url,
            "code_verifier": flow.verifier,
        }
        methods = described.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        client, secret = self.settings.client_id, self._secret
        if secret is not None and "client_secret_basic" in methods:
            basic = httpx.BasicAuth(quote(client, safe=""), quote(secret, safe=""))
            return self._json(lambda: self._http.post(str(described["token_endpoint"]), data=asked, auth=basic))
        asked |= {"client_id": client} | ({"client_secret": secret} if secret is not None else {})
        return self._json(lambda: self._http.post(str(described["token_endpoint"]), data=asked))

    def _claims(self, id_token: str, flow: Flow) -> Json:
        """Return the claims of a token that is right in every way that is asked of it."""
        _, keys = self._described()
        try:
            token = self._decoded(id_token, keys)
            wanted: dict[str, Any] = {
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
                "nonce": {"essential": True, "value": flow.nonce},
                **{name: {"essential": True} for name in ("sub", "exp", "iat")},
            }
            jwt.JWTClaimsRegistry(now=int(self._clock()), leeway=LEEWAY_S, **wanted).validate(token.claims)
        except (JoseError, ValueError) as error:
            logger.warning("a token of the provider was refused: %s", type(error).__name__)
            raise NotSignedInError("the provider's token is not right") from error
        if token.claims.get("azp", self.settings.client_id) != self.settings.client_id:
            raise NotSignedInError("the provider's token was made for another client")
        return dict(token.claims)

    def _decoded(self, id_token: str, keys: KeySet) -> jwt.Token:
        try:
            return jwt.decode(id_token, keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            _, fresh = self._described(is_fresh=True)  # the provider may have new keys
            return jwt.decode(id_token, fresh, algorithms=list(ALGORITHMS))

    def _with_userinfo(self, described: Json, claims: Json, access_token: str) -> Json:
        """Return the claims with those that the provider tells only when asked."""
        wanted = (self.settings.role_claim, self.settings.name_claim, self.settings.display_name_claim)
        if all(name in claims for name in wanted) or "userinfo_endpoint" not in described or not access_token:
            return claims
        headers = {"authorization": f"Bearer {access_token}"}
        said = self._json(lambda: self._http.get(str(described["userinfo_endpoint"]), headers=headers))
        if said.get("sub") != claims["sub"]:
            raise NotSignedInError("the provider speaks of two people at once")
        return said | claims

    def _user(self, claims: Json) -> ProvidedUser:
        name = str(claims.get(self.settings.name_claim) or claims["sub"])
        return ProvidedUser(
            issuer=self.settings.issuer,
            subject=str(claims["sub"]),
            name=name,
            display_name=str(claims.get(self.settings.display_name_claim) or name),
            role=role_of(claims.get(self.settings.role_claim), self.settings.roles),
        )

    def _described(self, *, is_fresh: bool = False) -> tuple[Json, KeySet]:
        """Return the provider's description of itself and its keys, as of the last hour."""
        with self._lock:
            if self._known is None or is_fresh or self._clock() - self._known[0] > FRESH_S:
                described = self._describe()
                self._known = (self._clock(), described, self._keys(described))
            return self._known[1:]

    def _describe(self) -> Json:
        address = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        described = self._json(lambda: self._http.get(address))
        if described.get("issuer") != self.settings.issuer:
            raise NotSignedInError("the provider names itself otherwise than the settings do")
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        scheme = urlsplit(self.settings.issuer).scheme
        if any(urlsplit(str(described.get(name, ""))).scheme not in ("https", scheme) for name in needed):
            raise NotSignedInError("the provider's description is not complete, or not encrypted")
        return described

    def _keys(self, described: Json) -> KeySet:
        said = self._json(lambda: self._http.get(str(described["jwks_uri"])))
        try:
            return KeySet.import_key_set(said)  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise NotSignedInError("the provider's keys cannot be read") from error

    def _json(self, ask: Callable[[], httpx.Response]) -> Json:
        try:
            answer = ask()
            said = answer.json() if answer.is_success else None
        except (httpx.HTTPError, json.JSONDecodeError, UnicodeDecodeError) as error:
            logger.warning("the OpenID provider did not answer as expected: %s", type(error).__name__)
            raise NotSignedInError("the provider does not answer: try again, or ask an admin") from error
        if not isinstance(said, dict):
            logger.warning("the OpenID provider answered %d", answer.status_code)
            raise NotSignedInError("the provider refused this login: begin anew")
        return said


def role_of(said: object, roles: Mapping[str, Role]) -> Role | None:
    """Return the role that a claim means: of the first entry of the table that the claim holds."""
    held = {str(each) for each in said} if isinstance(said, list) else {str(said)}
    return next((role for name, role in roles.items() if name in held), None)


def _trust(settings: OidcSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"oidc.ca_file {settings.ca_file} holds no certificates") from error


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
