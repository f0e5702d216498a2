"""Payments phase: compares each payment's totals, ceilings and disputes with its transactions.

It also adds up the postings each payment requires, to be compared with the transfers of the second
phase (payments/drills.py), and its settled amounts, to be compared with settlement lines
(settlements/phase.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runtime.verification.books_repository import TransferFacts
from runtime.verification.changes.notes import Subject
from runtime.verification.payments.rules import (
    DisputeFacts,
    ExpectedPosting,
    Nets,
    PaymentFacts,
    TransactionFacts,
    added_up,
    ceilings_that_differ,
    expected_postings,
    fact_nets,
    format_nets,
    totals_that_differ,
)
from runtime.verification.rules import CheckName
from runtime.verification.segments import MAX_LATE, LateItem, Phase, Work
from runtime.verification.settlements.rules import settled_nets, settles_without_time
from runtime.verification.transfers import posted_by

PAYMENTS_AT_ONCE = 50
"""Payments whose transactions are read in one batch."""
_CHECKS = (CheckName.PAYMENT_TOTALS, CheckName.PAYMENT_CEILINGS, CheckName.PAYMENT_POSTINGS)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One discrepancy within a payment."""

    check: CheckName
    name: str
    expected: int | str
    found: int | str


@dataclass(frozen=True, slots=True)
class Known:
    """A payment with its transactions and the transfers of its disputes, read in this order.

    They are committed in the same transaction as the payment's change, so they exist by then.
    """

    payment: PaymentFacts
    transactions: tuple[TransactionFacts, ...]
    dispute_transfers: Mapping[str, TransferFacts]

    def postings(self) -> Iterator[ExpectedPosting]:
        """The postings that its transactions require."""
        for each in self.transactions:
            yield from expected_postings(each, self.payment.merchant_id, self.payment.currency)

    def disputes(self) -> Iterable[tuple[str, DisputeFacts]]:
        """Its disputes by id."""
        return (self.payment.disputes or {}).items()


def read_payments(work: Work) -> None:
    """Compare every payment with its transactions. Raises OutOfTime, StaleWrite.

    A payment is committed together with its transactions but read separately. If they differ, the
    payment is rechecked until the grace period is over.
    """
    state = work.state
    for page in work.pages.payments(state.cursor):
        for start in range(0, len(page.rows), PAYMENTS_AT_ONCE):
            payments = page.rows[start : start + PAYMENTS_AT_ONCE]
            for known in known_of(payments, work):
                if contradictions(known):
                    state.late.append(LateItem(id=known.payment.id))
                else:
                    _add_up(known, work)
            state.cursor = {"id": payments[-1].id}
            work.count(len(payments))
            for check in _CHECKS:
                state.findings.count(check, len(payments))
            while len(state.late) >= MAX_LATE:
                _revisit(work)
        work.step()
    while state.late:
        _revisit(work)
    work.finish()


def known_of(payments: Sequence[PaymentFacts], work: Work) -> list[Known]:
    """The payments with their transactions and dispute transfers."""
    transactions = work.books.transactions(
        [each for payment in payments for each in payment.transaction_ids]
    )
    transfers = work.books.transfers_by_id([id_ for each in payments for id_ in disputed(each)])
    return [
        Known(
            payment,
            tuple(
                transactions[each]
                for each in dict.fromkeys(payment.transaction_ids)
                if each in transactions and transactions[each].payment_id == payment.id
            ),
            {each: transfers[each] for each in disputed(payment) if each in transfers},
        )
        for payment in payments
    ]


def disputed(payment: PaymentFacts) -> list[str]:
    """Transfer ids of all disputes of the payment."""
    return [id_ for each in (payment.disputes or {}).values() for id_ in each.transfer_ids]


def contradictions(known: Known) -> list[Discrepancy]:
    """Discrepancies within one payment."""
    payment, transactions = known.payment, known.transactions
    withheld = sum(each.withheld for _, each in known.disputes())
    wrong = [
        Discrepancy(check, f"{payment.id} {name}", right, there)
        for check, compared in (
            (CheckName.PAYMENT_TOTALS, totals_that_differ(payment, transactions)),
            (CheckName.PAYMENT_CEILINGS, ceilings_that_differ(payment, transactions, withheld)),
        )
        for name, right, there in compared
    ]
    return wrong + [each for id_, dispute in known.disputes() for each in _of(id_, dispute, known)]


def _of(dispute_id: str, dispute: DisputeFacts, known: Known) -> Iterator[Discrepancy]:
    """Compare the dispute's transfers with the amounts booked on the payment."""
    payment, name = known.payment, f"{known.payment.id} {dispute_id}"
    posted: list[Nets] = []
    for transfer_id in dict.fromkeys(dispute.transfer_ids):
        transfer = known.dispute_transfers.get(transfer_id)
        if transfer is None or transfer.payment_id != payment.id:
            expected = f"posted by {transfer_id}"
            yield Discrepancy(CheckName.PAYMENT_POSTINGS, name, expected, "no posting")
        else:
            posted.append(posted_by(transfer) or {})
    right = fact_nets(payment.merchant_id, payment.currency, -dispute.taken, dispute.fee)
    there = added_up(posted)
    if there != right:
        yield Discrepancy(CheckName.PAYMENT_POSTINGS, name, format_nets(right), format_nets(there))


def _add_up(known: Known, work: Work) -> None:
    """Count the postings required up to the cut. Dispute transfers have been compared already."""
    payment, tally, since = known.payment, work.state.tally, work.run.since
    for posting in known.postings():
        if (since or "") < posting.at <= work.run.cut:
            tally.book(payment.id, posting.id, posting.nets)
    tally.settle(payment.id, settled_nets(payment, known.transactions, work.run.cut))
    if since is not None:
        before = settled_nets(payment, known.transactions, since)
        tally.settle(payment.id, {account: -net for account, net in before.items()})
    if is_direct(payment.id, work):
        work.directly(Phase.DRILL_PAYMENTS, Phase.DRILL_SETTLED)
    elif since is not None and settles_without_time(payment, known.transactions):
        work.notes.note(Subject.PAYMENTS, payment.id, suspect=True)
        work.directly(Phase.DRILL_SETTLED)
    for transfer in known.dispute_transfers.values():
        if work.run.window.includes(transfer.operation_id):
            tally.book(payment.id, transfer.id, posted_by(transfer) or {})


def is_direct(payment_id: str, work: Work) -> bool:
    """Whether the payment is verified one by one: it changed late, or outside the application."""
    return work.is_suspect(Subject.PAYMENTS, payment_id)


def _revisit(work: Work) -> None:
    still_late: list[LateItem] = []
    payments = work.books.payments_by_id([item.id for item in work.state.late])
    by_id = {known.payment.id: known for known in known_of(list(payments.values()), work)}
    for item in work.state.late:
        known = by_id.get(item.id)
        if known is None:
            continue
        wrong = contradictions(known)
        since = work.waiting_since(item.missed_since)
        if wrong and work.in_grace_period(since):
            still_late.append(LateItem(id=item.id, missed_since=since))
            continue
        for each in wrong:
            work.state.findings.violated(each.check, each.name, each.expected, each.found)
        _add_up(known, work)
    work.state.late = still_late
    if still_late:
        work.pause()
