"""The merchants of the local stage."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from local.api_client import ApiClient
from local.errors import LocalError
from local.stackfile import Stack
from local.workspace import Workspace

SHOWN: Final = 10
"""Merchants listed in a message, newest first."""
_UNKNOWN: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)


def require_merchant(stack: Stack, workspace: Workspace, merchant_id: str) -> None:
    """Ask the deployed API.

    Raises:
        LocalError: the merchant does not exist; the message lists those that do.
        UnexpectedAnswer: the API's answer is not the expected one.
    """
    operator = ApiClient.of_operator(stack, workspace)
    reply = operator.get(f"/v1/merchants/{quote(merchant_id, safe='')}")
    if not merchant_id or reply.status in _UNKNOWN:
        page = operator.get("/v1/merchants", limit=SHOWN).require(HTTPStatus.OK)
        raise LocalError(f"Merchant {merchant_id!r} does not exist.", hint=_hint(page))
    reply.require(HTTPStatus.OK)


def _hint(page: Any) -> str:
    merchants = page["data"]
    if not merchants:
        return "The stage has no merchants. Make one: make seed"
    named = ", ".join(f"{each['id']} ({each['name']})" for each in merchants)
    more = ", and more" if page["has_more"] else ""
    return f"Known: {named}{more}. Another one: make seed"
