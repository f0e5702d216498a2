"""Reads the API after a load test, patiently: the checks need every page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final, TypeVar

import httpx

from local.errors import LocalError
from operations.load.requests import Reply, is_final

PATIENCE_SECONDS: Final = 120.0
"""How long the change streams and the resolver get to finish what the run began."""
POLL_SECONDS: Final = 1.0
PAGE: Final = 100

Found = TypeVar("Found")


class Reader:
    """GET requests that are repeated until they are answered, for `patience_seconds` each."""

    def __init__(
        self,
        http: httpx.Client,
        patience_seconds: float = PATIENCE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._http = http
        self.patience_seconds, self.poll_seconds = patience_seconds, poll_seconds

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON document at `path`. Raises LocalError if the API does not show it."""
        return _document(path, self._read(path, query))

    def find(self, path: str) -> Any:
        """The JSON document at `path`; None if there is none. Raises LocalError otherwise."""
        reply = self._read(path, {})
        return None if reply.status == HTTPStatus.NOT_FOUND else _document(path, reply)

    def pages(self, path: str, **query: str | int) -> Iterator[Any]:
        """The rows of all pages of a list."""
        cursor: str | None = None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = self.get(path, limit=PAGE, **query, **more)
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def until(self, read: Callable[[], Found], done: Callable[[Found], bool]) -> Found:
        """Read again and again until `done`; what was read last, when patience ends."""
        ends = time.monotonic() + self.patience_seconds
        while True:
            found = read()
            if done(found) or time.monotonic() > ends:
                return found
            time.sleep(self.poll_seconds)

    def _read(self, path: str, query: dict[str, str | int]) -> Reply:
        ends = time.monotonic() + self.patience_seconds
        while True:
            try:
                answer = self._http.get(path, params=query)
            except httpx.HTTPError as error:
                reply, said = None, f"{type(error).__name__} {error}".rstrip()
            else:
                reply = Reply(answer.status_code, answer.text)
                said = reply.said
            if reply is not None and is_final(reply):
                return reply
            if time.monotonic() > ends:
                raise LocalError(
                    f"The checks could not read {path} for {self.patience_seconds:g} s: {said}.",
                    hint="So the answers of this run are not verified. Is the stage still there?",
                )
            time.sleep(self.poll_seconds)


def _document(path: str, reply: Reply) -> Any:
    if reply.status != HTTPStatus.OK:
        raise LocalError(
            f"The checks could not read {path}: {reply.said}.",
            hint="So the answers of this run are not verified. Is the stage still there, and does "
            "the token have the permissions payments, accounts, transfers and reports?",
        )
    return reply.body
