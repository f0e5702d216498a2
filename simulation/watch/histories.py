"""What recorded HTTP exchanges say about keys and about accounts of powers of two."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from typing import Any, Final

from simulation.platform.history import Exchange
from simulation.watch.answers import honours_keys
from simulation.watch.linearizability import (
    NEVER,
    Outcome,
    PowerRead,
    PowerTransfer,
    power_faults,
)
from simulation.watch.registers import KeyedCall, RegisterKey, register_faults

TRANSFERS: Final = "/v1/transfers"
ACCOUNTS: Final = "/v1/accounts/"
POWERS: Final = 39
"""Powers of two of one pair of accounts: their sum stays below the largest amount, 10^12."""
OPENING: Final = 2**POWERS - 1
"""What the source of a pair has in the beginning: exactly what all transfers move."""
MARK: Final = "a power of two"
"""`description` of these transfers."""

Pair = tuple[str, str]
"""Source and destination of transfers of powers of two."""


def linearizable(
    exchanges: Iterable[Exchange],
    edited: Set[str] = frozenset(),
    unkept: Set[str] = frozenset(),
) -> list[str]:
    """What no order of all operations explains, of keys and of balances; empty if one does.

    `edited`: accounts edited by hand, whose balances are not checked. `unkept`: keys
    (merchant#method#path#key) whose answer could not be stored.
    """
    history = list(exchanges)
    calls = (call for call in keyed_calls(history) if "#".join(call.register) not in unkept)
    faults = register_faults(calls)
    for pair, (transfers, reads) in power_histories(history).items():
        if not edited & set(pair):
            faults += [f"accounts {pair}: {each}" for each in power_faults(transfers, reads)]
    return faults


def keyed_calls(exchanges: Iterable[Exchange]) -> Iterator[KeyedCall]:
    """Requests with a key whose answer is stored; a dry run's is not."""
    for exchange in exchanges:
        request, response = exchange.request, exchange.response
        key = request.idempotency_key
        if key is None or (request.body or {}).get("dry_run"):
            continue
        if not honours_keys(request.method, request.path):
            continue
        problem = response.body if response is not None and isinstance(response.body, dict) else {}
        reported = response is not None and not response.by_gateway
        yield KeyedCall(
            RegisterKey(request.merchant_id or request.client, request.method, request.path, key),
            json.dumps(request.body, sort_keys=True),
            exchange.began,
            NEVER if exchange.ended is None else exchange.ended,
            response.status if response is not None and reported else None,
            response.text if response is not None and reported else "",
            str(problem.get("code", "")),
            replayed=response is not None and response.replayed,
        )


PowerHistory = tuple[list[PowerTransfer], list[PowerRead]]


def power_histories(exchanges: Iterable[Exchange]) -> dict[Pair, PowerHistory]:
    """Transfers and reads of each pair of accounts between which powers of two move."""
    attempts: dict[tuple[str, str], list[Exchange]] = defaultdict(list)
    readings: list[Exchange] = []
    for exchange in exchanges:
        request = exchange.request
        if request.method == "GET" and request.path.startswith(ACCOUNTS):
            readings.append(exchange)
        elif request.method == "POST" and request.path.startswith(TRANSFERS):
            attempts[request.path, request.idempotency_key or ""].append(exchange)
    found: dict[Pair, PowerHistory] = {}
    holds: dict[str, tuple[Pair, int]] = {}
    for (path, _), tries in attempts.items():
        body = tries[0].request.body or {}
        if path == TRANSFERS and body.get("description") == MARK:
            pair = (str(body["from_account_id"]), str(body["to_account_id"]))
            transfers, _ = found.setdefault(pair, ([], []))
            power = int(body["amount"]).bit_length() - 1
            if not body.get("hold"):
                transfers.append(_transfer(power, tries, pair))
            elif (answer := _final(tries)) is not None and answer.status == 201:
                holds[f"{TRANSFERS}/{answer.body['id']}/post"] = (pair, power)
    for (path, _), tries in attempts.items():
        if path in holds:
            pair, power = holds[path]
            found[pair][0].append(_transfer(power, tries, pair))
    _add_reads(readings, found)
    return found


def _transfer(power: int, tries: list[Exchange], pair: Pair) -> PowerTransfer:
    """One transfer, from its first attempt until the first answer that says what became of it."""
    answered = [each for each in tries if _is_final(each)]
    began = min(each.began for each in tries)
    if not answered:
        return PowerTransfer(power, began, NEVER, Outcome.UNKNOWN)
    ended = min(each.ended for each in answered if each.ended is not None)
    response = answered[0].response
    if response is None or not response.is_success:
        return PowerTransfer(power, began, ended, Outcome.REFUSED)
    after = (response.body.get("balances_after") or {}).get(pair[1])
    return PowerTransfer(power, began, ended, Outcome.DONE, after)


def _add_reads(readings: Iterable[Exchange], found: dict[Pair, PowerHistory]) -> None:
    places = {name: (pair, at) for pair in found for at, name in enumerate(pair)}
    for each in readings:
        place = places.get(each.request.path.removeprefix(ACCOUNTS))
        if place is None or each.response is None or each.response.status != 200:
            continue
        pair, at = place
        balance = int(each.response.body["balance"])
        total = OPENING - balance if at == 0 else balance
        ended = NEVER if each.ended is None else each.ended
        found[pair][1].append(PowerRead(total, each.began, ended, pair[at]))


def _final(tries: Iterable[Exchange]) -> Any:
    """The first answer that says what became of a request."""
    return next((each.response for each in tries if _is_final(each)), None)


def _is_final(exchange: Exchange) -> bool:
    response = exchange.response
    if response is None or response.by_gateway:
        return False
    return response.is_success or response.status == 422
