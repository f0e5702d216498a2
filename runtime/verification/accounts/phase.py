"""First phase: compares every row of every account with its entries.

A row is read at (balance, version) and compared with the entries up to that version, so it may
change during the comparison. Entries of row 00 come from a stream, so missing ones are waited for.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.ledger.accounts.models import Posting
from runtime.ledger.hot_accounts.rules import credit_shards
from runtime.verification.accounts.floors import check_floor, recheck_floor
from runtime.verification.accounts.rules import BalanceRow, Line, Reading, Step
from runtime.verification.books_repository import is_number_guard
from runtime.verification.rules import CheckName, is_newer, is_posting
from runtime.verification.segments import MAX_LATE, Fresh, Work
from runtime.verification.transfers import posted_by

MAX_FRESH_COMPARED = 10_000
"""Most entries newer than the cut that a segment compares with their transfers. The next run
includes them all; comparing some now detects new errors sooner."""
MAX_LATE_PRINTS = 10_000
"""Most fingerprints in late rows (at most 1,024 per row). A checkpoint with this many is about
150 KB; DynamoDB's limit is 400 KB."""


def read_accounts(work: Work) -> None:
    """Read the rest of the segment. Raises OutOfTime, StaleWrite."""
    state = work.state
    _finish_row(work)
    for page in work.books.accounts(work.segment, state.cursor):
        for row in page.rows:
            state.cursor = {"id": row.id, "shard": row.shard}
            if not is_number_guard(row):
                _begin(row, work)
                _finish_row(work)
        work.step()
    while state.late_rows:
        _revisit(work)
    while state.late:
        recheck_floor(work)
    _compare_fresh(work)
    work.finish()


def _begin(row: BalanceRow, work: Work) -> None:
    state = work.state
    state.reading = Reading.of(row)
    state.findings.count(CheckName.ACCOUNT_ENTRIES)
    work.count()
    if not state.reading.is_profile:
        return
    state.findings.count(CheckName.SPENDABLE)
    state.findings.count(CheckName.OPEN_HOLDS)
    _judge_spendable(row, work)
    check_floor(row, work)
    if row.posting == Posting.FOLDED:
        # Debit shards are omitted: most do not exist, so this would be 64 reads per merchant. The
        # second phase detects postings on a row that does not exist.
        state.beyond = [(row.id, shard, row.currency) for shard in credit_shards()]


def _judge_spendable(row: BalanceRow, work: Work) -> None:
    spendable = row.balance - row.held_out + row.credit_limit
    name, findings = f"{row.id}#{row.shard}", work.state.findings
    if row.spendable != spendable:
        findings.violated(CheckName.SPENDABLE, name, spendable, row.spendable)
    for held in (row.held_out, row.held_in):
        if held < 0:
            findings.violated(CheckName.SPENDABLE, name, 0, held)


def _finish_row(work: Work) -> None:
    """Finish the current row, and check that missing credit shards have no entries."""
    state = work.state
    if state.reading is not None:
        _read(state.reading, work)
        _count_or_defer(state.reading, work)
        state.reading = None
    if state.beyond:
        found = work.books.rows([(id_, shard) for id_, shard, _ in state.beyond])
        for id_, shard, currency in state.beyond:
            if (id_, shard) not in found:
                missing = BalanceRow(id=id_, shard=shard, currency=currency)
                reading = Reading.of(missing)
                _read(reading, work, pausing=False)
                _count_or_defer(reading, work)
        state.beyond = []


def _read(reading: Reading, work: Work, *, may_wait: bool = True, pausing: bool = True) -> None:
    """Read the row's remaining entries, up to the end or to a gap."""
    lines = work.books.lines(reading.name, reading.after)
    for number, line in enumerate(lines, start=1):
        if reading.offer(line, work.run.cut_mark, may_wait=may_wait) is Step.GAP:
            return
        _note_fresh(line, reading, work)
        if pausing and number % work.books.entries_page == 0:
            work.step()


def _count_or_defer(reading: Reading, work: Work) -> None:
    """Count the row, or add it to the rows that wait for late entries."""
    if not _counted(reading, work, may_wait=True):
        work.state.late_rows.append(_ready_to_go_on(reading))
    while _too_many_are_late(work.state.late_rows):
        _revisit(work)


def _too_many_are_late(late_rows: Sequence[Reading]) -> bool:
    prints = sum(len(reading.tally.prints) for reading in late_rows)
    return len(late_rows) >= MAX_LATE or prints > MAX_LATE_PRINTS


def _ready_to_go_on(reading: Reading) -> Reading:
    """Row 00 continues at its gap. Other rows are read again from the start."""
    return reading if reading.waits else reading.from_the_start()


def _revisit(work: Work) -> None:
    """Recheck the late rows at the versions first read; report those whose grace period is over."""
    still_late: list[Reading] = []
    for reading in work.state.late_rows:
        reading.missed_since = work.waiting_since(reading.missed_since)
        may_wait = work.in_grace_period(reading.missed_since)
        _read(reading, work, may_wait=may_wait, pausing=False)
        if not _counted(reading, work, may_wait=may_wait):
            still_late.append(_ready_to_go_on(reading))
    work.state.late_rows = still_late
    if still_late:
        work.pause()


def _counted(reading: Reading, work: Work, *, may_wait: bool) -> bool:
    """Check the row and count it, unless missing entries may still arrive."""
    row_now = None
    if reading.newest > reading.version:
        key = (reading.account_id, reading.shard)
        row_now = work.books.rows([key]).get(key)
    if may_wait and reading.may_be_late(row_now):
        return False
    reading.finish(row_now)
    work.state.findings.add(reading.findings)
    work.state.tally.add(reading.tally)
    return True


def _note_fresh(line: Line, reading: Reading, work: Work) -> None:
    """Collect an entry newer than the cut, and compare a batch when it is full."""
    state = work.state
    if reading.again or line.version > reading.version or line.transfer_id is None:
        return
    if not is_newer(line.operation_id, work.run.cut_mark):
        return
    if not is_posting(line.operation_id, line.amount, folded=reading.folded):
        return
    if state.fresh_compared + len(state.fresh) >= MAX_FRESH_COMPARED:
        return
    state.fresh.append(
        Fresh(
            name=line.name,
            transfer_id=line.transfer_id,
            operation_id=line.operation_id,
            account_id=reading.account_id,
            amount=line.amount,
        )
    )
    if len(state.fresh) >= MAX_TRANSACTION_ITEMS:
        _compare_fresh(work)


def _compare_fresh(work: Work) -> None:
    """Compare entries with their transfers. A transfer is always committed before its entries."""
    state = work.state
    transfers = work.books.transfers_by_id([fresh.transfer_id for fresh in state.fresh])
    for fresh in state.fresh:
        transfer = transfers.get(fresh.transfer_id)
        expected: int | None = None
        if transfer is not None and transfer.operation_id == fresh.operation_id:
            expected = (posted_by(transfer) or {}).get(fresh.account_id)
        if expected is None:
            wanted = f"no entry of {fresh.transfer_id}"
            state.findings.violated(
                CheckName.TRANSFER_ENTRIES, fresh.name, wanted, str(fresh.amount)
            )
        elif expected != fresh.amount:
            state.findings.violated(CheckName.TRANSFER_ENTRIES, fresh.name, expected, fresh.amount)
    state.fresh_compared += len(state.fresh)
    state.fresh = []
