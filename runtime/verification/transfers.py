"""Second phase: compares transfers with the entries counted by the first phase.

Both sides are sums of fingerprints, so a transfer needs no query. Only if the sums of a bucket
differ are its transfers, and then its entries, compared one by one. Some of them were credited to a
shard after its row was read; the others are violations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.ledger.hot_accounts.rules import is_credit_shard
from runtime.ledger.rules import is_hold_end, postings
from runtime.ledger.transfers.models import TransferStatus
from runtime.verification.accounts.rules import BalanceRow, Line, Reading
from runtime.verification.books_repository import TransferFacts, is_number_guard
from runtime.verification.changes.notes import Subject
from runtime.verification.holds.drills import held_change
from runtime.verification.holds.rules import held_by
from runtime.verification.rules import CheckName, bucket_of, is_posting
from runtime.verification.segments import MAX_LATE, LateItem, Phase, Work


def read_transfers(work: Work) -> None:
    """Add up the postings of all transfers up to the cut. Raises OutOfTime, StaleWrite."""
    state = work.state
    for page in work.pages.transfers(state.cursor):
        for transfer in page.rows:
            state.cursor = {"id": transfer.id}
            work.count()
            state.findings.count(CheckName.TRANSFER_ENTRIES)
            _add(transfer, work)
            _add_settlement(transfer, work)
            for account_id, held in held_change(transfer, work.run.window).items():
                state.tally.hold(account_id, held)
            if _is_direct(transfer, work):
                _verify_directly(transfer, work)
        work.step()
    if work.pages.suspects(Subject.TRANSFERS):
        work.directly(Phase.DRILL_TRANSFERS)
    work.finish()


def _is_direct(transfer: TransferFacts, work: Work) -> bool:
    """Whether the transfer is verified one by one: it changed late, or outside the application."""
    return work.run.window.is_older(transfer.operation_id) or work.is_suspect(
        Subject.TRANSFERS, transfer.id
    )


def _verify_directly(transfer: TransferFacts, work: Work) -> None:
    work.directly(Phase.DRILL_TRANSFERS)
    if transfer.payment_id is not None:
        work.directly(Phase.DRILL_POSTINGS)
    if transfer.settlement_id is not None:
        work.directly(Phase.DRILL_SETTLEMENTS)
    if transfer.status != TransferStatus.PROCESSED or is_hold_end(transfer.operation_id):
        work.directly(Phase.DRILL_HELD, Phase.DRILL_HOLDS)
        for account_id in held_by(transfer.legs):
            work.notes.note(Subject.HOLDERS, account_id, suspect=True)


def _add(transfer: TransferFacts, work: Work) -> None:
    if work.run.window.is_newer(transfer.operation_id):
        return
    nets = posted_by(transfer)
    if nets is None:
        work.state.findings.violated(
            CheckName.TRANSFER_ENTRIES,
            transfer.id,
            expected="legs that agree with the posted amount",
            found=str(transfer.posted_amount),
        )
        return
    if work.run.window.is_older(transfer.operation_id):
        return
    for account_id, net in nets.items():
        work.state.tally.post(transfer.id, transfer.operation_id, account_id, net)
    if transfer.settlement_id is not None:
        return  # a posting of settlement lines, not of one payment
    if transfer.payment_id is not None and transfer.status == TransferStatus.PROCESSED:
        work.state.tally.book(transfer.payment_id, transfer.id, nets)


def _add_settlement(transfer: TransferFacts, work: Work) -> None:
    """Add up what the transfer moves for its settlement.

    Lines refer to transfers only by id, so the id determines whether it is older than the cut.
    """
    settlement_id = transfer.settlement_id
    if settlement_id is None or not work.run.window.includes(transfer.id):
        return
    if transfer.status == TransferStatus.PROCESSED:
        work.state.tally.post_settlement(
            transfer.id, settlement_id, transfer.moves, len(transfer.settlement_lines)
        )


def posted_by(transfer: TransferFacts) -> dict[str, int] | None:
    """Net change per account made by the transfer; None if its legs contradict `posted_amount`."""
    return postings(
        transfer.operation_id,
        transfer.status,
        transfer.legs,
        transfer.posted_amount,
    )


# -------------------------------------------------------------------- drilling: transfers


@dataclass(frozen=True, slots=True)
class _Mismatch:
    """Expected and actual entries of a transfer on one account, and the effect on the sums."""

    expected: str
    found: str
    missing_minor: int


def drill_transfers(work: Work) -> None:
    """Look up the entries of each transfer of the differing buckets. Raises OutOfTime, StaleWrite.

    An entry that exists by now was only late. An entry that stays missing is a violation.
    """
    state, differing = work.state, frozenset(work.run.differing)
    for page in work.pages.transfers(state.cursor):
        for transfer in page.rows:
            state.cursor = {"id": transfer.id}
            work.count()
            if _is_due(transfer, differing, work) and _problems(transfer, work):
                state.late.append(LateItem(id=transfer.id))
                while len(state.late) >= MAX_LATE:
                    _revisit(work)
        work.step()
    while state.late:
        _revisit(work)
    for transfer_id in work.pages.suspects(Subject.TRANSFERS):
        _judge_older_lines(transfer_id, work)
    work.finish()


def _judge_older_lines(transfer_id: str, work: Work) -> None:
    """Report older entries that a changed or deleted transfer does not make any more.

    Newer ones are included in the sums.
    """
    window = work.run.window
    lines = [
        line
        for line in work.books.lines_naming(transfer_id)
        if line.amount and window.is_older(line.operation_id)
    ]
    _judge_strays(lines, "", work)


def _is_due(transfer: TransferFacts, differing: frozenset[int], work: Work) -> bool:
    if work.run.window.is_newer(transfer.operation_id):
        return False
    return bucket_of(transfer.id) in differing or _is_direct(transfer, work)


def _revisit(work: Work) -> None:
    still_late: list[LateItem] = []
    transfers = work.books.transfers_by_id([item.id for item in work.state.late])
    for item in work.state.late:
        since = work.waiting_since(item.missed_since)
        transfer = transfers.get(item.id)
        problems = _problems(transfer, work) if transfer is not None else []
        if not problems or transfer is None:
            continue
        if work.in_grace_period(since):
            still_late.append(LateItem(id=item.id, missed_since=since))
            continue
        for problem in problems:
            work.state.findings.violated(
                CheckName.TRANSFER_ENTRIES, transfer.id, problem.expected, problem.found
            )
            if work.run.window.includes(transfer.operation_id):
                work.state.tally.sums(transfer.currency).unexplained += problem.missing_minor
    work.state.late = still_late
    if still_late:
        work.pause()


def _problems(transfer: TransferFacts, work: Work) -> list[_Mismatch]:
    nets = posted_by(transfer)
    if not nets:
        return []
    lines = [
        line
        for line in work.books.lines_of(transfer)
        if line.transfer_id == transfer.id
        and line.operation_id == transfer.operation_id
        and line.amount
    ]
    rows = work.books.rows([line.row for line in lines])
    problems = []
    for account_id, net in nets.items():
        ours = [line for line in lines if line.account_id == account_id]
        problem = _judge(account_id, net, ours, rows)
        if problem is not None:
            problems.append(problem)
    return problems


def _judge(
    account_id: str,
    net: int,
    lines: Sequence[Line],
    rows: dict[tuple[str, str], BalanceRow],
) -> _Mismatch | None:
    expected = f"{net} on {account_id}"
    if not lines:
        return _Mismatch(expected, "no entry", -net)
    found = sum(line.amount for line in lines)
    if len(lines) > 1 or found != net:
        amounts = ", ".join(f"{line.amount} ({line.name})" for line in lines)
        return _Mismatch(expected, amounts, found - net)
    row = rows.get(lines[0].row)
    if row is None or row.version < lines[0].version:
        return _Mismatch(expected, f"an entry of a nonexistent version: {lines[0].name}", -net)
    return None


# -------------------------------------------------------------------- drilling: entries


def drill_entries(work: Work) -> None:
    """Find entries of the differing buckets that have no matching transfer.

    Transfers are committed before their entries, so this does not wait. Raises OutOfTime,
    StaleWrite.
    """
    state = work.state
    _strays(work)
    _strays_of_credits(work)
    for page in work.pages.accounts(state.cursor):
        work.load_checkpoints(page.rows)
        for row in page.rows:
            state.cursor = {"id": row.id, "shard": row.shard}
            if is_number_guard(row):
                continue
            work.count()
            if is_credit_shard(row.shard):
                continue  # read with row 00
            state.reading = work.reading_of(row)
            if state.reading.is_profile and state.reading.folded:
                state.credits = work.credits_of(row)
            _strays(work)
            _strays_of_credits(work)
        work.step()
    work.finish()


def _strays(work: Work) -> None:
    reading, differing = work.state.reading, frozenset(work.run.differing)
    if reading is None:
        return
    batch: list[Line] = []
    for number, line in enumerate(work.books.lines(reading.name, reading.after), start=1):
        if _is_suspect(line, reading, differing, work):
            batch.append(line)
        reading.after = line.sequence
        if number % work.books.entries_page == 0 or len(batch) >= MAX_TRANSACTION_ITEMS:
            _judge_strays(batch, reading.currency, work)
            batch = []
            work.step()
    _judge_strays(batch, reading.currency, work)
    work.state.reading = None


def _strays_of_credits(work: Work) -> None:
    reading, differing = work.state.credits, frozenset(work.run.differing)
    if reading is None:
        return
    batch: list[Line] = []
    for number, line in enumerate(reading.lines(work.books.lines), start=1):
        if reading.includes(line) and _may_be_stray(
            line, reading.name, differing, work, folded=True
        ):
            batch.append(line)
        reading.after = line.sequence
        if number % work.books.entries_page == 0 or len(batch) >= MAX_TRANSACTION_ITEMS:
            _judge_strays(batch, reading.currency, work)
            batch = []
            work.step()
    _judge_strays(batch, reading.currency, work)
    work.state.credits = None


def _is_suspect(line: Line, reading: Reading, differing: frozenset[int], work: Work) -> bool:
    included = 0 < line.version <= reading.version
    return included and _may_be_stray(line, reading.name, differing, work, folded=reading.folded)


def _may_be_stray(
    line: Line, name: str, differing: frozenset[int], work: Work, *, folded: bool
) -> bool:
    """Whether the transfer of an entry must be looked up. `name`: that of the entry's row."""
    if line.transfer_id is None or not is_posting(line.operation_id, line.amount, folded=folded):
        return False
    if work.is_suspect(Subject.ROWS, name):
        return not work.run.window.is_newer(line.operation_id)
    return work.run.window.includes(line.operation_id) and bucket_of(line.transfer_id) in differing


def _judge_strays(lines: Sequence[Line], currency: str, work: Work) -> None:
    """Report entries without a matching transfer. Others were checked with their transfer."""
    transfers = work.books.transfers_by_id([line.transfer_id or "" for line in lines])
    for line in lines:
        transfer = transfers.get(line.transfer_id or "")
        account_id, _ = line.row
        if (
            transfer is not None
            and transfer.operation_id == line.operation_id
            and account_id == line.account_id
            and account_id in (posted_by(transfer) or {})
        ):
            continue
        wanted = f"no entry of {line.transfer_id}"
        if transfer is None:
            wanted = f"a transfer {line.transfer_id}"
        work.state.findings.violated(
            CheckName.TRANSFER_ENTRIES, line.name, wanted, str(line.amount)
        )
        if work.run.window.includes(line.operation_id):
            work.state.tally.sums(currency).unexplained += line.amount
