"""The console's files, listed when a function starts: what is not on the list is not served.

A path of a request is only ever looked up on that list, never joined to a directory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runtime.api.public_text import PublicText
from runtime.console.headers import CACHE_CONTROL, content_type_of, security_headers
from runtime.http.responses import HttpResponse

PAGE_PATH: Final = "/console"
FILES_PREFIX: Final = f"{PAGE_PATH}/"
"""Paths of files begin with it. The page refers to them relative to itself, so the API's address
may have a path before it."""
INDEX: Final = "index.html"
SIGN_IN_FILE: Final = "config.json"
"""How the console signs in: the stage's setting `console.sign_in`, as the page reads it."""


class ConsoleFiles:
    """All files below `directory`, by their path in a request."""

    def __init__(self, directory: Path) -> None:
        sign_in = json.loads((directory / SIGN_IN_FILE).read_text("utf-8"))["sign_in"]
        self.headers = security_headers(sign_in.get("token_endpoint"))
        """Of every answer, also of refusals."""
        paths = sorted(path for path in directory.rglob("*") if path.is_file())
        served = {
            f"{FILES_PREFIX}{path.relative_to(directory).as_posix()}": self._text(path)
            for path in paths
        }
        self._served = {PAGE_PATH: served[f"{FILES_PREFIX}{INDEX}"], **served}

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that has an answer."""
        return tuple(self._served)

    def answer(self, path: str, request_headers: Mapping[str, str]) -> HttpResponse | None:
        """200 with the file, or 304 if the client has it; None for a path that is not served."""
        found = self._served.get(path)
        return None if found is None else found.answer(request_headers)

    def _text(self, path: Path) -> PublicText:
        def content() -> str:
            return path.read_text("utf-8")

        return PublicText(
            content_type=content_type_of(path.name),
            content=content,
            plain=content,
            headers=self.headers,
            cache_control=CACHE_CONTROL,
        )
