"""Clients call every route of the API successfully, so that each one is simulated."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

import pytest

from runtime.api.endpoints import ENDPOINTS
from simulation.clients.cards import StripeClient
from simulation.clients.client import Client
from simulation.platform.history import Exchange
from simulation.platform.plan import ClientKind, ClientPlan, Plan
from simulation.platform.world import Platform

OPERATIONS: Final[Mapping[ClientKind, int]] = {
    ClientKind.CARDS: 140,
    ClientKind.STRIPE: 25,
    ClientKind.TRANSFERS: 80,
    ClientKind.POWERS: 10,
    ClientKind.CUSTOMERS: 90,
    ClientKind.FINANCE: 160,
    ClientKind.OPERATIONS: 200,
    ClientKind.BANK: 20,
}
MOST_RUNS: Final = 3
"""The rarest steps, such as a customer's decision before it is too late, are not in every run."""
GOLDEN_RATIO: Final = 0.618034
"""Its multiples, modulo 1, are spread evenly from the first few on."""
EXCEPTIONS: Final[Mapping[str, str]] = {
    "applyProcessorEvent": "no event is kept where every processor is truthful: always 404",
}
"""Operation ids to which no client gets a successful answer, and why."""


class InTurn(Random):
    """Reaches every possibility of each random decision within a few draws."""

    getrandbits = Random.getrandbits  # or whatever else is drawn would be made of `random`

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self._turns: Counter[tuple[str, int]] = Counter()

    def choice(self, seq: Sequence[Any]) -> Any:
        return seq[self._turn() % len(seq)]

    def random(self) -> float:
        return self._turn() * GOLDEN_RATIO % 1.0

    def _turn(self) -> int:
        asking = sys._getframe(2)
        place = asking.f_code.co_filename, asking.f_lineno
        self._turns[place] += 1
        return self._turns[place] - 1


def in_turn(client: Client, dice: Random) -> None:
    """A worker's steps: all equally often, so that even rare ones are taken."""
    if not isinstance(client, StripeClient):
        client.shop = client.initial.shops[0]  # so that they meet on its payments
    steps = list(client.steps())
    while client.left > 0:
        dice.shuffle(steps)
        for step in steps:
            if client.left > 0:
                step(dice)
                client.platform.sleep(dice.random() * client.pause_seconds)


def called(exchanges: Iterable[Exchange]) -> Iterator[str]:
    """The operation ids of those requests that were successful."""
    patterns = [
        (each.method, re.compile(re.sub(r"{\w+}", "[^/]+", each.path)), each.operation)
        for each in sorted(ENDPOINTS, key=lambda each: each.path.count("{"))
    ]
    for exchange in exchanges:
        request, response = exchange.request, exchange.response
        if response is None or not response.is_success:
            continue
        yield next(
            operation
            for method, path, operation in patterns
            if method == request.method and path.fullmatch(request.path)
        )


def played(monkeypatch: pytest.MonkeyPatch, seed: str) -> set[str]:
    """The operation ids of the requests that were successful in a run without faults."""
    dice = InTurn(seed)
    monkeypatch.setattr(Client, "work", lambda client, _number: in_turn(client, dice))
    clients = tuple(
        ClientPlan(kind, kind, f"{seed}-{kind}", operations)
        for kind, operations in OPERATIONS.items()
    )
    platform = Platform(seed, Plan(seed, clients, frozenset()))
    platform.run()
    platform.scheduler.close()
    return set(called(platform.history))


def test_clients_call_every_route(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {each.operation for each in ENDPOINTS}
    for attempt in range(MOST_RUNS):
        missing -= played(monkeypatch, f"routes-{attempt}")
        if missing <= EXCEPTIONS.keys():
            break
    assert missing == EXCEPTIONS.keys()
