"""An identity provider for one client: authorization code with PKCE (RFC 7636), on this machine."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

LOGOUT: Final = "/logout"
CLIENT: Final = "the-console"
CONTINUE: Final = "Continue to the console"
"""The link of its page, which sends the user back."""


@dataclass
class IdentityProvider:
    """Signs everyone in who is sent to it, unless `refuses`, and gives out `access_token`."""

    access_token: str
    port: int = 0
    refuses: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    exchanged: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, token_endpoint: str) -> dict[str, str]:
        """What the console's config.json says about it."""
        return {
            "method": "oidc",
            "authority": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": token_endpoint,
            "logout_endpoint": f"{self.url}{LOGOUT}",
            "client_id": CLIENT,
            "scope": "openid payments",
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where its page sends the browser back to."""
        self.asked.append(query)
        if self.refuses:
            answer = {"error": "access_denied", "error_description": "No access to this console"}
        else:
            code = token_urlsafe()
            self._codes[code] = query
            answer = {"code": code}
        return f"{query['redirect_uri']}?{urlencode({**answer, 'state': query['state']})}"

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The token for a code, which is good once, and only with its verifier."""
        self.exchanged.append(form)
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or asked["code_challenge_method"] != "S256"
            or asked["code_challenge"] != challenge
            or any(asked[name] != form[name] for name in ("client_id", "redirect_uri"))
        ):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": self.access_token, "token_type": "Bearer", "expires_in": 300}

    @contextmanager
    def running(self) -> Iterator[IdentityProvider]:
        """Listen on a free port during the block."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(provider: IdentityProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = fields_of(asked.query)
            ended = asked.path == LOGOUT
            back = query["post_logout_redirect_uri"] if ended else provider.authorize(query)
            page = f'<a href="{escape(back)}">{CONTINUE}</a>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Write nothing: tests read the lists of requests."""

    return Handler


def fields_of(text: str) -> dict[str, str]:
    """The fields of a query or a form, each given once."""
    return {name: values[0] for name, values in parse_qs(text).items()}
