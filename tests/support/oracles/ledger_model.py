"""A ledger in plain dictionaries, written from the rules alone, as the reference for the real one.

It shares no code with the runtime's ledger. Refusals are the API's error codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Legs = Sequence[tuple[str, str, int]]
"""(from, to, minor units) each."""


class Refused(Exception):
    """The model refuses; `code` is the API's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class ModelAccount:
    """One account according to the rules."""

    currency: str
    folded: bool = False
    credit_limit: int = 0
    active: bool = True
    balance: int = 0
    held_out: int = 0
    held_in: int = 0

    @property
    def spendable(self) -> int:
        """The spendable amount above its floor."""
        return self.balance - self.held_out + self.credit_limit


@dataclass
class ModelTransfer:
    """One transfer or hold: the request and its result."""

    legs: Legs
    state: str
    expires_at: str = ""
    posted: int = 0


@dataclass
class LedgerModel:
    """All accounts and transfers."""

    accounts: dict[str, ModelAccount] = field(default_factory=dict)
    transfers: dict[str, ModelTransfer] = field(default_factory=dict)

    # ------------------------------------------------------------ rules

    def judge(self, legs: Legs, currency: str) -> None:
        """Checks whether a transfer may begin. Raises Refused with the first failed rule."""
        touched = [self.accounts[name] for name in self._net(legs)]
        if not all(account.active for account in touched):
            raise Refused("inactive_account")
        if any(account.currency != currency for account in touched):
            raise Refused("currency_mismatch")
        for name, change in self._net(legs).items():
            if change < 0 and self.accounts[name].spendable < -change:
                raise Refused("insufficient_funds")

    def transfer(self, transfer_id: str, legs: Legs) -> None:
        """Move money at once; `judge` is called before, where the order of events is known."""
        self._move(legs)
        self._begin(transfer_id, ModelTransfer(legs, "processed", posted=_total(legs)))

    def hold(self, transfer_id: str, legs: Legs, expires_at: str) -> None:
        """Hold money."""
        self._set_aside(legs, +1)
        self._begin(transfer_id, ModelTransfer(legs, "pending", expires_at))

    def must_be_open(self, transfer_id: str, at: str) -> ModelTransfer:
        """A hold that can still be posted or canceled. Raises Refused."""
        hold = self.transfers[transfer_id]
        if hold.state == "pending" and hold.expires_at > at:
            return hold
        raise Refused(
            {
                "processed": "already_posted",
                "canceled": "already_canceled",
                "expired": "hold_expired",
                "pending": "hold_expired",
            }[hold.state]
        )

    def post(self, transfer_id: str, amount: int) -> None:
        """Move a part of a hold, or all of it; the rest is released."""
        hold = self._end(transfer_id, "processed")
        assert 0 < amount <= _total(hold.legs)
        self._set_aside(hold.legs, -1)
        hold.posted = amount
        if amount == _total(hold.legs):
            self._move(hold.legs)
        else:
            ((source, target, _),) = hold.legs
            self._move([(source, target, amount)])

    def release(self, transfer_id: str, state: str) -> None:
        """Release a hold: `canceled` or `expired`."""
        self._set_aside(self._end(transfer_id, state).legs, -1)

    # ------------------------------------------------------------ arithmetic

    def totals(self) -> dict[str, int]:
        """The sum of all balances, per currency: zero where openings are transfers too."""
        sums: dict[str, int] = {}
        for account in self.accounts.values():
            sums[account.currency] = sums.get(account.currency, 0) + account.balance
        return sums

    def _begin(self, transfer_id: str, transfer: ModelTransfer) -> None:
        assert transfer_id not in self.transfers, f"{transfer_id} is applied twice"
        self.transfers[transfer_id] = transfer

    def _end(self, transfer_id: str, state: str) -> ModelTransfer:
        hold = self.transfers[transfer_id]
        assert hold.state == "pending", f"{transfer_id} is {hold.state} and now {state}"
        hold.state = state
        return hold

    def _move(self, legs: Legs) -> None:
        for source, target, amount in legs:
            self.accounts[source].balance -= amount
            self.accounts[target].balance += amount

    def _set_aside(self, legs: Legs, sign: int) -> None:
        for name, change in self._net(legs).items():
            account = self.accounts[name]
            if change < 0:
                account.held_out += sign * -change
            else:
                account.held_in += sign * change

    @staticmethod
    def _net(legs: Legs) -> dict[str, int]:
        net: dict[str, int] = {}
        for source, target, amount in legs:
            net[source] = net.get(source, 0) - amount
            net[target] = net.get(target, 0) + amount
        return net


def _total(legs: Legs) -> int:
    return sum(amount for _, _, amount in legs)


def net_of(legs: Legs) -> dict[str, int]:
    """The changes of legs per account, without those of zero."""
    return {name: change for name, change in LedgerModel._net(legs).items() if change}
