"""Compares a settlement line with what is booked. Pure.

The first difference decides: currency, amount, fee. What comes before (is it ours, is it settled
already, has it happened here) depends on the line's counterpart: counterparts.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from runtime.core.money import format_amount
from runtime.payments.transaction_models import GroupedLine
from runtime.reconciliation.importers.line import ImportedLine
from runtime.reconciliation.matching.flows import Amounts, accepted, cost, written_off
from runtime.reconciliation.settlements.models import ExpectedAmounts, Flows, LineStatus

AGAIN: Final = "put the file into the bucket again when it is"
"""What to do about a line that arrived before its counterpart was booked."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The booked and unsettled amounts of a line's counterpart, signed like a line's.

    `transactions`: captures or one refund that the line settles; `returned`: a refund whose failure
    it settles; `dispute_id` of `payment_id`, `reversal` where money comes back. `least_fee`: a fee
    may be learned from here up to the amount; above zero, it must be. `members`: lines of
    `charge_id` that waited for this one; they settle the counterpart together.
    """

    ours: Amounts
    currency: str
    payment_id: str
    status: str
    transactions: tuple[str, ...] = ()
    returned: str | None = None
    dispute_id: str | None = None
    reversal: bool = False
    least_fee: int = 0
    charge_id: str | None = None
    members: tuple[GroupedLine, ...] = ()

    @property
    def expected(self) -> ExpectedAmounts:
        """The same in the form stored with the line."""
        return ExpectedAmounts(
            amount=self.ours.amount, fee=self.ours.fee, currency=self.currency, status=self.status
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a line. `flows` by currency: its postings, none unless matched.

    `learned_fee`: how much of the line's fee was not known before, in minor units; negative if
    a learned one is reversed. `waits`: other lines of the payment may complete it.
    """

    status: LineStatus
    reason: str | None = None
    expected: ExpectedAmounts | None = None
    flows: Mapping[str, Flows] = field(default_factory=dict)
    learned_fee: int = 0
    waits: bool = False


def is_exchanged(line: ImportedLine) -> bool:
    """Whether the customer paid in another currency than the line is settled in."""
    return line.presented_amount is not None and line.presented_currency not in (
        None,
        line.currency,
    )


def stated(line: ImportedLine) -> tuple[int, str]:
    """The amount and currency of a line that are compared with the payment's."""
    if line.presented_amount is None or line.presented_currency in (None, line.currency):
        return line.amount, line.currency
    return line.presented_amount, line.presented_currency


def compare(line: ImportedLine, ours: Counterpart, tolerance: int) -> Verdict:
    """Compare a line with what is booked. `tolerance` in minor units, of amount and of fee.

    If the line is settled in another currency than the customer paid in, the amounts that the
    customer paid are compared, and the fee is only bounded by the amount.
    """
    amount, currency = stated(line)
    if currency != ours.currency:
        return Verdict(
            LineStatus.CURRENCY_MISMATCH,
            f"expected {ours.currency}, the file says {currency}",
            ours.expected,
        )
    if abs(amount - ours.ours.amount) > tolerance or amount * ours.ours.amount < 0:
        return Verdict(
            LineStatus.AMOUNT_MISMATCH,
            _differs("amount", ours.ours.amount, amount, currency),
            ours.expected,
        )
    if amount * line.amount < 0 and not ours.members:
        return Verdict(
            LineStatus.AMOUNT_MISMATCH,
            f"{format_amount(amount, currency)} cannot come to "
            f"{format_amount(line.amount, line.currency)}: one came in, the other went out",
            ours.expected,
        )
    return _compare_fee(line, ours, tolerance, amount)


def _compare_fee(line: ImportedLine, ours: Counterpart, tolerance: int, amount: int) -> Verdict:
    known, exchanged = ours.ours.fee, is_exchanged(line)
    unknown = exchanged or known == 0
    least = min(ours.least_fee, 0) if exchanged else ours.least_fee
    if unknown and line.fee < least and least > 0:
        reason = _differs("fee", least, line.fee, line.currency)
        return Verdict(LineStatus.FEE_MISMATCH, reason, ours.expected)
    if unknown and not (line.fee == 0 or least <= line.fee <= abs(line.amount)):
        shown = format_amount(line.fee, line.currency)
        return Verdict(
            LineStatus.FEE_MISMATCH,
            f"no fee was known, and the file's fee {shown} is not between zero and the amount "
            f"{format_amount(abs(line.amount), line.currency)}",
            ours.expected,
        )
    if not unknown and not _near(line.fee, ours, tolerance):
        reason = _differs("fee", known + max(ours.least_fee, 0), line.fee, line.currency)
        return Verdict(LineStatus.FEE_MISMATCH, reason, ours.expected)
    differs = exchanged or (line.amount, line.fee) != (ours.ours.amount, known)
    return Verdict(
        LineStatus.MATCHED,
        _within(line, ours, amount),
        ours.expected if differs else None,
        accept_flows(line, ours),
        learned_fee=_learned(line, ours),
    )


def _near(fee: int, ours: Counterpart, tolerance: int) -> bool:
    """Whether a fee equals the known one, or reverses a learned fee of a dispute."""
    known = ours.ours.fee
    if _is_learned(fee, ours):
        return True
    if ours.least_fee > 0:
        return False
    may_differ = fee >= known or ours.dispute_id is None
    return abs(fee - known) <= (tolerance if may_differ else 0) and fee * known >= 0


def _is_learned(fee: int, ours: Counterpart) -> bool:
    """Whether a fee returns a learned one, or is one that another line has returned."""
    above = fee - ours.ours.fee
    return ours.least_fee <= above <= 0 or 0 < above == ours.least_fee


def _learned(line: ImportedLine, ours: Counterpart) -> int:
    """How much of the fee was not known. For a dispute every difference: it has several lines."""
    if is_exchanged(line) or (ours.ours.fee and ours.dispute_id is None):
        return 0
    return line.fee - ours.ours.fee


def accept_flows(line: ImportedLine, ours: Counterpart | None) -> dict[str, Flows]:
    """The bookings if the file is right, by currency: the merchant bears any difference.

    Without a counterpart the merchant bears all of it. For an exchanged line, the customer's amount
    is settled in the payment's currency, and the fee passes through the line's.
    """
    if ours is None or not is_exchanged(line):
        known = ours.ours if ours is not None else Amounts()
        return _moving({line.currency: accepted(Amounts(amount=line.amount, fee=line.fee), known)})
    amount, currency = stated(line)
    paid = Amounts(amount=amount, fee=ours.ours.fee)
    return _moving({currency: accepted(paid, ours.ours), line.currency: cost(-line.fee)})


def write_off_flows(line: ImportedLine, ours: Counterpart | None) -> dict[str, Flows]:
    """The bookings if the platform bears the difference, by currency."""
    if ours is None or not is_exchanged(line):
        known = ours.ours if ours is not None else Amounts()
        read = Amounts(amount=line.amount, fee=line.fee)
        return _moving({line.currency: written_off(read, known)})
    amount, currency = stated(line)
    paid = Amounts(amount=amount, fee=ours.ours.fee)
    return _moving({currency: written_off(paid, ours.ours), line.currency: cost(-line.fee)})


def together(line: ImportedLine, members: Sequence[GroupedLine]) -> ImportedLine:
    """The line combined with those that waited for it: their sums, in its own currencies."""
    amount, _ = stated(line)
    total = amount + sum(each.amount for each in members)
    fee = line.fee + sum(each.fee for each in members)
    if is_exchanged(line):
        return replace(line, presented_amount=total, fee=fee, net=line.amount - fee)
    return replace(
        line, amount=total, fee=fee, net=total - fee, presented_amount=None, presented_currency=None
    )


def closing_flows(
    line: ImportedLine, all_of_it: ImportedLine, ours: Counterpart
) -> dict[str, Flows]:
    """The bookings of the line that completes a group; the others book only their own amounts.

    The difference to what is booked here, such as a learned fee, is booked with this line. Of an
    exchanged group, it settles the whole in the payment's currency.
    """
    if is_exchanged(line):
        whole = accept_flows(all_of_it, ours)
        return _moving({**whole, line.currency: cost(-line.fee)})
    whole_flows = accepted(Amounts(amount=all_of_it.amount, fee=all_of_it.fee), ours.ours)
    own = {"net": line.amount - line.fee, "fee": line.fee}
    return _moving({line.currency: whole_flows.model_copy(update=own)})


def member_flows(line: ImportedLine) -> dict[str, Flows]:
    """The bookings of a line whose group is completed by another one."""
    if is_exchanged(line):
        return _moving({line.currency: cost(-line.fee)})
    return _moving({line.currency: Flows(net=line.amount - line.fee, fee=line.fee)})


def joined(counterparts: Iterable[Counterpart]) -> Counterpart:
    """Several captures of one payment as one."""
    first, *rest = counterparts
    return replace(
        first,
        ours=Amounts(
            amount=first.ours.amount + sum(each.ours.amount for each in rest),
            fee=first.ours.fee + sum(each.ours.fee for each in rest),
        ),
        transactions=(*first.transactions, *(name for each in rest for name in each.transactions)),
    )


def _within(line: ImportedLine, ours: Counterpart, amount: int) -> str | None:
    """Why a line with a difference still matched; None if nothing differs."""
    if amount != ours.ours.amount:
        difference = _differs("amount", ours.ours.amount, amount, ours.currency)
        return f"{difference}: within the merchant's tolerance"
    learned = _is_learned(line.fee, ours)
    if not is_exchanged(line) and ours.ours.fee not in (0, line.fee) and not learned:
        difference = _differs("fee", ours.ours.fee, line.fee, ours.currency)
        return f"{difference}: within the merchant's tolerance"
    return None


def _differs(what: str, expected: int, said: int, currency: str) -> str:
    return (
        f"expected {what} {format_amount(expected, currency)}, "
        f"the file says {format_amount(said, currency)}"
    )


def _moving(flows: Mapping[str, Flows]) -> dict[str, Flows]:
    """Without the currencies in which nothing moves."""
    return {currency: each for currency, each in flows.items() if any(each.model_dump().values())}
