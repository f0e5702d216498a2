"""Settlement phases: compare settlement postings with their lines and with their payments.

Earlier phases have added up the transfers of settlements and the settled amounts of payments. This
module adds up the lines, and examines one by one only what is in buckets where the sums differ.
Lines are committed together with their transfers and bookings are only ever added, so everything
older than the cut is visible. Only lines found through the index may be late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runtime.ledger.transfers.models import TransferStatus
from runtime.verification.books_repository import TransferFacts
from runtime.verification.changes.notes import Subject
from runtime.verification.payments.drills import drill_rows, report_persistent
from runtime.verification.payments.phase import (
    PAYMENTS_AT_ONCE,
    Discrepancy,
    is_direct,
    known_of,
)
from runtime.verification.payments.rules import PaymentFacts, added_up, format_nets
from runtime.verification.rules import CheckName, bucket_of
from runtime.verification.segments import Phase, Work
from runtime.verification.settlements.rules import (
    BookingFacts,
    LineFacts,
    format_moves,
    line_contradictions,
    offset,
    settled_nets,
    settling,
)

_CHECK = CheckName.SETTLEMENT_POSTINGS


def read_lines(work: Work) -> None:
    """Check every line and add up its bookings. Raises OutOfTime, StaleWrite."""
    state = work.state
    for page in work.pages.settlement_lines(state.cursor):
        for line in page.rows:
            state.cursor = {"settlement_bucket": line.settlement_bucket, "line": line.line}
            work.count()
            state.findings.count(_CHECK)
            for expected, found in line_contradictions(line):
                state.findings.violated(_CHECK, line.name, expected, found)
            _add_up(line, work)
        work.step()
    work.finish()


def _add_up(line: LineFacts, work: Work) -> None:
    if work.is_suspect(Subject.SETTLEMENTS, line.settlement_id):
        work.directly(Phase.DRILL_LINES)
    bookings = [each for each in line.bookings if work.run.window.includes(each.transfer_id)]
    for booking in bookings:
        work.state.tally.post_settlement(
            booking.transfer_id, line.settlement_id, line.moves_of(booking), 1
        )
    if line.payment_id is not None:
        settled = settling(line, bookings)
        work.state.tally.settle(line.payment_id, settled)
        if settled and work.run.since is not None:
            work.notes.note(Subject.PAYMENTS, line.payment_id)  # it may lack the settlement


def _until_cut(line: LineFacts, work: Work) -> list[BookingFacts]:
    window = work.run.window
    return [each for each in line.bookings if not window.is_newer(each.transfer_id)]


# -------------------------------------------------------------------- drilling: transfers


def drill_settlements(work: Work) -> None:
    """Compare each transfer of the differing buckets with its lines.

    Raises OutOfTime, StaleWrite.
    """
    state = work.state
    for page in work.pages.transfers(state.cursor):
        for transfer in page.rows:
            state.cursor = {"id": transfer.id}
            work.count()
            if _is_due(transfer, work):
                _compare(transfer, work)
        work.step()
    work.finish()


def _is_due(transfer: TransferFacts, work: Work) -> bool:
    window = work.run.window
    return (
        transfer.settlement_id is not None
        and transfer.status == TransferStatus.PROCESSED
        and not window.is_newer(transfer.id)
        and (
            bucket_of(transfer.id) in work.run.differing_settlements
            or window.is_older(transfer.id)
            or work.is_suspect(Subject.TRANSFERS, transfer.id)
        )
    )


def _compare(transfer: TransferFacts, work: Work) -> None:
    """Check that the bookings of the transfer's lines add up to what it moves."""
    settlement_id = transfer.settlement_id or ""
    lines = work.books.lines_of_settlement(settlement_id, transfer.settlement_lines)
    booked = {
        line.line: [each for each in line.bookings if each.transfer_id == transfer.id]
        for line in lines
    }
    moves = [move for line in lines for each in booked[line.line] for move in line.moves_of(each)]
    findings = work.state.findings
    for number in transfer.settlement_lines:
        if not booked.get(number):
            expected = f"a booking of {settlement_id} line {number} by {transfer.id}"
            findings.violated(_CHECK, transfer.id, expected, "no booking")
    if offset(moves) != offset(transfer.moves) or not transfer.settlement_lines:
        expected = f"{format_moves(moves)}, by the lines of {settlement_id}"
        findings.violated(_CHECK, transfer.id, expected, format_moves(transfer.moves))


# -------------------------------------------------------------------- drilling: lines


def drill_lines(work: Work) -> None:
    """Find bookings without their transfer, and lines without a payment that they could settle.

    Raises OutOfTime, StaleWrite.
    """
    state = work.state
    for page in work.pages.settlement_lines(state.cursor):
        _judge_transfers(page.rows, work)
        _judge_payments(page.rows, work)
        if page.rows:
            last = page.rows[-1]
            state.cursor = {"settlement_bucket": last.settlement_bucket, "line": last.line}
        work.count(len(page.rows))
        work.step()
    work.finish()


def _judge_transfers(lines: Sequence[LineFacts], work: Work) -> None:
    differing = frozenset(work.run.differing_settlements)
    bookings = [
        (line, booking)
        for line in lines
        for booking in _until_cut(line, work)
        if bucket_of(booking.transfer_id) in differing
        or work.is_suspect(Subject.SETTLEMENTS, line.settlement_id)
    ]
    transfers = work.books.transfers_by_id([booking.transfer_id for _, booking in bookings])
    for line, booking in bookings:
        found = _missing_in(transfers.get(booking.transfer_id), line)
        if found is not None:
            expected = f"{format_moves(line.moves_of(booking))}, posted by {booking.transfer_id}"
            work.state.findings.violated(_CHECK, line.name, expected, found)


def _missing_in(transfer: TransferFacts | None, line: LineFacts) -> str | None:
    """Why the transfer does not book the line; None if it does."""
    if transfer is None or transfer.status != TransferStatus.PROCESSED:
        return "no posting"
    if transfer.settlement_id != line.settlement_id:
        return f"a posting of {transfer.settlement_id or 'no settlement'}"
    if line.line not in transfer.settlement_lines:
        return "a posting that does not include the line"
    return None


def _judge_payments(lines: Sequence[LineFacts], work: Work) -> None:
    """Check that lines that settle something belong to a transaction of an existing payment."""
    differing = frozenset(work.run.differing_settled)
    settled = [
        (line, line.payment_id)
        for line in lines
        if line.payment_id is not None
        and (
            bucket_of(line.payment_id) in differing
            or work.is_suspect(Subject.SETTLEMENTS, line.settlement_id)
        )
        and settling(line, line.bookings)
    ]
    payments = work.books.payments_by_id([payment_id for _, payment_id in settled])
    for line, payment_id in settled:
        payment = payments.get(payment_id)
        if payment is None:
            work.state.findings.violated(_CHECK, line.name, f"a payment {payment_id}", "none")
        elif line.transaction_id not in payment.transaction_ids:
            expected = f"a transaction of {payment_id}"
            found = line.transaction_id or "no transaction"
            work.state.findings.violated(_CHECK, line.name, expected, found)


# -------------------------------------------------------------------- drilling: payments


def drill_settled(work: Work) -> None:
    """Compare the settled amounts of each payment of the differing buckets with all of its lines.

    Raises OutOfTime, StaleWrite.
    """
    differing = frozenset(work.run.differing_settled)

    def wrong_among(payments: Sequence[PaymentFacts]) -> Iterator[str]:
        chosen = [
            payment
            for payment in payments
            if bucket_of(payment.id) in differing or is_direct(payment.id, work)
        ]
        for start in range(0, len(chosen), PAYMENTS_AT_ONCE):
            yield from _not_settled(chosen[start : start + PAYMENTS_AT_ONCE], work)

    pages = work.pages.payments(work.state.cursor)
    drill_rows(pages, wrong_among, _revisit, work)


def _not_settled(payments: Sequence[PaymentFacts], work: Work) -> dict[str, list[Discrepancy]]:
    """Payments whose lines do not add up to their settled amounts."""
    wrong = {}
    for known in known_of(payments, work):
        payment = known.payment
        right = settled_nets(payment, known.transactions)
        lines = work.books.lines_of_transactions(payment.transaction_ids)
        there = added_up(
            settling(line, line.bookings) for line in lines if line.payment_id == payment.id
        )
        if right != there:
            name = f"{payment.id} settled"
            wrong[payment.id] = [Discrepancy(_CHECK, name, format_nets(right), format_nets(there))]
    return wrong


def _revisit(work: Work) -> None:
    payments = work.books.payments_by_id([item.id for item in work.state.late])
    report_persistent(_not_settled(list(payments.values()), work), work)
