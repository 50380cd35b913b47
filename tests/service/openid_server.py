"""A real OpenID provider (npm: oidc-provider) for the tests, where node and the package are installed."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

PACKAGE = Path("oidc-provider", "lib", "index.js")
INSTALL = "apt-get install -y npm; npm install -g oidc-provider@9"
SCRIPT = Path(__file__).with_name("openid_provider.mjs")
CLIENT_SECRET = "the secret of the tests"


def free_port() -> int:
    """Return a port of the loopback address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def openid_server(redirect_url: str) -> Iterator[str]:
    """Start a provider that knows one client, give its issuer, and stop it; skip loudly where there is none."""
    modules = _modules()
    if modules is None:
        pytest.skip(
            f"NO OPENID PROVIDER: logging in by OpenID Connect was tested against made-up answers alone; {INSTALL}"
        )
    port = free_port()
    command = ["node", str(SCRIPT), str(modules), str(port), redirect_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        try:
            assert run.stdout is not None
            assert any(line == "ready\n" for line in run.stdout)
            yield f"http://127.0.0.1:{port}"
        finally:
            run.terminate()


def consent(browser: httpx.Client, address: str, *, name: str) -> httpx.Response:
    """Go to the provider as a browser does, log in there and consent; return the answer that leads back."""
    answer = _follow(browser, browser.get(address))
    for fields in ({"prompt": "login", "login": name, "password": "any"}, {"prompt": "consent"}):
        if answer.is_redirect:
            break
        (action,) = re.findall(r'<form[^>]*action="([^"]+)"', answer.text)
        answer = _follow(browser, browser.post(urljoin(str(answer.url), unescape(action)), data=fields))
    return answer


def _follow(browser: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """Follow redirects for as long as they stay at the provider."""
    while answer.is_redirect and answer.next_request is not None and answer.next_request.url.port == answer.url.port:
        answer = browser.send(answer.next_request)
    return answer


def _modules() -> Path | None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None
    said = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False).stdout.strip()
    return Path(said) if said and (Path(said) / PACKAGE).is_file() else None
