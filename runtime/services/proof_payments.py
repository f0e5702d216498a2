"""Payments against their transactions: what was captured and refunded is what they add up to."""

from __future__ import annotations

from runtime.domain.proof import CheckName
from runtime.repositories.books import PaymentFacts, TransactionFacts
from runtime.services.proof_work import Work

_MOVED = ("succeeded", "settled")


def read_payments(work: Work) -> None:
    """Add up every payment's transactions. Raises OutOfTime, StaleWrite."""
    state = work.state
    for page in work.books.payments(work.segment, state.cursor):
        ids = [each for row in page.rows for each in row.transaction_ids]
        transactions = work.books.transactions(ids)
        for row in page.rows:
            state.cursor = {"id": row.id}
            work.count()
            state.findings.count(CheckName.PAYMENT_TOTALS)
            if _contradictions(row, transactions):
                _read_again(row, work)
        work.step()
    work.finish()


def _read_again(row: PaymentFacts, work: Work) -> None:
    """A transaction may have changed after its payment was read: both are read once more."""
    payment = work.books.payment(row.id)
    if payment is None:
        return
    transactions = work.books.transactions(payment.transaction_ids)
    for what, expected, found in _contradictions(payment, transactions):
        work.state.findings.violated(
            CheckName.PAYMENT_TOTALS, f"{payment.id}.{what}", expected, found
        )


def _contradictions(
    row: PaymentFacts, transactions: dict[str, TransactionFacts]
) -> list[tuple[str, int, int]]:
    """Each total that its transactions contradict: its name, their sum, what stands there."""
    ours = [transactions[each] for each in row.transaction_ids if each in transactions]
    moved = [each for each in ours if each.status in _MOVED and each.payment_id == row.id]
    captured = sum(each.amount for each in moved if each.type == "capture")
    refunded = sum(each.amount for each in moved if each.type == "refund")
    totals = (
        ("amount_captured", captured, row.amount_captured),
        ("amount_refunded", refunded, row.amount_refunded),
    )
    return [total for total in totals if total[1] != total[2]]
