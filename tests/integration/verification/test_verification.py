"""Ledger verification finds every injected error and reports no false violations."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from runtime.ledger.accounts.models import Account
from runtime.ledger.entries.models import Entry
from runtime.ledger.entries.projection import entry_of
from runtime.ledger.hot_accounts.rules import is_credit_shard
from runtime.ledger.transfers.models import Transfer
from runtime.payments.models import Payment
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import RunKind
from runtime.verification.run import verify_ledger
from tests.support.bookkeeper import Bookkeeper
from tests.support.outside import new_id
from tests.support.platform import Platform


@pytest.fixture
def books(platform: Platform) -> Bookkeeper:
    return Bookkeeper(platform)


def test_a_correct_ledger_is_verified_and_the_report_is_stored(books: Bookkeeper) -> None:
    books.keep()
    assert books.verify_ledger() == {}
    latest = VerificationRepository(books.platform.store).latest()
    assert latest is not None
    assert latest.holds
    counted = {check.name.value: check.counted for check in latest.checks}
    assert counted["transfer_entries"] == 12
    assert counted["conservation"] == 1
    assert books.slept == 0


def test_an_empty_ledger_is_verified(platform: Platform) -> None:
    report = verify_ledger(Bookkeeper(platform).deps).report
    assert report is not None
    assert report.holds


def edit(books: Bookkeeper, row: Any, **changes: Any) -> None:
    books.platform.put(row.model_copy(update=changes))


def first_entry(books: Bookkeeper, account: str, *, shard: bool = False) -> Entry:
    entries = [e for e in books.platform.rows(Entry) if e.account_id == account and e.amount]
    chosen = [e for e in entries if (e.fold_version is not None) == shard]
    return min(chosen, key=lambda entry: entry.operation_id)


def plant_balance(books: Bookkeeper, _: list[Transfer]) -> None:
    row = books.row("acc_b")
    edit(books, row, balance=row.balance + 1, spendable=row.spendable + 1)


def plant_spendable(books: Bookkeeper, _: list[Transfer]) -> None:
    row = books.row("acc_b")
    edit(books, row, spendable=row.spendable + 1)


def plant_entry_amount(books: Bookkeeper, _: list[Transfer]) -> None:
    entry = first_entry(books, "acc_b")
    edit(books, entry, amount=entry.amount + 1)


def plant_balance_after(books: Bookkeeper, _: list[Transfer]) -> None:
    entry = first_entry(books, "acc_b")
    edit(books, entry, balance_after=(entry.balance_after or 0) + 1)


def plant_no_entry(books: Bookkeeper, _: list[Transfer]) -> None:
    books.platform.delete(first_entry(books, "acc_b"))


def plant_no_shard_entry(books: Bookkeeper, _: list[Transfer]) -> None:
    books.platform.delete(first_entry(books, "acc_f", shard=True))


def plant_shard_balance(books: Bookkeeper, transfers: list[Transfer]) -> None:
    row = next(each for each in books.platform.rows(Account) if is_credit_shard(each.shard))
    edit(books, row, balance=row.balance + 1)


def plant_leg(books: Bookkeeper, transfers: list[Transfer]) -> None:
    transfer = transfers[0]
    leg = transfer.legs[0].model_copy(update={"amount": transfer.amount + 1})
    edit(books, transfer, legs=(leg,))


def plant_no_transfer(books: Bookkeeper, transfers: list[Transfer]) -> None:
    books.platform.delete(transfers[0])


def plant_failed_transfer(books: Bookkeeper, transfers: list[Transfer]) -> None:
    edit(books, transfers[0], status="failed")


def plant_transfer_without_entries(books: Bookkeeper, transfers: list[Transfer]) -> None:
    invented = new_id("trf", books.platform.clock() - timedelta(hours=1))
    edit(books, transfers[0], id=invented, operation_id=invented)


def plant_version(books: Bookkeeper, _: list[Transfer]) -> None:
    row = books.row("acc_b")
    edit(books, row, version=row.version + 1)


def plant_entry_of_nothing(books: Bookkeeper, _: list[Transfer]) -> None:
    row = books.row("acc_b")
    invented = new_id("trf", books.platform.clock() - timedelta(hours=1))
    after = row.model_copy(
        update={
            "balance": row.balance + 1,
            "spendable": row.spendable + 1,
            "version": row.version + 1,
            "cause": invented,
            "last_operation_id": invented,
        }
    )
    books.platform.put(after)
    books.platform.put(entry_of(row, after))


def plant_consolidation_of_nothing(books: Bookkeeper, _: list[Transfer]) -> None:
    """Move money between accounts without shards, under the id of a consolidation."""
    consolidation = new_id("swp", books.platform.clock() - timedelta(hours=1))
    for name, change in (("acc_a", -5), ("acc_b", 5)):
        row = books.row(name)
        after = row.model_copy(
            update={
                "balance": row.balance + change,
                "spendable": row.spendable + change,
                "version": row.version + 1,
                "cause": consolidation,
                "last_operation_id": consolidation,
            }
        )
        books.platform.put(after)
        books.platform.put(entry_of(row, after))


def plant_account_gone(books: Bookkeeper, _: list[Transfer]) -> None:
    books.platform.delete(books.row("acc_b"))


@pytest.mark.parametrize(
    ("plant", "checks", "named"),
    [
        (plant_balance, {"account_entries", "conservation"}, "acc_b#00"),
        (plant_spendable, {"spendable"}, "acc_b#00"),
        (plant_entry_amount, {"account_entries", "transfer_entries"}, "acc_b#00"),
        (plant_balance_after, {"running_balances"}, "acc_b#00@"),
        (plant_no_entry, {"account_entries", "transfer_entries"}, "acc_b#00"),
        (plant_no_shard_entry, {"account_entries", "transfer_entries"}, "acc_f#"),
        (plant_shard_balance, {"account_entries", "conservation"}, "acc_f#"),
        (plant_leg, {"transfer_entries"}, "trf_"),
        (plant_no_transfer, {"transfer_entries"}, "@"),
        (plant_failed_transfer, {"transfer_entries"}, "@"),
        (plant_transfer_without_entries, {"transfer_entries"}, "trf_"),
        (plant_version, {"account_entries"}, "acc_b#00"),
        (plant_entry_of_nothing, {"transfer_entries", "conservation"}, "acc_b#00@"),
        (plant_consolidation_of_nothing, {"transfer_entries"}, "acc_b#00@"),
        (plant_account_gone, {"transfer_entries", "conservation"}, "USD"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_an_injected_error_is_found_and_reported(
    books: Bookkeeper,
    plant: Callable[[Bookkeeper, list[Transfer]], None],
    checks: set[str],
    named: str,
) -> None:
    plant(books, books.keep())
    found = books.verify_ledger()
    assert checks <= set(found), found
    names = [identifier for each in found.values() for identifier, _, _ in each]
    assert any(named in each for each in names), found
    expected_and_found = [(e, f) for each in found.values() for _, e, f in each]
    assert all(expected != actual for expected, actual in expected_and_found)


@pytest.mark.parametrize("plant", [plant_leg, plant_entry_of_nothing])
def test_a_recent_error_is_found_before_the_cut_includes_it(
    books: Bookkeeper, plant: Callable[[Bookkeeper, list[Transfer]], None]
) -> None:
    books.keep()
    fresh = [books.move(0)]
    if plant is plant_entry_of_nothing:
        row = books.row("acc_b")
        invented = new_id("trf", books.platform.clock())
        after = row.model_copy(
            update={
                "balance": row.balance + 1,
                "spendable": row.spendable + 1,
                "version": row.version + 1,
                "cause": invented,
                "last_operation_id": invented,
            }
        )
        books.platform.put(after)
        books.platform.put(entry_of(row, after))
    else:
        plant(books, fresh)
    assert "transfer_entries" in books.verify_ledger()


def test_a_payments_totals_must_match_its_transactions(platform: Platform) -> None:
    merchant = platform.merchant()
    for _ in range(3):
        assert platform.pay(merchant).status == 201
    platform.clock.advance(1)
    books = Bookkeeper(platform)
    assert "payment_totals" not in books_of_payments(books)
    payment = platform.payments()[0]
    platform.put(payment.model_copy(update={"amount_captured": payment.amount_captured + 1}))
    found = books_of_payments(books)["payment_totals"]
    assert found == [(f"{payment.id} amount_captured", 1000, 1001)]
    assert isinstance(payment, Payment)


def books_of_payments(books: Bookkeeper) -> dict[str, list[tuple[str, Any, Any]]]:
    report = verify_ledger(books.deps, kind=RunKind.FULL).report
    assert report is not None
    return {
        check.name.value: [(v.id, v.expected, v.found) for v in check.violations]
        for check in report.checks
        if not check.holds
    }


def test_late_entries_are_waited_for(books: Bookkeeper) -> None:
    books.keep()
    before = {name: books.row(name) for name in ("acc_a", "acc_b")}
    late = books.move(2, project=False)
    after = {name: books.row(name) for name in ("acc_a", "acc_b")}
    folded = books.move(3, project=False)
    done = {name: books.row(name) for name in ("acc_a",)}

    def project_while_waiting(_: float) -> None:
        books.slept += 1
        books.platform.put(entry_of(before["acc_a"], after["acc_a"]))
        books.platform.put(entry_of(before["acc_b"], after["acc_b"]))
        books.platform.put(entry_of(after["acc_a"], done["acc_a"]))
        books.credit(folded, folded.amount)

    books._sleep = project_while_waiting  # type: ignore[method-assign]
    books.platform.clock.advance(120)
    assert books.verify_ledger() == {}
    assert books.slept > 0
    assert late.status == "processed"


def test_an_interrupted_run_gives_the_same_result(books: Bookkeeper) -> None:
    transfers = books.keep()
    plant_leg(books, transfers)
    plant_balance(books, transfers)
    whole = books.verify_ledger()
    calls = 0

    def stop_soon() -> bool:
        nonlocal calls
        calls += 1
        return calls > 12

    books.must_stop = stop_soon
    runs = 0
    while (report := verify_ledger(books.deps, kind=RunKind.FULL).report) is None:
        runs += 1
        calls = 0
        assert runs < 500
    assert runs > 2
    parts = {
        check.name.value: sorted((v.id, v.expected, v.found) for v in check.violations)
        for check in report.checks
        if not check.holds
    }
    assert parts == {name: sorted(found) for name, found in whole.items()}


def test_concurrent_invocations_do_not_corrupt_a_run(books: Bookkeeper) -> None:
    books.keep()
    entered, go_on = threading.Event(), threading.Event()

    def wait() -> bool:
        entered.set()
        go_on.wait(30)
        return False

    books.must_stop = wait
    reports: list[Any] = []
    first = threading.Thread(
        target=lambda: reports.append(verify_ledger(books.deps, kind=RunKind.FULL).report)
    )
    first.start()
    assert entered.wait(30)
    second = Bookkeeper(books.platform)
    assert verify_ledger(second.deps).busy
    go_on.set()
    first.join(60)
    assert reports[0] is not None
    assert reports[0].holds


def test_transfers_during_a_run_are_not_violations(books: Bookkeeper) -> None:
    books.keep(30)
    stop = threading.Event()

    def move_on() -> None:
        number = 0
        while not stop.is_set():
            books.move(number)
            number += 1

    mover = threading.Thread(target=move_on)
    mover.start()
    try:
        for _ in range(4):
            assert books.verify_ledger() == {}
    finally:
        stop.set()
        mover.join(30)
