"""The postings and ceilings of a payment that follow from its transactions. Pure.

A transaction's audit trail records what happened and when: it succeeded (a capture or refund is
posted), or it failed after it had succeeded (the money was returned). Each step was committed with
its posting, under an operation of the same millisecond, so both sides agree on what is older than
the cut. Settlement postings are checked separately (settlements/phase.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.ledger.rules import clearing_account, fees_account, receivable_account
from runtime.payments.models import PaymentStatus
from runtime.payments.posting_ids import posting_id, returned_refund_posting_id
from runtime.payments.transaction_models import TransactionStatus, TransactionType

DONE = frozenset({TransactionStatus.SUCCEEDED, TransactionStatus.SETTLED})
_POSTED_TYPES = frozenset({TransactionType.CAPTURE, TransactionType.REFUND})
Nets = Mapping[str, int]


class DisputeFacts(BaseModel, frozen=True):
    """A dispute's booked and settled amounts, and its transfers."""

    amount: int = 0
    fee: int = 0
    withheld: int = 0
    withdrawn: int | bool = 0
    returned: int | bool = 0
    settled_withdrawn: int = 0
    settled_returned: int = 0
    settled_fee: int = 0
    transfer_ids: tuple[str, ...] = ()

    @property
    def taken(self) -> int:
        """Amount withdrawn and not returned. In stored rows True means the full amount."""
        withdrawn, returned = (
            self.amount if each is True else int(each) for each in (self.withdrawn, self.returned)
        )
        return withdrawn - returned


class PaymentFacts(BaseModel, frozen=True):
    """A payment's totals, ceilings and transaction ids."""

    id: str
    merchant_id: str = ""
    currency: str = ""
    status: str = ""
    amount: int = 0
    amount_captured: int = 0
    amount_refunded: int = 0
    fee: int = 0
    capturable_minor: int = 0
    refundable_minor: int = 0
    pending_capture_minor: int = 0
    pending_refund_minor: int = 0
    disputes: dict[str, DisputeFacts] | None = None
    transaction_ids: tuple[str, ...] = ()


class StepFacts(BaseModel, frozen=True):
    """One step of a transaction's audit trail."""

    status: str = ""
    at: str = ""


class TransactionFacts(BaseModel, frozen=True):
    """The fields of a transaction that determine its payment's totals and postings."""

    id: str
    payment_id: str = ""
    type: str = ""
    status: str = ""
    amount: int = 0
    fee: int = 0
    learned_fee: int = 0
    processed_at: str | None = None
    settlement_id: str | None = None
    settled_at: str | None = None
    return_settlement_id: str | None = None
    audit_trail: tuple[StepFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedPosting:
    """A transfer that must exist: its fact, its net change per account, and its time."""

    id: str
    fact: str
    nets: Nets
    at: Timestamp


def expected_postings(
    each: TransactionFacts, merchant_id: str, currency: str
) -> Iterator[ExpectedPosting]:
    """The postings that one transaction requires, without settlement postings.

    A fee learned from a settlement file is booked by the settlement.
    """
    if each.type not in _POSTED_TYPES:
        return
    happened: dict[str, Timestamp] = {}
    for step in each.audit_trail:
        if step.status != TransactionStatus.FAILED or TransactionStatus.SUCCEEDED in happened:
            happened.setdefault(step.status, step.at)
    if each.status in DONE:
        happened.setdefault(TransactionStatus.SUCCEEDED, each.processed_at or "")
    if TransactionStatus.SUCCEEDED not in happened:
        return
    captured = each.type == TransactionType.CAPTURE
    amount, fee = (each.amount, each.fee - each.learned_fee) if captured else (-each.amount, 0)
    nets = fact_nets(merchant_id, currency, amount, fee)
    back = {account: -net for account, net in nets.items()}
    done_at = happened[TransactionStatus.SUCCEEDED]
    yield ExpectedPosting(posting_id(each.id), f"{each.id} {each.type}", nets, done_at)
    if TransactionStatus.FAILED in happened and not captured:
        returned_at = happened[TransactionStatus.FAILED]
        fact = f"{each.id} returned"
        yield ExpectedPosting(returned_refund_posting_id(each.id), fact, back, returned_at)


def fact_nets(merchant_id: str, currency: str, amount: int, fee: int) -> Nets:
    """Net change per account of a fact's postings. `amount` is negative for refunds and disputes.

    For a dispute it is the amount taken, net of what was returned.
    """
    changes = {
        receivable_account(merchant_id, currency): amount - fee,
        clearing_account(currency): -amount,
        fees_account(currency): fee,
    }
    return {account: net for account, net in changes.items() if net}


def added_up(nets: Iterable[Nets]) -> dict[str, int]:
    """The sum of several net changes, without zeros."""
    total: Counter[str] = Counter()
    for each in nets:
        for account, net in each.items():
            total[account] += net
    return {account: net for account, net in total.items() if net}


def format_nets(nets: Nets) -> str:
    """Net changes as shown in the report."""
    return ", ".join(f"{net} on {account}" for account, net in sorted(nets.items())) or "nothing"


# -------------------------------------------------------------------- ceilings


def totals_that_differ(
    payment: PaymentFacts, transactions: Sequence[TransactionFacts]
) -> list[tuple[str, int, int]]:
    """Totals that differ from the sum of the transactions: name, expected and stored amount."""
    done: Counter[str] = Counter()
    fees = 0
    for each in transactions:
        if each.status in DONE:
            done[each.type] += each.amount
            fees += each.fee
        else:
            # The refund was returned, but the fee of its settlement line was not.
            fees += each.learned_fee
    return _differing(
        ("amount_captured", done[TransactionType.CAPTURE], payment.amount_captured),
        ("amount_refunded", done[TransactionType.REFUND], payment.amount_refunded),
        ("fee", fees, payment.fee),
    )


def ceilings_that_differ(
    payment: PaymentFacts, transactions: Sequence[TransactionFacts], withheld: int
) -> list[tuple[str, int, int]]:
    """Ceilings that are wrong: name, expected and stored amount.

    captured = refunded + pending refund + refundable + `withheld` by disputes. While the
    authorization can be captured, amount = captured + pending capture + capturable.
    """
    pending: Counter[str] = Counter()
    for each in transactions:
        if each.status == TransactionStatus.PENDING:
            pending[each.type] += each.amount
    capturable = 0
    if payment.status == PaymentStatus.REQUIRES_CAPTURE:
        capturable = payment.amount - payment.amount_captured - payment.pending_capture_minor
    taken = payment.amount_refunded + payment.pending_refund_minor + withheld
    return _differing(
        ("pending_capture", pending[TransactionType.CAPTURE], payment.pending_capture_minor),
        ("pending_refund", pending[TransactionType.REFUND], payment.pending_refund_minor),
        ("capturable", capturable, payment.capturable_minor),
        ("refundable", payment.amount_captured - taken, payment.refundable_minor),
    )


def _differing(*compared: tuple[str, int, int]) -> list[tuple[str, int, int]]:
    return [(name, right, there) for name, right, there in compared if right != there]
