"""The console's files, asked of the stage once for all tests.

A page loads some fifty files. Asked of the stage each time, they would be three quarters of all
requests of a run, each a call of a function, with the same answers.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Route

_FOUND: Final = 200


class KeptFiles:
    """Answers for the stage's console, each with all its headers as the stage sent it."""

    def __init__(self, address: str) -> None:
        """`address`: of the console's page."""
        self._pattern = re.compile(rf"^{re.escape(address)}(?:[/?#].*)?$")
        self._kept: dict[str, dict[str, Any]] = {}

    def over(self, context: BrowserContext) -> None:
        """Answer what pages of the context ask of the console; not what they ask of the API."""
        context.route(self._pattern, self._answer)

    def _answer(self, route: Route) -> None:
        # How the page signs in by OpenID Connect is in its query, which the stage does not read.
        path = urlsplit(route.request.url).path
        kept = self._kept.get(path)
        if kept is None:
            answer = route.fetch()
            kept = {"status": answer.status, "headers": answer.headers, "body": answer.body()}
            if answer.status == _FOUND:
                self._kept[path] = kept
        route.fulfill(**kept)
