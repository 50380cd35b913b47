"""The settings of ``calcmap serve``: one TOML file, a section each for the store, the page, people and the provider.

No secret stands in it: passwords and keys come from files or from the environment.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from calcmap.core.config import load_config
from calcmap.core.errors import ConfigError
from calcmap.service.accounts_roles import Role
from calcmap.service.delivery_config import DeliverySettings
from calcmap.service.passwords import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS
from calcmap.service.request_limits import RequestLimits
from calcmap.service.sessions import SessionLimits
from calcmap.service.store import Store, open_store

CLIENT_SECRET_VARIABLE = "CALCMAP_OIDC_CLIENT_SECRET"
KEY_PASSWORD_VARIABLE = "CALCMAP_TLS_KEY_PASSWORD"
MAX_PORT = 65535
LOOPBACK_NAME = "localhost"


@dataclass(frozen=True)
class StoreSettings:
    """``[store]``: where results, reviews and accounts are kept.

    Parameters
    ----------
    folder : Path
        Images and label maps, and the SQLite file unless there is a ``url``.
    url : str or None
        ``postgresql://user@host/name``, without a password.
    password_file : Path or None
        Holds the database's password; the environment's ``PGPASSWORD`` does as well.
    """

    folder: Path
    url: str | None = None
    password_file: Path | None = None

    def __post_init__(self) -> None:
        _complain(
            _whole_path("store.folder", self.folder),
            self._url_complaint(),
            *_file_complaints("store.password_file", self.password_file),
        )

    def database_url(self) -> str | None:
        """Return the URL with the password in it, ``None`` for SQLite in the folder."""
        if self.url is None or self.password_file is None:
            return self.url
        made = make_url(self.url).set(password=read_secret(self.password_file))
        return made.render_as_string(hide_password=False)

    def _url_complaint(self) -> str | None:
        if self.url is None:
            return "store.password_file makes sense beside store.url alone" if self.password_file else None
        try:
            has_password = make_url(self.url).password is not None
        except ArgumentError:
            return "store.url is no URL, expected postgresql://user@host/name"
        if has_password:
            return "store.url holds a password: put it into store.password_file or the environment's PGPASSWORD"
        return None


@dataclass(frozen=True)
class WebSettings:
    """``[web]``: where the page is served, and under which name people open it.

    Parameters
    ----------
    public_url : str
        What people open, ``https://calcmap.lab.example``; plain ``http`` for this machine alone.
    names : tuple of str
        Further names under which requests are answered.
    host : str
        Address to listen at.
    port : int
        Port to listen at.
    certificate, key : Path or None
        PEM files; with them the server speaks TLS, 1.2 or newer.
    trusted_proxies : tuple of str
        Addresses or networks of the proxy that speaks TLS in front; nobody else is answered then.
    """

    public_url: str
    names: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8443
    certificate: Path | None = None
    key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _complain(
            *self._url_complaints(),
            *self._address_complaints(),
            *_file_complaints("web.certificate", self.certificate),
            *_file_complaints("web.key", self.key),
            *self._encryption_complaints(),
        )

    @property
    def is_secure(self) -> bool:
        """Whether browsers speak TLS with the page, be it through a proxy."""
        return self._url.scheme == "https"

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the page may have been opened."""
        return tuple(f"{self._url.scheme}://{host}" for host in self.hosts)

    @property
    def hosts(self) -> tuple[str, ...]:
        """What the Host header may say: public name and further names, each with the public port unless usual."""
        names = [self._url.hostname or "", *(name.lower() for name in self.names)]
        port = self._url.port
        usual = 443 if self.is_secure else 80
        return tuple(f"{_bracketed(name)}:{port}" if port not in (None, usual) else _bracketed(name) for name in names)

    @property
    def public_port(self) -> int:
        """The port that browsers see."""
        return self._url.port or (443 if self.is_secure else 80)

    @property
    def base_url(self) -> str:
        """The public URL without a slash at its end."""
        return f"{self._url.scheme}://{self.hosts[0]}"

    @property
    def _url(self) -> SplitResult:
        return urlsplit(self.public_url)

    def _url_complaints(self) -> list[str]:
        try:
            url = self._url
            port = url.port
        except ValueError:
            return [f"web.public_url is {self.public_url!r}, which is no URL"]
        is_bare = url.scheme in ("http", "https") and url.hostname and url.path in ("", "/")
        if not is_bare or url.query or url.fragment or url.username or port == 0:
            return [f"web.public_url is {self.public_url!r}, expected https://name or https://name:port"]
        if not self.is_secure and not _is_loopback(url.hostname or ""):
            return [f"web.public_url is {self.public_url!r}, expected https: plain http is for this machine alone"]
        return []

    def _address_complaints(self) -> list[str]:
        found = []
        if not 0 <= self.port <= MAX_PORT:
            found.append(f"web.port is {self.port}, expected 0 to {MAX_PORT}")
        if not _is_address(self.host) and self.host != LOOPBACK_NAME:
            found.append(f"web.host is {self.host!r}, expected an address of this machine such as 0.0.0.0")
        found += [
            f"web.trusted_proxies has {each!r}, expected an address or network such as 10.0.0.0/24"
            for each in self.trusted_proxies
            if not _is_network(each)
        ]
        wrong = [name for name in self.names if not name or "/" in name or ":" in name.strip("[]")]
        return found + [f"web.names has {name!r}, expected a name without scheme and port" for name in wrong]

    def _encryption_complaints(self) -> list[str]:
        has_tls = self.certificate is not None
        if has_tls != (self.key is not None):
            return ["web.certificate and web.key belong together"]
        if has_tls and self.trusted_proxies:
            return ["web.certificate and web.trusted_proxies contradict each other: who speaks TLS, this or a proxy?"]
        if not has_tls and not self.trusted_proxies and not _is_loopback(self.host):
            return [
                f"web.host is {self.host!r}, open to others, without TLS: name web.certificate and web.key, or in "
                "web.trusted_proxies the proxy that speaks TLS"
            ]
        if self.public_url.startswith("https:") != (has_tls or bool(self.trusted_proxies)):
            return ["web.public_url is https exactly when there is a web.certificate or a proxy in web.trusted_proxies"]
        return []


@dataclass(frozen=True)
class UserSettings:
    """``[users]``: how people come in.

    Parameters
    ----------
    passwords : bool
        Whether accounts with passwords may come in; without, the OpenID provider alone lets people in.
    min_password_characters : int
        Shortest password.
    """

    passwords: bool = True
    min_password_characters: int = MIN_PASSWORD_CHARACTERS

    def __post_init__(self) -> None:
        n = self.min_password_characters
        if not MIN_PASSWORD_CHARACTERS <= n <= MAX_PASSWORD_CHARACTERS:
            raise ConfigError(
                f"users.min_password_characters is {n}, expected {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS}"
            )


@dataclass(frozen=True)
class SessionSettings(SessionLimits):
    """``[sessions]``: how long one stays signed in; fields as `SessionLimits`."""

    def __post_init__(self) -> None:
        _complain(*(_positive("sessions", name, getattr(self, name)) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class LimitSettings(RequestLimits):
    """``[limits]``: how many requests a session may make; fields as `RequestLimits`."""

    def __post_init__(self) -> None:
        _complain(*(_positive("limits", name, getattr(self, name)) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class OidcSettings:
    """``[oidc]``: an OpenID provider whose users may come in.

    Parameters
    ----------
    issuer : str
        As the provider writes itself.
    client_id : str
        This page's name at the provider.
    roles : dict of str to Role
        Role of each value of the claim; the first of the file counts that the user has.
    client_secret_file : Path or None
        Holds the secret; the environment's ``CALCMAP_OIDC_CLIENT_SECRET`` does as well. A public client has none.
    label : str
        What the button says.
    scopes : tuple of str
        What is asked for; ``openid`` among it.
    role_claim, name_claim, display_name_claim : str
        Which claims say the user's groups or roles, the name of the account and the name to sign with.
    ca_file : Path or None
        Certificates to trust, where the provider's is the hospital's own.
    """

    issuer: str
    client_id: str
    roles: dict[str, Role]
    client_secret_file: Path | None = None
    label: str = "Log in with the hospital's account"
    scopes: tuple[str, ...] = ("openid", "profile")
    role_claim: str = "groups"
    name_claim: str = "preferred_username"
    display_name_claim: str = "name"
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        _complain(
            *self._issuer_complaints(),
            "oidc.roles is empty: nobody could come in" if not self.roles else None,
            "oidc.scopes lacks openid" if "openid" not in self.scopes else None,
            *_file_complaints("oidc.client_secret_file", self.client_secret_file),
            *_file_complaints("oidc.ca_file", self.ca_file),
        )

    def client_secret(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """Return the secret that this page shows the provider, ``None`` of a public client."""
        if self.client_secret_file is not None:
            return read_secret(self.client_secret_file)
        return environment.get(CLIENT_SECRET_VARIABLE)

    def _issuer_complaints(self) -> list[str]:
        url = urlsplit(self.issuer)
        if url.scheme == "https" and url.hostname and not url.query and not url.fragment:
            return []
        if url.scheme == "http" and _is_loopback(url.hostname or ""):
            return []
        return [f"oidc.issuer is {self.issuer!r}, expected https://..."]


@dataclass(frozen=True)
class ServeSettings:
    """The whole file. Sections of later versions join here."""

    store: StoreSettings
    web: WebSettings
    users: UserSettings = field(default_factory=UserSettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    oidc: OidcSettings | None = None
    delivery: DeliverySettings | None = None

    def __post_init__(self) -> None:
        if not self.users.passwords and self.oidc is None:
            raise ConfigError("users.passwords is false and there is no [oidc]: nobody could come in")


def load_serve_settings(path: Path) -> ServeSettings:
    """Return the settings of a TOML file; `ConfigError` lists every complaint about it at once."""
    return load_config(path, ServeSettings)


def open_settings_store(settings: ServeSettings) -> Store:
    """Return the store that the settings name, open."""
    return open_store(settings.store.folder, url=settings.store.database_url())


def read_secret(path: Path) -> str:
    """Return the first line of a file; `ConfigError`, which does not repeat it, when there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from error
    if not lines or not lines[0]:
        raise ConfigError(f"{path} is empty, expected a secret in its first line")
    return lines[0]


def _complain(*complaints: str | None) -> None:
    found = [complaint for complaint in complaints if complaint]
    if found:
        raise ConfigError("; ".join(found))


def _positive(section: str, name: str, value: float) -> str | None:
    return None if value > 0 else f"{section}.{name} is {value:g}, expected more than 0"


def _whole_path(name: str, path: Path) -> str | None:
    return None if path.is_absolute() else f"{name} is {str(path)!r}, expected a path from / on"


def _file_complaints(name: str, path: Path | None) -> list[str]:
    if path is None:
        return []
    whole = _whole_path(name, path)
    if whole is not None:
        return [whole]
    return [] if os.access(path, os.R_OK) and path.is_file() else [f"{name} is {str(path)!r}, which cannot be read"]


def _is_loopback(host: str) -> bool:
    return host == LOOPBACK_NAME or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(text: str) -> bool:
    return _parses(text, ipaddress.ip_address)


def _is_network(text: str) -> bool:
    return _parses(text, ipaddress.ip_network)


def _parses(text: str, kind: Callable[[str], object]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name
