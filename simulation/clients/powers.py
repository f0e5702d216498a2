"""A merchant whose transfers between two accounts each move another power of two.

A balance then names the set of transfers that it contains, and the recorded answers can be judged
for linearizability (simulation/watch/histories.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.clients.client import Api, Client, Latest
from simulation.clients.setup import CURRENCIES, InitialData
from simulation.platform.http import HttpResponse
from simulation.platform.plan import ClientPlan
from simulation.watch.histories import MARK, OPENING, POWERS, TRANSFERS


@dataclass
class PairOfAccounts:
    """Where money goes from and to, and the next power of two to move."""

    source: str
    target: str
    power: int = 0


class PowersClient(Client):
    """Several workers move and look at the same two accounts at once."""

    workers = 4
    pause_seconds = 0.3
    long_pauses = (5.0, 30.0)

    def __init__(self, plan: ClientPlan, platform: Api, initial: InitialData) -> None:
        super().__init__(plan, platform, initial)
        self.pair: PairOfAccounts | None = None
        self.is_opening = False
        self.holds = Latest()

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        return {self.move: 40, self.hold: 10, self.post: 10, self.look: 45, self.repeat: 6}

    def move(self, dice: Random) -> None:
        """The next power of two at once; some answers say the balance right after it."""
        more = {"expand": ["balances_after"]} if dice.random() < 0.4 else {}
        self._move(dice, more)

    def hold(self, dice: Random) -> None:
        """The next power of two, set aside for long enough."""
        answer = self._move(dice, {"hold": True, "expires_in_seconds": 86_400})
        if answer is not None and answer.status == 201:
            self.holds.add(answer.body["id"])

    def post(self, dice: Random) -> None:
        """What was set aside longest is moved."""
        if self.holds:
            hold_id = self.holds.items.pop(0)
            self.ask(dice, "POST", f"{TRANSFERS}/{hold_id}/post", {})

    def look(self, dice: Random) -> None:
        """What one of the accounts has."""
        if self.pair is not None:
            name = dice.choice((self.pair.source, self.pair.target))
            self.read(dice, f"/v1/accounts/{name}")

    def _move(self, dice: Random, more: Mapping[str, Any]) -> HttpResponse | None:
        pair = self._pair(dice)
        if pair is None:
            return None
        power, pair.power = pair.power, pair.power + 1
        body = {
            "from_account_id": pair.source,
            "to_account_id": pair.target,
            "amount": 2**power,
            "currency": CURRENCIES[0],
            "description": MARK,
            **more,
        }
        return self.ask(dice, "POST", TRANSFERS, body)

    def _pair(self, dice: Random) -> PairOfAccounts | None:
        """Two accounts between which a power is left; None while a worker opens them."""
        if self.pair is not None and self.pair.power < POWERS:
            return self.pair
        if self.is_opening:
            self.platform.sleep(self.pause_seconds)
            return None
        self.is_opening = True
        source, target = self._opened(dice, OPENING), self._opened(dice, 0)
        self.is_opening = False
        if source is not None and target is not None:
            self.pair = PairOfAccounts(source, target)
        return self.pair if self.pair is not None and self.pair.power < POWERS else None

    def _opened(self, dice: Random, balance: int) -> str | None:
        body = {"account_type": "wallet", "currency": CURRENCIES[0], "opening_balance": balance}
        answer = self.operate(dice, "POST", "/v1/accounts", body)
        return str(answer.body["id"]) if answer is not None and answer.status == 201 else None
