"""First phase: compares every row of every account with its entries.

A row is read at (balance, version) and compared with the entries up to that version, so it may
change during the comparison. Entries of row 00 come from a stream, so missing ones are waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.ledger.accounts.models import PROFILE_SHARD, Posting
from runtime.ledger.hot_accounts.rules import is_credit_shard
from runtime.verification.accounts.credits import CreditReading
from runtime.verification.accounts.floors import check_floor, recheck_floor
from runtime.verification.accounts.fresh import compare_fresh, note_fresh
from runtime.verification.accounts.rules import BalanceRow, Reading, Step
from runtime.verification.books_repository import is_number_guard
from runtime.verification.changes.notes import Subject
from runtime.verification.rules import CheckName
from runtime.verification.segments import MAX_LATE, Phase, Work

MAX_LATE_PRINTS = 10_000
"""Most fingerprints in late rows (at most 1,024 per row). A checkpoint with this many is about
150 KB; DynamoDB's limit is 400 KB."""


def read_accounts(work: Work) -> None:
    """Read the rest of the segment. Raises OutOfTime, StaleWrite."""
    state = work.state
    _finish_row(work)
    for page in work.pages.accounts(state.cursor):
        work.load_checkpoints(page.rows)
        credited = _credit_shards_of(page.rows, work)
        for row in page.rows:
            state.cursor = {"id": row.id, "shard": row.shard}
            if is_credit_shard(row.shard):
                _count_credit_shard(row, credited, work)
            elif not is_number_guard(row):
                _begin(row, work)
                _finish_row(work)
        work.step()
    while state.late_rows or state.late_credits:
        _revisit(work)
    while state.late:
        recheck_floor(work)
    compare_fresh(work)
    work.finish()


def _begin(row: BalanceRow, work: Work) -> None:
    state = work.state
    state.reading = work.reading_of(row)
    state.findings.count(CheckName.ACCOUNT_ENTRIES)
    work.count()
    if work.is_suspect(Subject.ROWS, state.reading.name):
        work.directly(Phase.DRILL_ENTRIES, Phase.DRILL_HELD)
    if not state.reading.is_profile:
        return
    state.findings.count(CheckName.SPENDABLE)
    state.findings.count(CheckName.OPEN_HOLDS)
    _judge_spendable(row, work)
    check_floor(row, work)
    if row.posting == Posting.FOLDED:
        state.credits = work.credits_of(row)
        if work.is_suspect(Subject.ROWS, state.credits.name):
            work.directly(Phase.DRILL_ENTRIES)


def _credit_shards_of(rows: Sequence[BalanceRow], work: Work) -> dict[str, int]:
    """The number of credit shards of each account that has a credit shard among `rows`."""
    keys = [(row.account_id, PROFILE_SHARD) for row in rows if is_credit_shard(row.shard)]
    return {row.id: row.credit_shards for row in work.books.rows(keys).values()}


def _count_credit_shard(row: BalanceRow, credited: Mapping[str, int], work: Work) -> None:
    """Count a credit shard, which is compared with its entries together with row 00.

    It must be one that row 00 counts: no other is read with the account's balance.
    """
    work.count()
    state = work.state
    state.findings.count(CheckName.ACCOUNT_ENTRIES)
    number = credited.get(row.account_id, 0)
    if int(row.shard) > number:
        found = f"{number} in row 00"
        state.findings.violated(CheckName.ACCOUNT_ENTRIES, row.id, "a counted shard", found)
        state.tally.sums(row.currency).balances += row.balance


def _judge_spendable(row: BalanceRow, work: Work) -> None:
    spendable = row.balance - row.held_out + row.credit_limit
    name, findings = f"{row.id}#{row.shard}", work.state.findings
    if row.spendable != spendable:
        findings.violated(CheckName.SPENDABLE, name, spendable, row.spendable)
    for held in (row.held_out, row.held_in):
        if held < 0:
            findings.violated(CheckName.SPENDABLE, name, 0, held)


def _finish_row(work: Work) -> None:
    """Finish the current row, and the credit shards of its account if it is a row 00."""
    state = work.state
    if state.reading is not None:
        _read(state.reading, work)
        if not _counted(state.reading, work, may_wait=True):
            state.late_rows.append(_ready_to_go_on(state.reading))
        state.reading = None
    if state.credits is not None:
        _read_credits(state.credits, work)
        if not _credits_counted(state.credits, work, may_wait=True):
            state.late_credits.append(state.credits.from_the_start())
        state.credits = None
    while _too_many_are_late(work):
        _revisit(work)


def _read(reading: Reading, work: Work, *, may_wait: bool = True, pausing: bool = True) -> None:
    """Read the row's remaining entries, up to the end or to a gap."""
    window = work.run.window
    lines = work.books.lines(reading.name, reading.after)
    for number, line in enumerate(lines, start=1):
        if reading.offer(line, window, may_wait=may_wait) is Step.GAP:
            return
        if not reading.again and line.version <= reading.version:
            note_fresh(line, reading.account_id, work, folded=reading.folded)
        if pausing and number % work.books.entries_page == 0:
            work.step()


def _read_credits(reading: CreditReading, work: Work, *, pausing: bool = True) -> None:
    """Read the remaining entries of an account's credit shards."""
    for number, line in enumerate(reading.lines(work.books.lines), start=1):
        reading.offer(line, work.run.window)
        if not reading.again and reading.includes(line):
            note_fresh(line, reading.account_id, work, folded=True)
        if pausing and number % work.books.entries_page == 0:
            work.step()


def _too_many_are_late(work: Work) -> bool:
    late_rows, late_credits = work.state.late_rows, work.state.late_credits
    prints = sum(len(reading.tally.prints) for reading in late_rows)
    shards = sum(len(reading.shards) for reading in late_credits)
    return len(late_rows) + shards >= MAX_LATE or prints > MAX_LATE_PRINTS


def _ready_to_go_on(reading: Reading) -> Reading:
    """Row 00 continues at its gap. Other rows are read again from their first entry."""
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
    work.state.late_credits = _still_late_credits(work)
    if still_late or work.state.late_credits:
        work.pause()


def _still_late_credits(work: Work) -> list[CreditReading]:
    still_late: list[CreditReading] = []
    for reading in work.state.late_credits:
        reading.missed_since = work.waiting_since(reading.missed_since)
        may_wait = work.in_grace_period(reading.missed_since)
        _read_credits(reading, work, pausing=False)
        if not _credits_counted(reading, work, may_wait=may_wait):
            still_late.append(reading.from_the_start())
    return still_late


def _counted(reading: Reading, work: Work, *, may_wait: bool) -> bool:
    """Check the row and count it, unless missing entries may still arrive."""
    row_now = None
    if reading.newest > reading.version:
        key = (reading.account_id, reading.shard)
        row_now = work.books.rows([key]).get(key)
    if reading.must_restart or (may_wait and reading.may_be_late(row_now)):
        return False
    reading.finish(row_now)
    work.keep_checkpoint(reading)
    work.state.findings.add(reading.findings)
    work.state.tally.add(reading.tally)
    return True


def _credits_counted(reading: CreditReading, work: Work, *, may_wait: bool) -> bool:
    """Check the credit shards and count them, unless missing entries may still arrive."""
    rows_now = work.books.rows(reading.keys)
    if reading.must_restart or (may_wait and reading.may_be_late(rows_now)):
        return False
    reading.finish(rows_now)
    work.keep_checkpoint(reading)
    work.state.findings.add(reading.findings)
    work.state.tally.add(reading.tally)
    return True
