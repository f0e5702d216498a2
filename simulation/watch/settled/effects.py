"""One effect per idempotency key: what each key has made is what its client was answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from simulation.platform.history import Exchange
from simulation.platform.http import HttpResponse
from simulation.watch.made import Made, MadeRule
from simulation.watch.registers import STORED_REFUSALS
from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import text

_MAKES: Final[Mapping[str, str]] = {
    "/v1/payments": "payments",
    "/v1/transfers": "transfers",
    "/v1/accounts": "accounts",
    "/v1/customers": "customers",
    "/v1/exports": "exports",
}
"""What a POST of each path makes: one row of this table."""
_FAILED: Final = "failed"
Key = tuple[str, str, str]
"""Client, path and idempotency key."""


def effect_faults(exchanges: Iterable[Exchange], made: MadeRule, rows: Rows) -> Faults:
    """Keys that have made more than one thing, or another than they were answered."""
    for (client, path, key), tries in by_key(exchanges).items():
        table = _MAKES.get(path)
        if table is None:
            continue
        done = [
            each
            for attempt in tries
            for each in made.by_request.get(attempt.request_id, ())
            if each.table == table and not (table == "transfers" and each.status == _FAILED)
        ]
        fault = _fault(done, tries)
        if fault is not None:
            yield f"key {key} of {client} at {path} {fault}"
    yield from _operation_faults(rows)


def by_key(exchanges: Iterable[Exchange]) -> dict[Key, list[Exchange]]:
    """Attempts at each keyed POST, in the order in which they began; dry runs are left out."""
    keys: dict[Key, list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        request = exchange.request
        key = request.idempotency_key
        if key is None or request.method != "POST" or (request.body or {}).get("dry_run"):
            continue
        keys[request.client, request.path, key].append(exchange)
    return keys


def is_decided(tries: Iterable[Exchange]) -> bool:
    """Whether it is known what became of a key that was never accepted.

    A refusal that is stored decides it for all attempts. Otherwise each of them must have been
    answered by the platform, and none with "try again".
    """
    answers = [each.response for each in tries]
    reported = [each for each in answers if each is not None and not each.by_gateway]
    if any(_code(each) in STORED_REFUSALS for each in reported):
        return True
    return len(reported) == len(answers) and all(
        each.status < 500 and _code(each) != "idempotency_in_flight" for each in reported
    )


def accepted(tries: Iterable[Exchange]) -> Any:
    """The document that the request was accepted with; None where it was not, or not yet."""
    for each in tries:
        if each.response is not None and each.response.is_success:
            return each.response.body
    return None


def _fault(done: list[Made], tries: list[Exchange]) -> str | None:
    names = [each.id for each in done]
    if len(names) > 1:
        return f"has made {names}"
    document = accepted(tries)
    if document is not None:
        reported = document.get("id")
        return None if names == [reported] else f"was answered {reported}, and has made {names}"
    declined = {
        each.response.body.get("payment_id")
        for each in tries
        if each.response is not None and _code(each.response) == "declined"
    }
    if declined:
        return None if set(names) == declined else f"was declined as {declined}, and made {names}"
    if names and is_decided(tries):
        return f"was refused, and has made {names}"
    return None


def _operation_faults(rows: Rows) -> Faults:
    """A key of a capture, refund or cancel has one transaction that did not fail, at most."""
    done: dict[str, list[str]] = defaultdict(list)
    for name, item in rows.by_id("transactions").items():
        if text(item, "claim_key"):
            done[text(item, "claim_key")].append(name)
    for key, names in sorted(done.items()):
        if len(names) > 1:
            yield f"key {key} has made {sorted(names)}"


def _code(response: HttpResponse) -> str:
    return str(response.body.get("code", "")) if isinstance(response.body, dict) else ""
