"""Invariants of payments: our rows, the ledger and the processor agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from runtime.ledger.rules import clearing_account, fees_account, receivable_account
from runtime.ledger.transfers.models import Transfer
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.rules import VOIDABLE_STATUSES
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType

if TYPE_CHECKING:
    from tests.support.platform import Platform

DONE = (TransactionStatus.SUCCEEDED, TransactionStatus.SETTLED)
_UNBOOKED = (PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN, PaymentStatus.REQUIRES_ACTION)
_HELD = {"approved", "authorized", "voided"}


def payments_must_agree(platform: Platform) -> None:
    """Every payment with its transactions, the sandbox's records of both, and the ledger."""
    payments = platform.payments()
    transactions = platform.rows(Transaction)
    by_payment: dict[str, list[Transaction]] = defaultdict(list)
    for each in transactions:
        by_payment[each.payment_id].append(each)
    for payment in payments:
        _payment_must_add_up(payment, by_payment[payment.id])
    memory = {row.reference: row for row in platform.rows(SandboxCharge)}
    _processor_must_agree(payments, transactions, memory)
    _books_must_agree(platform, payments, transactions)


def _payment_must_add_up(payment: Payment, transactions: list[Transaction]) -> None:
    assert sorted(each.id for each in transactions) == sorted(payment.transaction_ids), payment.id
    done: Counter[str] = Counter()
    pending: Counter[str] = Counter()
    for each in transactions:
        if each.status in DONE:
            done[each.type] += each.amount
        elif each.status is TransactionStatus.PENDING:
            pending[each.type] += each.amount
    reported = {
        "captured": payment.amount_captured,
        "refunded": payment.amount_refunded,
        "pending captures": payment.pending_capture_minor,
        "pending refunds": payment.pending_refund_minor,
    }
    found = {
        "captured": done[TransactionType.CAPTURE],
        "refunded": done[TransactionType.REFUND],
        "pending captures": pending[TransactionType.CAPTURE],
        "pending refunds": pending[TransactionType.REFUND],
    }
    assert reported == found, payment
    withheld = sum(each.withheld for each in (payment.disputes or {}).values())
    taken = payment.refundable_minor + payment.pending_refund_minor + payment.amount_refunded
    assert taken + withheld == payment.amount_captured, payment
    assert payment.refundable_minor >= 0, payment
    if payment.status is PaymentStatus.REQUIRES_CAPTURE:
        in_hand = payment.capturable_minor + payment.pending_capture_minor
        assert in_hand + payment.amount_captured == payment.amount, payment
        assert payment.next_action_at is not None, payment
    else:
        assert payment.capturable_minor == 0, payment
    closing = [each.id for each in transactions if _closes_when_answered(each)]
    assert closing == [id_ for id_ in [payment.closing_id] if id_], payment
    assert not closing or payment.status in VOIDABLE_STATUSES, payment
    if payment.status is PaymentStatus.SUCCEEDED:
        assert payment.amount_captured > 0, payment
        assert payment.open_bucket is None, payment
    if payment.status in (PaymentStatus.CANCELED, PaymentStatus.FAILED):
        assert payment.amount_captured == 0, payment
        assert payment.open_bucket is None, payment
    fees = sum(e.fee if e.status in DONE else e.learned_fee for e in transactions)
    assert payment.fee == fees, payment


def _closes_when_answered(transaction: Transaction) -> bool:
    """A pending void or final capture; a void also of a payment that waits for its customer."""
    closes = transaction.type is TransactionType.VOID or bool(transaction.final)
    return closes and transaction.status is TransactionStatus.PENDING


def _processor_must_agree(
    payments: list[Payment], transactions: list[Transaction], memory: dict[str, SandboxCharge]
) -> None:
    """Both ways: everything done at the processor is known here, and nothing else."""
    first = [each for each in transactions if each.status in DONE and each.id not in memory]
    charged = {each.payment_id for each in first}
    ours = {
        payment.id: (payment.amount, payment.currency)
        for payment in payments
        if payment.charge_id is not None and payment.id in charged
    }
    theirs = {
        row.reference: (row.amount, row.currency)
        for row in memory.values()
        if row.kind == "charge"
        and row.state in _HELD
        and not _never_charged(row, row.reference in charged)
    }
    open_payments = {payment.id for payment in payments if payment.status in _UNBOOKED}
    assert ours == {id_: what for id_, what in theirs.items() if id_ not in open_payments}
    operations = {
        each.id: (each.type.value, each.payment_id, each.amount, each.fee, each.processor_id)
        for each in transactions
        if each.status in DONE and each.id in memory
    }
    assert {each.type for each in first} <= {TransactionType.CAPTURE, TransactionType.AUTHORIZATION}
    assert sorted(each.payment_id for each in first) == sorted(ours)
    pending = {each.id for each in transactions if each.status is TransactionStatus.PENDING}
    done_there = {
        row.reference: (row.kind, row.charge, row.amount, row.fee, row.processor_id)
        for row in memory.values()
        if row.kind != "charge" and row.state == "approved" and row.reference not in pending
    }
    assert operations == done_there
    for payment in payments:
        charge = memory.get(payment.id)
        if charge is None or payment.id not in charged or _is_in_doubt(payment):
            continue
        left = payment.capturable_minor, payment.amount_captured - payment.amount_refunded
        assert (charge.capturable, charge.refundable) == left, payment


def _never_charged(row: SandboxCharge, booked: bool) -> bool:
    """A charge that was voided while it waited for its customer, or as soon as it was approved."""
    return row.state == "voided" and row.action_secret is not None and not booked


def _is_in_doubt(payment: Payment) -> bool:
    """An operation is pending, or a bank has taken some of it back."""
    pending = payment.pending_capture_minor or payment.pending_refund_minor
    return bool(pending or payment.closing_id or payment.disputes)


def _books_must_agree(
    platform: Platform, payments: list[Payment], transactions: list[Transaction]
) -> None:
    """Without settlements and disputes: clearing = -(captured - refunded), per currency."""
    expected: Counter[str] = Counter()
    for payment in payments:
        net = payment.amount_captured - payment.amount_refunded
        expected[clearing_account(payment.currency)] -= net
        expected[receivable_account(payment.merchant_id, payment.currency)] += net - payment.fee
        expected[fees_account(payment.currency)] += payment.fee
    transfers = platform.rows(Transfer)
    booked = {transfer.payment_id for transfer in transfers if transfer.settlement_id is None}
    moved = {
        each.payment_id
        for each in transactions
        if each.status in DONE and each.type in (TransactionType.CAPTURE, TransactionType.REFUND)
    }
    assert booked - {None} == moved
    if any(t.settlement_id for t in transfers) or any(p.disputes for p in payments):
        return
    balances = platform.balances()
    assert _without_zeros(balances) == _without_zeros(expected)


def _without_zeros(counts: Counter[str]) -> dict[str, Any]:
    return {name: count for name, count in counts.items() if count}
