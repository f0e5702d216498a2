"""Third phase of a proof: every payment's totals against its transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from runtime.domain.proof import CheckName
from runtime.models.transaction import TransactionStatus, TransactionType
from runtime.repositories.books import PaymentFacts, TransactionFacts
from runtime.services.proof_work import MAX_LATE, LateItem, Work

_DONE = frozenset({TransactionStatus.SUCCEEDED, TransactionStatus.SETTLED})
PAYMENTS_AT_ONCE = 50
"""Payments whose transactions are read together."""


def read_payments(work: Work) -> None:
    """Add up the transactions of every payment. Raises OutOfTime, StaleWrite.

    A payment is written with its transactions in one commit, but read apart from them: one that
    does not agree is read again, until patience has come to its end.
    """
    state = work.state
    for page in work.books.payments(work.segment, state.cursor):
        for start in range(0, len(page.rows), PAYMENTS_AT_ONCE):
            payments = page.rows[start : start + PAYMENTS_AT_ONCE]
            transactions = _transactions(payments, work)
            state.late += [
                LateItem(id=payment.id)
                for payment in payments
                if differences(payment, transactions)
            ]
            state.cursor = {"id": payments[-1].id}
            work.count(len(payments))
            state.findings.count(CheckName.PAYMENT_TOTALS, len(payments))
            while len(state.late) >= MAX_LATE:
                _revisit(work)
        work.step()
    while state.late:
        _revisit(work)
    work.finish()


def differences(
    payment: PaymentFacts, transactions: Mapping[str, TransactionFacts]
) -> list[tuple[str, int, int]]:
    """Each total that is not the sum of its transactions: its name, the sum, what is stored."""
    sums: Counter[str] = Counter()
    for transaction_id in dict.fromkeys(payment.transaction_ids):
        each = transactions.get(transaction_id)
        if each is not None and each.payment_id == payment.id and each.status in _DONE:
            sums[each.type] += each.amount
    totals = (
        ("amount_captured", sums[TransactionType.CAPTURE], payment.amount_captured),
        ("amount_refunded", sums[TransactionType.REFUND], payment.amount_refunded),
    )
    return [(name, added, stored) for name, added, stored in totals if added != stored]


def _revisit(work: Work) -> None:
    still_late: list[LateItem] = []
    payments = work.books.payments_by_id([item.id for item in work.state.late])
    transactions = _transactions(list(payments.values()), work)
    for item in work.state.late:
        payment = payments.get(item.id)
        wrong = differences(payment, transactions) if payment is not None else []
        since = work.first_missed(item.missed_since)
        if wrong and work.is_patient(since):
            still_late.append(LateItem(id=item.id, missed_since=since))
            continue
        for name, added, stored in wrong:
            work.state.findings.violated(
                CheckName.PAYMENT_TOTALS, f"{item.id} {name}", added, stored
            )
    work.state.late = still_late
    if still_late:
        work.nap()


def _transactions(payments: Sequence[PaymentFacts], work: Work) -> dict[str, TransactionFacts]:
    return work.books.transactions(
        [each for payment in payments for each in payment.transaction_ids]
    )
