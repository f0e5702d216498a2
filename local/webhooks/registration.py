"""The merchant of `make listen` and `make trigger`, and its endpoint in the meantime."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from local.api_client import ApiClient
from local.merchants import require_merchant
from local.seed import seeded_merchant
from local.stackfile import Stack
from local.workspace import Workspace

PATH: Final = "/v1/webhook-endpoints"
DESCRIPTION: Final = "make listen"
KNOWN_AFTER_SECONDS: Final = 6.0
"""The projector may keep a merchant without the endpoint for `merchant_cache_seconds`, five."""
MOST_ATTEMPTS: Final = 5
"""Tries to delete an endpoint of a merchant that other requests change at the same time."""
CONNECT_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Listener:
    """The merchant whose webhooks are wanted, and its own secret; None if it is not known."""

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
    stack: Stack,
    workspace: Workspace,
    merchant_id: str,
    url: str,
    made: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """An endpoint for `url` during the block; the value is the endpoint, with its secret.

    The block begins when no further event can be missed; the first may arrive before, and so `made`
    gets the endpoint at once. Endpoints of listeners that were killed before they could delete
    theirs are deleted first.
    """
    _delete_abandoned(_client(stack, workspace, merchant_id))
    body = {"url": url, "description": DESCRIPTION}
    endpoint: dict[str, Any] = (
        _client(stack, workspace, merchant_id).post(PATH, body).require(HTTPStatus.CREATED)
    )
    try:
        made(endpoint)
        time.sleep(KNOWN_AFTER_SECONDS)
        yield endpoint
    finally:
        # A token is valid for an hour; whoever listens may do so for longer.
        _delete(_client(stack, workspace, merchant_id), endpoint["id"])


def _client(stack: Stack, workspace: Workspace, merchant_id: str) -> ApiClient:
    return ApiClient.of_merchant(stack, workspace, merchant_id, "merchant")


def _delete(client: ApiClient, endpoint_id: str) -> None:
    for attempt in itertools.count(1):
        reply = client.send("DELETE", f"{PATH}/{endpoint_id}")
        if reply.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
            return
        if reply.status != HTTPStatus.CONFLICT or attempt == MOST_ATTEMPTS:
            reply.require(HTTPStatus.NO_CONTENT)


def _delete_abandoned(client: ApiClient) -> None:
    listed = client.get(PATH, limit=100).require(HTTPStatus.OK)["data"]
    for each in listed:
        if each["description"] == DESCRIPTION and not _answers(each["url"]):
            _delete(client, each["id"])


def _answers(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
