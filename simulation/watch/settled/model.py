"""An independent model of the ledger: the answers that clients got, applied in plain arithmetic.

It shares no code with the platform and knows none of its rows: accounts and transfers are those of
accepted answers, and holds that never ended are released when they expire.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from simulation.platform.history import Exchange
from simulation.watch.settled.books import Amounts
from simulation.watch.settled.effects import accepted, by_key, is_decided
from simulation.watch.settled.rows import Faults

_ACCOUNTS: Final = "/v1/accounts"
_TRANSFERS: Final = "/v1/transfers"
Legs = list[tuple[str, str, int]]


@dataclass
class Model:
    """Accounts by id: balance, held_out, held_in. `doubtful` are those that cannot be judged."""

    accounts: dict[str, list[int]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)

    def move(self, legs: Legs) -> None:
        """Move money at once."""
        for source, target, amount in legs:
            self._change(source, 0, -amount)
            self._change(target, 0, amount)

    def hold(self, legs: Legs, sign: int = +1) -> None:
        """Set money aside, or give it back; legs that cancel each other out hold nothing."""
        net: dict[str, int] = {}
        for source, target, amount in legs:
            net[source] = net.get(source, 0) - amount
            net[target] = net.get(target, 0) + amount
        for account, change in net.items():
            if change:
                self._change(account, 1 if change < 0 else 2, sign * abs(change))

    def doubt(self, legs: Legs) -> None:
        """The outcome of these is unknown."""
        self.doubtful |= {account for leg in legs for account in leg[:2]}

    def _change(self, account: str, place: int, amount: int) -> None:
        if account in self.accounts:
            self.accounts[account][place] += amount


def model_faults(exchanges: Iterable[Exchange], found: Amounts, now: str) -> Faults:
    """Accounts whose amounts are not what accepted requests add up to at `now` (ISO 8601)."""
    model = model_of(exchanges, now)
    for account, amounts in sorted(model.accounts.items()):
        if account not in model.doubtful and found.get(account) != tuple(amounts):
            yield (
                f"{account} has {found.get(account)} (balance, held_out, held_in), accepted "
                f"requests add up to {tuple(amounts)}"
            )


def model_of(exchanges: Iterable[Exchange], now: str) -> Model:
    """The model after all that was accepted."""
    model, keys = Model(), by_key(exchanges)
    for (_, path, _), tries in keys.items():
        document = accepted(tries)
        if path == _ACCOUNTS and document is not None:
            # A hot account's opening is added to it later, so its first answer says 0.
            opening = (tries[0].request.body or {}).get("opening_balance", 0)
            model.accounts[document["id"]] = [int(opening), 0, 0]
    holds: dict[str, tuple[Legs, str]] = {}
    for (_, path, _), tries in keys.items():
        if path == _TRANSFERS:
            _begin(model, tries, holds)
    for (_, path, _), tries in keys.items():
        hold_id, _, end = path.removeprefix(f"{_TRANSFERS}/").partition("/")
        if end in ("post", "cancel") and hold_id in holds:
            _end(model, end, tries, holds, hold_id)
    for legs, expires_at in holds.values():
        if expires_at <= now:
            model.hold(legs, -1)
    return model


def _begin(model: Model, tries: list[Exchange], holds: dict[str, tuple[Legs, str]]) -> None:
    document = accepted(tries)
    if document is None:
        if not is_decided(tries):
            model.doubt(_legs(tries[0].request.body or {}))
        return
    legs = _legs(document)
    if tries[0].request.body and tries[0].request.body.get("hold"):
        model.hold(legs)
        holds[document["id"]] = (legs, document["expires_at"])
    else:
        model.move(legs)


def _end(
    model: Model,
    end: str,
    tries: list[Exchange],
    holds: dict[str, tuple[Legs, str]],
    hold_id: str,
) -> None:
    document = accepted(tries)
    if document is None:
        if not is_decided(tries):
            model.doubt(holds[hold_id][0])
        return
    legs, _ = holds.pop(hold_id)
    model.hold(legs, -1)
    if end == "cancel":
        return
    posted = document["posted_amount"]
    whole = posted == sum(amount for _, _, amount in legs)
    model.move(legs if whole else [(source, target, posted) for source, target, _ in legs])


def _legs(document: Any) -> Legs:
    legs = document.get("legs") or [document]
    return [
        (
            str(leg.get("from_account_id")),
            str(leg.get("to_account_id")),
            int(leg.get("amount") or 0),
        )
        for leg in legs
    ]
