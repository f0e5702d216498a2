"""Drills into the postings of payments: missing postings, and postings without a payment's fact.

Earlier phases have added up, by payment, the transfers and the postings that the transactions
require. Only payments in buckets where the sums differ are examined here. A fact is committed with
its posting but read separately, so differences are rechecked during the grace period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from runtime.dynamodb.store import ScanPage
from runtime.ledger.transfers.models import TransferStatus
from runtime.verification.books_repository import TransferFacts
from runtime.verification.changes.notes import Subject
from runtime.verification.payments.phase import (
    PAYMENTS_AT_ONCE,
    Discrepancy,
    disputed,
    is_direct,
    known_of,
)
from runtime.verification.payments.rules import ExpectedPosting, PaymentFacts, format_nets
from runtime.verification.rules import CheckName, bucket_of
from runtime.verification.segments import MAX_LATE, LateItem, Work
from runtime.verification.transfers import posted_by

_CHECK = CheckName.PAYMENT_POSTINGS
Row = TypeVar("Row", PaymentFacts, TransferFacts)


def drill_payments(work: Work) -> None:
    """Look up each posting that the payments of the differing buckets require.

    Raises OutOfTime, StaleWrite.
    """
    differing = frozenset(work.run.differing_bookings)

    def wrong_among(payments: Sequence[PaymentFacts]) -> Iterator[str]:
        chosen = [
            payment
            for payment in payments
            if bucket_of(payment.id) in differing or is_direct(payment.id, work)
        ]
        for start in range(0, len(chosen), PAYMENTS_AT_ONCE):
            yield from _not_posted(chosen[start : start + PAYMENTS_AT_ONCE], work)

    drill_rows(work.pages.payments(work.state.cursor), wrong_among, _revisit_payments, work)


def _not_posted(payments: Sequence[PaymentFacts], work: Work) -> dict[str, list[Discrepancy]]:
    """Facts that are missing a correct posting, by payment."""
    expected = {known.payment.id: list(known.postings()) for known in known_of(payments, work)}
    ids = [posting.id for postings in expected.values() for posting in postings]
    transfers = work.books.transfers_by_id(ids)
    wrong = {
        payment_id: [
            each
            for posting in postings
            if (each := _compared(posting, payment_id, transfers.get(posting.id))) is not None
        ]
        for payment_id, postings in expected.items()
    }
    return {payment_id: each for payment_id, each in wrong.items() if each}


def _compared(
    posting: ExpectedPosting, payment_id: str, transfer: TransferFacts | None
) -> Discrepancy | None:
    expected = f"{format_nets(posting.nets)}, posted by {posting.id}"
    if transfer is None or transfer.status != TransferStatus.PROCESSED:
        return Discrepancy(_CHECK, posting.fact, expected, "no posting")
    if transfer.payment_id != payment_id:
        return Discrepancy(_CHECK, posting.fact, expected, f"a posting of {transfer.payment_id}")
    nets = posted_by(transfer) or {}
    return (
        None
        if nets == posting.nets
        else Discrepancy(_CHECK, posting.fact, expected, format_nets(nets))
    )


def _revisit_payments(work: Work) -> None:
    payments = work.books.payments_by_id([item.id for item in work.state.late])
    report_persistent(_not_posted(list(payments.values()), work), work)


# -------------------------------------------------------------------- postings


def drill_postings(work: Work) -> None:
    """Find transfers of payments, up to the cut, that book no fact of their payment.

    Raises OutOfTime, StaleWrite.
    """

    def wrong_among(transfers: Sequence[TransferFacts]) -> Iterable[str]:
        return _without_fact([each for each in transfers if _is_due(each, work)], work)

    pages = work.pages.transfers(work.state.cursor)
    drill_rows(pages, wrong_among, _revisit_transfers, work)


def _is_due(transfer: TransferFacts, work: Work) -> bool:
    window = work.run.window
    return (
        transfer.payment_id is not None
        and transfer.settlement_id is None
        and transfer.status == TransferStatus.PROCESSED
        and not window.is_newer(transfer.operation_id)
        and (
            bucket_of(transfer.payment_id) in work.run.differing_bookings
            or window.is_older(transfer.operation_id)
            or work.is_suspect(Subject.TRANSFERS, transfer.id)
        )
    )


def _without_fact(transfers: Sequence[TransferFacts], work: Work) -> dict[str, list[Discrepancy]]:
    """Transfers that book no fact of their payment, by id."""
    payments = work.books.payments_by_id([each.payment_id or "" for each in transfers])
    booked = {
        known.payment.id: {posting.id for posting in known.postings()}
        | set(disputed(known.payment))
        for known in known_of(list(payments.values()), work)
    }
    return {
        each.id: [
            Discrepancy(
                _CHECK,
                each.id,
                f"a capture, refund or dispute of {each.payment_id}",
                format_nets(posted_by(each) or {}),
            )
        ]
        for each in transfers
        if each.id not in booked.get(each.payment_id or "", ())
    }


def _revisit_transfers(work: Work) -> None:
    transfers = work.books.transfers_by_id([item.id for item in work.state.late])
    report_persistent(_without_fact(list(transfers.values()), work), work)


def drill_rows(
    pages: Iterable[ScanPage[Row]],
    wrong_among: Callable[[Sequence[Row]], Iterable[str]],
    revisit: Callable[[Work], None],
    work: Work,
) -> None:
    """Read rows page by page; those that do not agree are read again until patience ends."""
    state = work.state
    for page in pages:
        state.late += [LateItem(id=each) for each in wrong_among(page.rows)]
        if page.rows:
            state.cursor = {"id": page.rows[-1].id}
        work.count(len(page.rows))
        while len(state.late) >= MAX_LATE:
            revisit(work)
        work.step()
    while state.late:
        revisit(work)
    work.finish()


def report_persistent(wrong: dict[str, list[Discrepancy]], work: Work) -> None:
    """Report discrepancies that remain after the grace period."""
    still_late: list[LateItem] = []
    for item in work.state.late:
        since = work.waiting_since(item.missed_since)
        if item.id in wrong and work.in_grace_period(since):
            still_late.append(LateItem(id=item.id, missed_since=since))
            continue
        for each in wrong.get(item.id, ()):
            work.state.findings.violated(each.check, each.name, each.expected, each.found)
    work.state.late = still_late
    if still_late:
        work.pause()
