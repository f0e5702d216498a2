"""Part of the first phase: compares entries newer than the cut with their transfers directly."""

from __future__ import annotations

from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.verification.accounts.rules import Line
from runtime.verification.rules import CheckName, is_newer, is_posting
from runtime.verification.segments import Fresh, Work
from runtime.verification.transfers import posted_by

MAX_FRESH_COMPARED = 10_000
"""Most entries newer than the cut that a segment compares with their transfers. The next run
includes them all; comparing some now detects new errors sooner."""


def note_fresh(line: Line, account_id: str, work: Work, *, folded: bool) -> None:
    """Collect an entry newer than the cut, and compare a batch when it is full.

    `line` is in the balance as read. `folded`: whether its account is hot.
    """
    state = work.state
    if line.transfer_id is None or not is_newer(line.operation_id, work.run.cut_mark):
        return
    if not is_posting(line.operation_id, line.amount, folded=folded):
        return
    if state.fresh_compared + len(state.fresh) >= MAX_FRESH_COMPARED:
        return
    state.fresh.append(
        Fresh(
            name=line.name,
            transfer_id=line.transfer_id,
            operation_id=line.operation_id,
            account_id=account_id,
            amount=line.amount,
        )
    )
    if len(state.fresh) >= MAX_TRANSACTION_ITEMS:
        compare_fresh(work)


def compare_fresh(work: Work) -> None:
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
