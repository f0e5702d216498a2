"""The postings of settlement lines, as sums that can be added up and reversed. Pure.

A capture, refund or dispute was booked when it happened: receivable += net, clearing -= amount,
fees += fee, with signed amounts. Its settlement line books the opposite, so all three return to
zero. Differences go to the merchant's receivable if a line is accepted, to the platform's
write-off account if it is written off (docs/decisions/0038).
"""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel

from runtime.ledger.rules import (
    clearing_account,
    fees_account,
    receivable_account,
    write_off_account,
)
from runtime.ledger.transfers.models import Leg
from runtime.reconciliation.settlements.models import Flows

_ROUTES = (
    ("net", "receivable", "clearing"),
    ("fee", "fees", "clearing"),
    ("cost", "receivable", "fees"),
    ("adjusted", "clearing", "receivable"),
    ("written_off", "clearing", "write_off"),
    ("written_off_fee", "write_off", "fees"),
)
"""The source and destination account of each flow if it is positive."""


def added(flows: Iterable[Flows]) -> Flows:
    """The sum of several lines' flows."""
    total: Counter[str] = Counter()
    for each in flows:
        total.update(each.model_dump())
    return Flows(**total)


def by_currency(*parts: tuple[str, Flows]) -> dict[str, Flows]:
    """Flows by currency; those of one currency are added up."""
    sums: dict[str, Flows] = {}
    for currency, flows in parts:
        sums[currency] = added((sums.get(currency, Flows()), flows))
    return sums


def reversed_flows(flows: Flows) -> Flows:
    """The flows that reverse these."""
    return Flows(**{name: -amount for name, amount in flows.model_dump().items()})


def batch_legs(flows: Iterable[Flows], merchant_id: str, currency: str) -> tuple[Leg, ...]:
    """The legs of one transfer that books several lines: at most two of each flow.

    Opposite directions are added up separately, so that lines which cancel
    each other out, such as a capture and its refund, are still in the transfer.
    """
    one_way, other_way = Counter[str](), Counter[str]()
    for each in flows:
        for name, amount in each.model_dump().items():
            (one_way if amount > 0 else other_way)[name] += amount
    return (
        *flow_legs(Flows(**one_way), merchant_id, currency),
        *flow_legs(Flows(**other_way), merchant_id, currency),
    )


Move = tuple[str, str, int]
"""Source, destination, and an amount above zero."""


def flow_moves(flows: Flows, merchant_id: str, currency: str) -> tuple[Move, ...]:
    """The movements of the flows; empty if nothing moves."""
    accounts = {
        "receivable": receivable_account(merchant_id, currency),
        "clearing": clearing_account(currency),
        "fees": fees_account(currency),
        "write_off": write_off_account(currency),
    }
    moves = []
    for name, source, target in _ROUTES:
        amount: int = getattr(flows, name)
        if amount:
            ends = (accounts[source], accounts[target])
            payer, payee = ends if amount > 0 else ends[::-1]
            moves.append((payer, payee, abs(amount)))
    return tuple(moves)


def flow_legs(flows: Flows, merchant_id: str, currency: str) -> tuple[Leg, ...]:
    """The legs of one transfer that books the flows; empty if nothing moves."""
    return tuple(
        Leg(from_account_id=payer, to_account_id=payee, amount=amount)
        for payer, payee, amount in flow_moves(flows, merchant_id, currency)
    )


class Amounts(BaseModel, frozen=True, defer_build=True):
    """A signed gross amount and its fee, in minor units of one currency."""

    amount: int = 0
    fee: int = 0

    @property
    def net(self) -> int:
        """The amount paid out."""
        return self.amount - self.fee


NOTHING = Amounts()


def settled(line: Amounts, *, learned_fee: int = 0) -> Flows:
    """A line that equals what we have booked; `learned_fee` of its fee was not known before."""
    return Flows(net=line.net, fee=line.fee, cost=learned_fee)


def accepted(line: Amounts, ours: Amounts) -> Flows:
    """The line is right: the merchant bears the difference to what we have booked."""
    return Flows(
        net=line.net,
        fee=line.fee,
        cost=line.fee - ours.fee,
        adjusted=line.amount - ours.amount,
    )


def written_off(line: Amounts, ours: Amounts) -> Flows:
    """The line is settled unchanged; the platform bears the difference to our books."""
    return Flows(
        net=line.net,
        fee=line.fee,
        written_off=line.amount - ours.amount,
        written_off_fee=line.fee - ours.fee,
    )


def adjustment(line: Amounts) -> Flows:
    """A line without a counterpart that is booked and settled at once."""
    return accepted(line, NOTHING)


def cost(net: int) -> Flows:
    """A fee without a payment, booked and settled at once; `net` is negative for a cost."""
    return accepted(Amounts(amount=0, fee=-net), NOTHING)
