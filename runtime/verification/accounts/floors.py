"""Part of a proof's first phase: no hot account has given away more than its floor allows.

What an account can give away is the total of all its rows, less what is held, plus its credit
limit. A guarded debit (a transfer or hold that takes from it) leaves at least nothing of that. A
fact (a refund, a chargeback) is booked whatever is left, so a merchant may owe without any fault:
what facts have taken since the last guarded debit is not held against the account.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from runtime.core.ids import created_at, lowest_id
from runtime.ledger.accounts.models import PROFILE_SHARD, AccountType, Posting
from runtime.ledger.entries.models import entry_partition
from runtime.ledger.rules import is_consolidation, is_hold_end, operation_time
from runtime.verification.accounts.rules import BalanceRow, Line
from runtime.verification.rules import CheckName
from runtime.verification.segments import MAX_LATE, LateItem, Work

READINGS: Final = 10
"""Of an account whose row 00 changes meanwhile."""


def check_floor(row: BalanceRow, work: Work) -> None:
    """Judge a row 00; what is below its floor is looked at again, until patience ends."""
    if row.posting != Posting.FOLDED or row.account_type == AccountType.SYSTEM:
        return
    state = work.state
    state.findings.count(CheckName.FLOORS)
    if _below_floor(row.id, work) is not None:
        state.late.append(LateItem(id=row.id))
    while len(state.late) >= MAX_LATE:
        recheck_floor(work)


def recheck_floor(work: Work) -> None:
    """Look once more at accounts below their floor. Raises OutOfTime."""
    still_late: list[LateItem] = []
    for item in work.state.late:
        below = _below_floor(item.id, work)
        since = work.waiting_since(item.missed_since)
        if below is None:
            continue
        if work.in_grace_period(since):
            still_late.append(LateItem(id=item.id, missed_since=since))
            continue
        floor, found = below
        work.state.findings.violated(CheckName.FLOORS, item.id, floor, found)
    work.state.late = still_late
    if still_late:
        work.pause()


def _below_floor(account_id: str, work: Work) -> tuple[int, int] | None:
    """The floor, and what is below it; None where all is well, or the account was changing.

    Every guarded debit, and every consolidation of shards, steps the version of row 00. While it
    stands still, credit shards are only raised, and debit shards are lowered by facts alone.
    """
    rows = _of_one_version(account_id, work)
    profile = next((row for row in rows if row.shard == PROFILE_SHARD), None)
    if profile is None:
        return None
    floor = -profile.credit_limit
    left = sum(row.balance for row in rows) - profile.held_out
    if left >= floor:
        return None
    since = _last_guarded_debit(account_id, work)
    if since is None:
        return None
    mark = operation_time(lowest_id("cut", since - work.deps.cut))
    shards = [row.shard for row in rows if row.shard != PROFILE_SHARD]
    by_facts = sum(
        -line.amount
        for shard in shards
        for line in work.books.lines(entry_partition(account_id, shard), mark)
        if line.amount < 0 and not is_consolidation(line.operation_id, folded=True)
    )
    return (floor, left) if left + by_facts < floor else None


def _of_one_version(account_id: str, work: Work) -> list[BalanceRow]:
    """All rows of the account, between two readings of the same row 00; empty if it never stood."""
    key = (account_id, PROFILE_SHARD)
    for _ in range(READINGS):
        rows = work.books.rows_of(account_id)
        now = work.books.rows([key]).get(key)
        before = next((row for row in rows if row.shard == PROFILE_SHARD), None)
        if now is not None and before is not None and now.version == before.version:
            return rows
    return []


def _last_guarded_debit(account_id: str, work: Work) -> datetime | None:
    """When the account was last asked for more than a fact takes; None: never.

    An entry that is late makes it earlier, which only leaves more to facts.
    """
    newest = work.books.newest_lines(entry_partition(account_id, PROFILE_SHARD))
    found = next((line for line in newest if _is_guarded(line)), None)
    try:
        return None if found is None else created_at(found.operation_id)
    except ValueError:
        return None  # an entry that somebody edited; other checks name it


def _is_guarded(line: Line) -> bool:
    """Whether a guard has looked at the account: not at the end of a hold, which was looked at."""
    if is_hold_end(line.operation_id) or is_consolidation(line.operation_id, folded=True):
        return False
    return line.amount < 0 or line.held_out > 0
