"""The rules for settlement postings and their lines. Pure.

1. A settlement's transfer moves exactly the bookings of its lines.
2. The bookings of a line agree with the line's own amounts.
3. Per payment, the lines change clearing and fees by the opposite of its settled facts, so both
   return to zero and nothing is settled twice.

Bookings are only ever added, and the id of a booking's transfer contains its time. Both sides
therefore agree on what is older than the cut, no matter when a line is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.ledger.rules import clearing_account, fees_account
from runtime.payments.transaction_models import TransactionType
from runtime.reconciliation.matching.flows import Move, added, flow_moves
from runtime.reconciliation.settlements.line_keys import FIRST_MISSING_LINE
from runtime.reconciliation.settlements.models import Flows, LineStatus, LineType, ResolutionAction
from runtime.verification.holds.rules import weight
from runtime.verification.payments.rules import Nets, PaymentFacts, TransactionFacts

NOTHING_BOOKED = Flows()
_OF_FACTS = frozenset(LineType) - {LineType.FEE, LineType.ADJUSTMENT, LineType.PAYOUT}
"""Line types that settle a fact that was already booked."""
_BOOKS_NOTHING = frozenset({LineStatus.SUPERSEDED, LineStatus.EXPECTED})


class BookingFacts(BaseModel, frozen=True):
    """A line's share of a posting."""

    transfer_id: str
    currency: str = ""
    flows: Flows = NOTHING_BOOKED


class ResolutionFacts(BaseModel, frozen=True):
    """How an operator resolved an exception."""

    action: str = ""


class LineFacts(BaseModel, frozen=True):
    """A stored settlement line, accepted even with invalid values."""

    settlement_bucket: str
    line: int
    settlement_id: str = ""
    merchant_id: str = ""
    status: str = ""
    type: str | None = None
    payment_id: str | None = None
    transaction_id: str | None = None
    fee: int | None = None
    net: int | None = None
    currency: str | None = None
    presented_amount: int | None = None
    presented_currency: str | None = None
    bookings: tuple[BookingFacts, ...] = ()
    resolution: ResolutionFacts | None = None

    @property
    def name(self) -> str:
        """Its name in the report."""
        return f"{self.settlement_id} line {self.line}"

    @property
    def is_exchanged(self) -> bool:
        """Whether the customer paid in a different currency from the line's."""
        named = self.presented_currency not in {None, self.currency}
        return named and self.presented_amount is not None

    @property
    def is_written_off(self) -> bool:
        """Whether its difference was written off."""
        return self.resolution is not None and self.resolution.action == ResolutionAction.WRITE_OFF

    def moves_of(self, booking: BookingFacts) -> tuple[Move, ...]:
        """The moves of one of its bookings."""
        return flow_moves(booking.flows, self.merchant_id, booking.currency)


# -------------------------------------------------------------------- a transfer and its lines


def settlement_fingerprint(
    transfer_id: str, settlement_id: str, moves: Iterable[Move], lines: int
) -> int:
    """Linear fingerprint of what a transfer moves for `lines` lines of a settlement.

    The fingerprints of the lines' bookings add up to that of the transfer. Moves in both directions
    between two accounts are offset, because the transfer may have offset them.
    """
    of = (transfer_id, settlement_id)
    return lines * weight(*of, "lines") + sum(
        amount * weight(*of, *pair) for pair, amount in offset(moves).items()
    )


def offset(moves: Iterable[Move]) -> dict[tuple[str, str], int]:
    """Net amount between each pair of accounts, with the pair in sorted order, without zeros."""
    total: Counter[tuple[str, str]] = Counter()
    for payer, payee, amount in moves:
        if payer < payee:
            total[payer, payee] += amount
        else:
            total[payee, payer] -= amount
    return {pair: amount for pair, amount in total.items() if amount}


def format_moves(moves: Iterable[Move]) -> str:
    """Moves as shown in the report."""
    return (
        ", ".join(
            f"{amount} from {one} to {other}" if amount > 0 else f"{-amount} from {other} to {one}"
            for (one, other), amount in sorted(offset(moves).items())
        )
        or "nothing"
    )


# -------------------------------------------------------------------- a line and its amounts


def line_contradictions(line: LineFacts) -> Iterator[tuple[str, str]]:
    """Bookings of a line that contradict its status or amounts: expected and found."""
    twice = Counter(each.transfer_id for each in line.bookings)
    for transfer_id, times in twice.items():
        if times > 1:
            yield f"one booking by {transfer_id}", f"{times} bookings"
    booked = _booked(line.bookings)
    yield from _against_amounts(line, booked) if _may_book(line) else _against_status(line, booked)
    if line.payment_id is None:
        for account, net in settling(line, line.bookings).items():
            yield f"0 on {account}, as of a line without a payment", str(net)


def _against_status(line: LineFacts, booked: Mapping[str, Flows]) -> Iterator[tuple[str, str]]:
    for currency, flows in booked.items():
        if flows != NOTHING_BOOKED:
            yield f"nothing booked of a line that is {line.status}", _shown(flows, currency)


def _against_amounts(line: LineFacts, booked: Mapping[str, Flows]) -> Iterator[tuple[str, str]]:
    currency = line.currency or ""
    flows = booked.get(currency, NOTHING_BOOKED)
    right = _net_and_fee(line)
    if right is not None and (flows.net, flows.fee) != right:
        expected = f"net {right[0]} and fee {right[1]} {currency}"
        yield expected, _shown(flows, currency)
    if line.is_written_off:
        return
    for each, flows in booked.items():
        if flows.written_off or flows.written_off_fee:
            yield "nothing written off", _shown(flows, each)


def _may_book(line: LineFacts) -> bool:
    if line.status in _BOOKS_NOTHING:
        return False
    if line.status == LineStatus.MATCHED:
        return line.type != LineType.PAYOUT
    return line.resolution is not None and line.resolution.action != ResolutionAction.IGNORE


def _net_and_fee(line: LineFacts) -> tuple[int, int] | None:
    """Net and fee that must be booked in the line's currency; None if another rule applies.

    Nothing is booked for lines that are missing in the file. If the customer paid in another
    currency, only the fee is booked in the line's currency.
    """
    net, fee = line.net or 0, line.fee or 0
    if line.line >= FIRST_MISSING_LINE:
        return 0, 0
    if line.type == LineType.FEE and not line.is_written_off:
        return net, -net
    if line.status == LineStatus.CURRENCY_MISMATCH or line.type == LineType.PAYOUT:
        return None
    if line.is_exchanged and line.type in _OF_FACTS:
        return None if line.resolution is not None else (-fee, fee)
    return net, fee


def _booked(bookings: Iterable[BookingFacts]) -> dict[str, Flows]:
    by_currency: dict[str, list[Flows]] = {}
    for booking in bookings:
        by_currency.setdefault(booking.currency, []).append(booking.flows)
    return {currency: added(flows) for currency, flows in by_currency.items()}


def _shown(flows: Flows, currency: str) -> str:
    amounts = [
        f"{name.replace('_', ' ')} {amount}"
        for name, amount in flows.model_dump().items()
        if amount
    ]
    return f"{', '.join(amounts)} {currency}" if amounts else "nothing booked"


# -------------------------------------------------------------------- a payment and its lines


def settling(line: LineFacts, bookings: Iterable[BookingFacts]) -> Nets:
    """Net change that a line's bookings make to the clearing and fees accounts, without zeros."""
    total: Counter[str] = Counter()
    for booking in bookings:
        counted = {clearing_account(booking.currency), fees_account(booking.currency)}
        for payer, payee, amount in line.moves_of(booking):
            for account, change in ((payer, -amount), (payee, amount)):
                if account in counted:
                    total[account] += change
    return {account: net for account, net in total.items() if net}


def settled_nets(
    payment: PaymentFacts, transactions: Sequence[TransactionFacts], until: Timestamp | None = None
) -> Nets:
    """Total change of clearing and fees that the lines of a payment must have made.

    It is the opposite of what the settled facts changed. `until`: count only captures and refunds
    settled by then. Disputes and returned refunds do not record when they were settled.
    """
    clearing = fees = 0
    for each in transactions:
        captured = each.type == TransactionType.CAPTURE
        if was_settled(each, until):
            clearing += each.amount if captured else -each.amount
            fees -= each.fee - each.learned_fee
        if each.return_settlement_id is not None:
            clearing += each.amount
    for dispute in (payment.disputes or {}).values():
        clearing -= dispute.settled_withdrawn - dispute.settled_returned
        fees -= dispute.settled_fee
    changes = {clearing_account(payment.currency): clearing, fees_account(payment.currency): fees}
    return {account: net for account, net in changes.items() if net}


def settles_without_time(payment: PaymentFacts, transactions: Iterable[TransactionFacts]) -> bool:
    """Whether something was settled that does not say when: a dispute or a returned refund."""
    return any(each.return_settlement_id is not None for each in transactions) or any(
        each.settled_withdrawn or each.settled_returned or each.settled_fee
        for each in (payment.disputes or {}).values()
    )


def was_settled(each: TransactionFacts, until: Timestamp | None = None) -> bool:
    """Whether the transaction is settled, at `until` if given.

    If its settlement was corrected, it counts from the time of the correction.
    """
    if each.settlement_id is None:
        return False
    return until is None or each.settled_at is None or each.settled_at <= until


def settled_fingerprint(payment_id: str, nets: Nets) -> int:
    """Linear fingerprint of a payment's settled amounts. Those of its lines add up to it."""
    return sum(net * weight(payment_id, account) for account, net in nets.items())
