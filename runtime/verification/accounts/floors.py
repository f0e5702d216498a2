"""Part of the first phase: no guarded debit has taken a hot account below its floor.

The spendable amount is the total of all rows, minus held amounts, plus the credit limit. A guarded
debit (a transfer or hold) never makes it negative. A fact (a refund, a chargeback) is booked
regardless of funds, so a merchant's balance may legitimately be negative. Debits by facts since the
last guarded debit are therefore not counted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from runtime.core.ids import created_at, lowest_id
from runtime.ledger.accounts.models import PROFILE_SHARD, AccountType, Posting
from runtime.ledger.entries.models import credit_partitions, entry_partition
from runtime.ledger.hot_accounts.rules import is_debit_shard
from runtime.ledger.rules import is_consolidation, is_hold_end, operation_time
from runtime.verification.accounts.rules import BalanceRow, Line
from runtime.verification.rules import CheckName
from runtime.verification.segments import MAX_LATE, LateItem, Work

READINGS: Final = 10
"""Attempts at reading all rows of an account while row 00 does not change."""


def check_floor(row: BalanceRow, work: Work) -> None:
    """Check the floor of a row 00. A violation is rechecked until the grace period ends."""
    if row.posting != Posting.FOLDED or row.account_type == AccountType.SYSTEM:
        return
    state = work.state
    state.findings.count(CheckName.FLOORS)
    if _below_floor(row.id, work) is not None:
        state.late.append(LateItem(id=row.id))
    while len(state.late) >= MAX_LATE:
        recheck_floor(work)


def recheck_floor(work: Work) -> None:
    """Recheck accounts that were below their floor. Raises OutOfTime."""
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
    """The floor and the lower balance found; None without a violation, or while it changes.

    Every guarded debit and every consolidation increments the version of row 00. While the version
    does not change, credit shards only increase, and only facts lower debit shards.
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
    debited = [entry_partition(account_id, row.shard) for row in rows if is_debit_shard(row.shard)]
    by_facts = sum(
        -line.amount
        for partition in (*credit_partitions(account_id), *debited)
        for line in work.books.lines(partition, mark)
        if line.amount < 0 and not is_consolidation(line.operation_id, folded=True)
    )
    return (floor, left) if left + by_facts < floor else None


def _of_one_version(account_id: str, work: Work) -> list[BalanceRow]:
    """All rows of the account, read while row 00 did not change; empty if it kept changing."""
    key = (account_id, PROFILE_SHARD)
    for _ in range(READINGS):
        rows = work.books.rows_of(account_id)
        now = work.books.rows([key]).get(key)
        before = next((row for row in rows if row.shard == PROFILE_SHARD), None)
        if now is not None and before is not None and now.version == before.version:
            return rows
    return []


def _last_guarded_debit(account_id: str, work: Work) -> datetime | None:
    """When the last guarded debit of the account began; None if there was none.

    A late entry makes the result earlier, which only attributes more of the debits to facts.
    """
    newest = work.books.newest_lines(entry_partition(account_id, PROFILE_SHARD))
    found = next((line for line in newest if _is_guarded(line)), None)
    try:
        return None if found is None else created_at(found.operation_id)
    except ValueError:
        return None  # an edited entry; other checks report it


def _is_guarded(line: Line) -> bool:
    """Whether the entry is from a guarded debit. The end of a hold was checked at its start."""
    if is_hold_end(line.operation_id) or is_consolidation(line.operation_id, folded=True):
        return False
    return line.amount < 0 or line.held_out > 0
