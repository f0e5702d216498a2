"""The merchant of `make listen` and `make trigger`, and its endpoint in the meantime."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from local.api_client import ApiClient
from local.merchants import require_merchant
from local.seed import seeded_merchant
from local.stackfile import Stack
from local.workspace import Workspace

KNOWN_AFTER_SECONDS: Final = 6.0
"""The projector may keep a merchant without an endpoint for `merchant_cache_seconds`, five."""
MOST_ATTEMPTS: Final = 5
"""Tries to change a merchant that other requests change at the same time."""


@dataclass(frozen=True)
class Listener:
    """The merchant whose webhooks are wanted. `secret`: None if it is not known."""

    merchant_id: str
    secret: str | None


def listener(stack: Stack, workspace: Workspace, merchant: str, secret: str) -> Listener:
    """The named merchant, or without a name the one of `make seed`, made if it is missing.

    `secret`, if given, is used instead of the one that the merchant was created with.

    Raises:
        LocalError: the merchant does not exist.
    """
    if merchant:
        require_merchant(stack, workspace, merchant)
        return Listener(merchant, secret or None)
    seeded = seeded_merchant(stack, workspace)
    return Listener(seeded["id"], secret or seeded["webhook_secret"])


@contextmanager
def registered(
    stack: Stack, workspace: Workspace, merchant_id: str, url: str
) -> Iterator[str | None]:
    """`url` as the merchant's webhook_url during the block; the value is the URL before it.

    The block begins when no further event can be missed.

    Afterwards the URL before is set again, unless another one was set in the meantime.
    """
    before = _replaced(stack, workspace, merchant_id, url)
    try:
        if before is None:
            time.sleep(KNOWN_AFTER_SECONDS)
        yield before
    finally:
        _replaced(stack, workspace, merchant_id, before, only=url)


def _replaced(
    stack: Stack, workspace: Workspace, merchant_id: str, url: str | None, only: str | None = None
) -> str | None:
    """Set the URL, and return the one before. `only`: nothing changes if it is another one."""
    # A token is valid for an hour; whoever listens may do so for longer.
    client = ApiClient.of_merchant(stack, workspace, merchant_id, "merchant")
    path = f"/v1/merchants/{merchant_id}"
    for attempt in itertools.count(1):
        merchant: dict[str, Any] = client.get(path).require(HTTPStatus.OK)
        before: str | None = merchant["webhook_url"]
        if only is not None and before != only:
            return before
        body = {"version": merchant["version"], "webhook_url": url}
        reply = client.send("PATCH", path, json=body)
        if reply.status != HTTPStatus.CONFLICT or attempt == MOST_ATTEMPTS:
            reply.require(HTTPStatus.OK)
            return before
    raise AssertionError("count() does not end")
