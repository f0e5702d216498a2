"""Incremental runs verify what changed, find what a full run finds, and never pass a violation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from runtime.ledger.entries.models import Entry
from runtime.ledger.entries.projection import entry_of
from runtime.ledger.transfers.models import Transfer
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import RunKind
from runtime.verification.run import verify_ledger
from runtime.verification.segments import Phase
from tests.support.bookkeeper import CUT, Bookkeeper, violations_of
from tests.support.outside import new_id
from tests.support.platform import Platform

INCREMENTAL, FULL = RunKind.INCREMENTAL, RunKind.FULL


@pytest.fixture
def books(platform: Platform) -> Bookkeeper:
    """A ledger that was verified in full: what begins now is above the verified state."""
    books = Bookkeeper(platform)
    books.keep()
    books.changes.archive()
    books.platform.clock.advance(600)
    assert books.verify_ledger() == {}
    return books


def more(books: Bookkeeper, numbers: range = range(4), **how: Any) -> list[Transfer]:
    """Transfers that are archived at once and may be verified."""
    books.platform.clock.advance(2 * CUT.total_seconds())
    made = [books.move(number) for number in numbers]
    books.changes.archive(**how)
    books.platform.clock.advance(2 * CUT.total_seconds())
    return made


def verified_until(books: Bookkeeper) -> str | None:
    return VerificationRepository(books.platform.store).baseline().content.verified_until


def edit(books: Bookkeeper, row: Any, **changes: Any) -> None:
    books.platform.put(row.model_copy(update=changes))


def entry_of_transfer(books: Bookkeeper, transfer: Transfer, account: str) -> Entry:
    (entry,) = (
        row
        for row in books.platform.rows(Entry)
        if row.transfer_id == transfer.id and row.account_id == account
    )
    return entry


# -------------------------------------------------------------------- what is read


def test_the_first_run_is_full_and_the_next_reads_what_changed(books: Bookkeeper) -> None:
    full = VerificationRepository(books.platform.store).latest()
    assert full is not None
    assert (full.kind, full.since, full.last_full) == (FULL, None, full.as_full_run)
    more(books, range(3))
    report = books.run(None)
    assert violations_of(report) == {}
    assert (report.kind, report.since, report.last_full) == (
        INCREMENTAL,
        full.as_of,
        full.as_full_run,
    )
    assert books.rows_read[Phase.TRANSFERS] == 3
    assert Phase.DRILL_TRANSFERS not in books.rows_read
    assert verified_until(books) == report.as_of > full.as_of


def test_a_run_without_changes_reads_no_rows(books: Bookkeeper) -> None:
    for _ in range(2):  # the second does not even see the changes before the first run's cut
        books.platform.clock.advance(600)
        assert books.verify_ledger(INCREMENTAL) == {}
    assert books.rows_read == {}


def test_entries_below_a_checkpoint_are_not_read_again(
    books: Bookkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    for numbers in (range(4), range(1)):
        more(books, numbers)
        assert books.verify_ledger(INCREMENTAL) == {}
    old = entry_of_transfer(books, min(books.platform.rows(Transfer), key=by_id), "acc_b")
    edit(books, old, amount=old.amount + 1)
    more(books, range(1))
    assert books.verify_ledger(INCREMENTAL) == {}, "an edited entry is found by full runs"
    assert set(books.verify_ledger(FULL)) >= {"account_entries", "transfer_entries"}


def by_id(transfer: Transfer) -> str:
    return transfer.id


def test_a_full_run_is_due_after_some_time(books: Bookkeeper) -> None:
    books.platform.clock.advance(timedelta(days=29).total_seconds())
    assert books.run(None).kind is INCREMENTAL
    books.platform.clock.advance(timedelta(days=2).total_seconds())
    assert books.run(None).kind is FULL
    assert books.run(None).kind is INCREMENTAL


def test_a_new_account_is_verified_from_its_first_entry(books: Bookkeeper) -> None:
    account = books._account("acc_new", "immediate")
    books._write_account(None, account)
    more(books)
    assert books.verify_ledger(INCREMENTAL) == {}
    edit(books, account, balance=5, spendable=account.spendable + 5)
    books.changes.archive(by_hand={"acc_new"})
    assert set(books.verify_ledger(INCREMENTAL)) == {"account_entries", "conservation"}


# -------------------------------------------------------------------- what is found


def _raise_balance(books: Bookkeeper, _: list[Transfer]) -> set[str]:
    row = books.row("acc_b")
    edit(books, row, balance=row.balance + 1, spendable=row.spendable + 1)
    return {"acc_b"}


def _raise_shard(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    shard = entry_of_transfer(books, transfers[1], "acc_f").balance_shard
    assert shard is not None
    row = books.row("acc_f", shard)
    edit(books, row, balance=row.balance + 1)
    return {f"acc_f#{shard}"}


def _edit_leg(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    leg = transfers[0].legs[0].model_copy(update={"amount": transfers[0].amount + 1})
    edit(books, transfers[0], legs=(leg,))
    return {transfers[0].id}


def _delete_transfer(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    books.platform.delete(transfers[0])
    return {transfers[0].id}


def _fail_transfer(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    edit(books, transfers[0], status="failed")
    return {transfers[0].id}


def _skip_version(books: Bookkeeper, _: list[Transfer]) -> set[str]:
    row = books.row("acc_b")
    edit(books, row, version=row.version + 1)
    return {"acc_b"}


def _spend(books: Bookkeeper, _: list[Transfer]) -> set[str]:
    row = books.row("acc_b")
    edit(books, row, spendable=row.spendable + 1)
    return {"acc_b"}


def _invent_transfer(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    invented = new_id("trf", books.platform.clock() - timedelta(seconds=40))
    edit(books, transfers[0], id=invented, operation_id=invented)
    return {invented}


def _invent_entry(books: Bookkeeper, _: list[Transfer]) -> set[str]:
    """An account and its entry are changed alike, of a transfer that does not exist."""
    row = books.row("acc_b")
    invented = new_id("trf", books.platform.clock() - timedelta(seconds=40))
    changes = {"version": row.version + 1, "cause": invented, "last_operation_id": invented}
    balances = {"balance": row.balance + 1, "spendable": row.spendable + 1}
    after = row.model_copy(update=changes | balances)
    books.platform.put(after)
    books.platform.put(entry_of(row, after))
    return {"acc_b"}


def _delete_entry(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    books.platform.delete(entry_of_transfer(books, transfers[0], "acc_b"))
    return set()


def _delete_shard_entry(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    books.platform.delete(entry_of_transfer(books, transfers[1], "acc_f"))
    return set()


def _edit_entry(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    entry = entry_of_transfer(books, transfers[0], "acc_b")
    edit(books, entry, amount=entry.amount + 1)
    return set()


def _edit_running_balance(books: Bookkeeper, transfers: list[Transfer]) -> set[str]:
    entry = entry_of_transfer(books, transfers[0], "acc_b")
    edit(books, entry, balance_after=(entry.balance_after or 0) + 1)
    return set()


AUDITED = (
    _raise_balance,
    _raise_shard,
    _edit_leg,
    _delete_transfer,
    _fail_transfer,
    _skip_version,
    _spend,
    _invent_transfer,
    _invent_entry,
)
"""Edits that the audit log records. The tables of entries and lines have no audit rows."""
UNAUDITED = (_delete_entry, _delete_shard_entry, _edit_entry, _edit_running_balance)
Plant = Callable[[Bookkeeper, list[Transfer]], set[str]]


@pytest.mark.parametrize("plant", [*AUDITED, *UNAUDITED], ids=lambda each: each.__name__)
@pytest.mark.parametrize("has_checkpoints", [False, True])
def test_an_error_in_what_is_new_is_found_as_by_a_full_run(
    books: Bookkeeper, plant: Plant, *, has_checkpoints: bool
) -> None:
    if has_checkpoints:
        more(books)
        assert books.verify_ledger(INCREMENTAL) == {}
    made = more(books)
    by_hand = plant(books, made)
    books.changes.archive(by_hand=by_hand)
    found = books.verify_ledger(INCREMENTAL)
    assert found
    assert found == books.verify_ledger(FULL)


@pytest.mark.parametrize("plant", AUDITED, ids=lambda each: each.__name__)
def test_an_edit_below_the_verified_state_is_found_if_the_audit_log_has_it(
    books: Bookkeeper, plant: Plant
) -> None:
    old = more(books)
    assert books.verify_ledger(INCREMENTAL) == {}
    books.platform.clock.advance(600)
    books.changes.archive(by_hand=plant(books, old))
    found = books.verify_ledger(INCREMENTAL)
    full = books.verify_ledger(FULL)
    names = {name for each in full.values() for name, _, _ in each}
    assert {name for each in found.values() for name, _, _ in each} & names
    assert set(found) <= set(full)


@pytest.mark.parametrize("plant", UNAUDITED, ids=lambda each: each.__name__)
def test_an_edited_entry_below_the_verified_state_is_left_to_full_runs(
    books: Bookkeeper, plant: Plant
) -> None:
    old = more(books)
    assert books.verify_ledger(INCREMENTAL) == {}
    plant(books, old)
    assert books.verify_ledger(INCREMENTAL) == {}
    assert books.verify_ledger(FULL)
    assert verified_until(books) is None
    assert books.run(None).kind is FULL, "until it is mended, every run is full"


# -------------------------------------------------------------------- what is verified


def test_a_violation_is_reported_until_it_is_mended(books: Bookkeeper) -> None:
    before = verified_until(books)
    row = books.row("acc_b")
    edit(books, row, balance=row.balance + 1, spendable=row.spendable + 1)
    books.changes.archive(by_hand={"acc_b"})
    for _ in range(3):
        books.platform.clock.advance(86_400)
        found = books.verify_ledger(INCREMENTAL)
        assert [name for name, _, _ in found["account_entries"]] == ["acc_b#00"]
        assert verified_until(books) == before
    edit(books, row)
    books.changes.archive(by_hand={"acc_b"})
    assert books.verify_ledger(INCREMENTAL) == {}
    assert verified_until(books) != before
    assert books.verify_ledger(FULL) == {}


def test_an_interrupted_run_is_continued(books: Bookkeeper) -> None:
    made = more(books, range(9))
    books.changes.archive(by_hand=_edit_leg(books, made))
    calls = 0

    def stop_soon() -> bool:
        nonlocal calls
        calls += 1
        return calls > 9

    before, books.must_stop = verified_until(books), stop_soon
    runs = 0
    while (report := verify_ledger(books.deps, kind=INCREMENTAL).report) is None:
        assert verified_until(books) == before
        runs, calls = runs + 1, 0
        assert runs < 500
    assert runs > 2
    books.must_stop = lambda: False
    parts = {name: sorted(found) for name, found in violations_of(report).items()}
    full = {name: sorted(found) for name, found in books.verify_ledger(FULL).items()}
    assert parts == full


@pytest.mark.parametrize("phase", [Phase.CHANGES, Phase.ACCOUNTS, Phase.TRANSFERS])
def test_a_run_that_dies_and_is_discarded_leaves_nothing_behind(
    books: Bookkeeper, phase: Phase
) -> None:
    class DiedHere(BaseException):
        pass

    def die(now: Phase, _rows: int) -> None:
        if now is phase:
            raise DiedHere

    more(books)
    keep_count, books._read = books._read, die  # type: ignore[method-assign]
    with pytest.raises(DiedHere):
        verify_ledger(books.deps, kind=INCREMENTAL)
    books._read = keep_count  # type: ignore[method-assign]
    more(books)
    books.rows_read = {}
    report = verify_ledger(books.deps, kind=INCREMENTAL, restart=True).report
    assert report is not None
    assert violations_of(report) == {}
    assert books.rows_read[Phase.TRANSFERS] == 8


def test_a_run_of_the_other_kind_replaces_an_unfinished_one(books: Bookkeeper) -> None:
    more(books)
    books.must_stop = lambda: True
    assert verify_ledger(books.deps, kind=INCREMENTAL).report is None
    books.must_stop = lambda: False
    assert books.run(FULL).kind is FULL


# -------------------------------------------------------------------- late and repeated changes


def test_changes_that_are_archived_twice_are_verified_once(books: Bookkeeper) -> None:
    more(books, times=3)
    assert books.verify_ledger(INCREMENTAL) == {}
    assert books.rows_read[Phase.TRANSFERS] == 4
    assert Phase.DRILL_TRANSFERS not in books.rows_read


@pytest.mark.parametrize("plant", [None, _delete_shard_entry, _edit_entry])
def test_changes_that_are_archived_late_are_verified_by_the_next_run(
    books: Bookkeeper, plant: Plant | None
) -> None:
    books.platform.clock.advance(2 * CUT.total_seconds())
    made = [books.move(number) for number in range(4)]
    books.changes.archive(late={made[0].id, made[1].id, "acc_b"})
    books.platform.clock.advance(2 * CUT.total_seconds())
    assert books.verify_ledger(INCREMENTAL) == {}
    if plant is not None:
        plant(books, made)
    books.platform.clock.advance(600)
    books.changes.archive()
    found = books.verify_ledger(INCREMENTAL)
    assert books.rows_read[Phase.DRILL_TRANSFERS] == 2
    expected = {} if plant is None else books.verify_ledger(FULL)
    assert found.get("transfer_entries") == expected.get("transfer_entries")


def test_a_posting_that_is_applied_late_is_waited_for_and_then_verified(books: Bookkeeper) -> None:
    late = books.move(3, project=False)
    source = entry_of(books.row("acc_a"), books.row("acc_a"))
    assert source is not None
    books.platform.clock.advance(2 * CUT.total_seconds())
    books.changes.archive()
    before = verified_until(books)
    assert "transfer_entries" in books.verify_ledger(INCREMENTAL)
    assert verified_until(books) == before
    books.credit(late, late.amount)
    after = books.row("acc_a")
    earlier = after.model_copy(
        update={"balance": after.balance + late.amount, "version": after.version - 1}
    )
    books.platform.put(entry_of(earlier, after))
    books.changes.archive()
    assert books.verify_ledger(INCREMENTAL) == {}
    assert verified_until(books) != before
