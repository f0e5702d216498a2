"""Tenant isolation: no merchant is shown or given what belongs to another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from simulation.platform.history import Exchange
from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import text

_OWNED: Final = (
    *("payments", "transactions", "transfers", "accounts", "customers", "exports"),
    *("settlements", "webhooks", "webhook_endpoints", "api_keys"),
)
_ID: Final = re.compile(r"\b[a-z]{2,5}_[0-9A-Z]{26}\b")
_TRANSFERS: Final = "/v1/transfers"
_ORDINARY: Final = ("wallet", "checking", "savings")
"""Accounts that a merchant's own token may move money from and to, unless they are hot."""


def tenant_faults(exchanges: Iterable[Exchange], rows: Rows) -> Faults:
    """Accepted requests with a merchant's token that name, or show, what is another merchant's."""
    owners = owners_of(rows)
    operators_only = frozenset(_operators_only(rows))
    for exchange in exchanges:
        merchant, response = exchange.request.merchant_id, exchange.response
        if merchant is None or response is None or not response.is_success:
            continue
        request = exchange.request
        what = f"{exchange.request_id} {request.method} {request.path} of {merchant}"
        for name in named(request.path, request.body):
            if owners.get(name, merchant) != merchant:
                yield f"{what} names {name} of {owners[name]}, and is answered {response.status}"
        if foreign := sorted(set(_merchants(response.body)) - {merchant}):
            yield f"{what} shows what belongs to {foreign}"
        if request.method == "POST" and request.path.startswith(_TRANSFERS):
            # The request has the accounts of a transfer, and the answer those of a hold that ends.
            touched = _accounts(request.body) | _accounts(response.body)
            for name in sorted(touched & operators_only):
                yield f"{what} moves money of {name}, which is for operators"


def owners_of(rows: Rows) -> dict[str, str]:
    """The merchant of each row that has one, by its id."""
    return {
        text(item, "id"): text(item, "merchant_id")
        for table in _OWNED
        for item in rows.of(table)
        if text(item, "id") and text(item, "merchant_id")
    }


def named(path: str, body: Any) -> Iterator[str]:
    """The ids that a request names, in its path and anywhere in its body."""
    yield from _ID.findall(path)
    for value in _texts(body):
        yield from _ID.findall(value)


def _operators_only(rows: Rows) -> Iterator[str]:
    for item in rows.of("accounts"):
        ordinary = text(item, "account_type") in _ORDINARY and text(item, "posting") == "immediate"
        if "account_type" in item and not ordinary:
            yield text(item, "id")


def _accounts(body: Mapping[str, Any] | None) -> set[str]:
    legs = [*((body or {}).get("legs") or ()), body or {}]
    sides = ("from_account_id", "to_account_id")
    return {leg[side] for leg in legs for side in sides if isinstance(leg.get(side), str)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def _merchants(value: Any) -> Iterator[str]:
    """Every `merchant_id` of a document, however deep."""
    if isinstance(value, Mapping):
        owner = value.get("merchant_id")
        if isinstance(owner, str):
            yield owner
        for member in value.values():
            yield from _merchants(member)
    elif isinstance(value, list):
        for member in value:
            yield from _merchants(member)
