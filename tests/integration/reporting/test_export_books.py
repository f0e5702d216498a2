"""Exported entries match the statements; exported ledger files are verified by Beancount."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.customers.repository import CustomerRepository
from runtime.http.pagination import Cursors
from runtime.ledger.accounts.api import EntryQuery
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.queries import AccountReads, get_account, list_entries
from runtime.ledger.rules import clearing_account, receivable_account
from runtime.ledger.transfers.api import TransferQuery
from runtime.ledger.transfers.queries import TransferReads, list_transfers
from runtime.reporting.exports.sources.beancount import ELSEWHERE, books_account
from tests.support.engines.engine import Engine
from tests.support.exporting import Exporting
from tests.support.oracles.bean_check import bean_check
from tests.support.platform import CURSOR_KEY, pages
from tests.support.simulation.ledger import LedgerPlatform

OPERATOR = None


class ExportCase:
    """A merchant with every kind of account and posting, and another one that paid it."""

    def __init__(self, engine: Engine) -> None:
        self.ledger = LedgerPlatform(engine, seed="books")
        self.platform, self.shop = self.ledger.platform, self.ledger.merchant
        self.exporting = Exporting(self.platform)
        self.receivable = receivable_account(self.shop.id, "USD")
        self.rich = self.ledger.open(opening=100_000)
        self.poor = self.ledger.open()
        self.hot = self.ledger.open(folded=True)
        self.yen = [self.ledger.open("JPY", 5_000), self.ledger.open("JPY")]
        self.dinars = [self.ledger.open("KWD", 1_001), self.ledger.open("KWD", folded=True)]
        self._move()
        self.ledger.poller.drain()

    def _move(self) -> None:
        ledger = self.ledger
        self.send(self.rich, self.poor, 250, description='Rent "May"\n2026-01-01 open Assets:Evil')
        self.send(self.poor, self.rich, 1)
        for amount in (7, 8, 9):
            self.send(self.rich, self.hot, amount)
        self.send(*self.yen, 1_234, currency="JPY")
        self.send(*self.dinars, 999, currency="KWD")
        legs = [
            {"from_account_id": self.rich, "to_account_id": to, "amount": amount}
            for to, amount in ((self.poor, 30), (self.hot, 40))
        ]
        assert ledger.calm.send(ledger.order(legs=legs)).status == 201
        posted = ledger.hold(self.rich, self.poor, 500)
        assert ledger.calm.send(ledger.post_order(posted, 123)).status == 200
        ledger.hold(self.rich, self.hot, 60)
        payment = self.platform.paid(self.shop, amount=10_000)
        self.ledger.poller.drain()
        self.platform.operate(self.shop, payment, "refund", amount=2_500)
        self.platform.paid(self.shop, amount=10)  # a fee above the amount
        self.ledger.poller.drain()
        self.send(self.receivable, self.poor, 3_000)

    def send(self, source: str, target: str, amount: int, **more: Any) -> None:
        answer = self.ledger.calm.send(self.ledger.order(source, target, amount, **more))
        assert answer.status == 201, answer

    def books(self, merchant: Any = OPERATOR, **filters: Any) -> tuple[bytes, int | None]:
        """A ledger file and the transactions in it."""
        body = {"kind": "entries", "format": "beancount", **filters}
        export = self.exporting.done(self.exporting.ask(merchant, **body))
        return self.exporting.file(export), export.rows

    def account_reads(self) -> AccountReads:
        reads = self.exporting.reads()
        customers = CustomerRepository(self.platform.store)
        cursors = Cursors(lambda: CURSOR_KEY)
        return AccountReads(
            reads.accounts,
            reads.shard_rows,
            reads.entries,
            customers,
            self.ledger.profiles,
            cursors,
        )

    def balances(self, owner: str) -> dict[str, str]:
        """The balance of each account of an owner, as the API shows it."""
        ids = {
            row.id
            for row in self.platform.rows(Account)
            if row.merchant_id == owner and row.shard == "00" and row.currency
        }
        call = self.platform.call(None, operator=True)
        answers = (get_account(each, call, self.account_reads()) for each in sorted(ids))
        return {each.id: each.formatted_balance for each in answers}


@pytest.fixture(scope="module")
def simulation(engine: Engine) -> Iterator[ExportCase]:
    simulation = ExportCase(engine)
    yield simulation
    simulation.platform.drop()


def closing(content: bytes) -> dict[str, str]:
    """The asserted balances by the account's name."""
    found = re.findall(rb"balance (\S+)  (\S+) ~ 0 (\S+)", content)
    return {name.decode(): f"{number.decode()} {code.decode()}" for name, number, code in found}


def test_beancount_accepts_the_ledger_and_its_balances_match_ours(
    simulation: ExportCase, tmp_path: Path
) -> None:
    for owner, merchant in ((simulation.shop.id, simulation.shop), ("platform", OPERATOR)):
        content, transactions = simulation.books(merchant)
        assert bean_check(content, tmp_path) == ""
        ours = {
            books_account(name): reported for name, reported in simulation.balances(owner).items()
        }
        assert closing(content) == ours
        assert transactions == content.count(b" * ")
    content, _ = simulation.books(simulation.shop)
    assert content.count(b"Rent") == 1, "one transaction of a transfer, with all of its accounts"
    assert closing(content)[books_account(simulation.hot)] == "0.64 USD"
    assert closing(content)[books_account(simulation.yen[0])] == "3766 JPY"
    assert closing(content)[books_account(simulation.dinars[1])] == "0.999 KWD"


def test_exported_entries_and_transfers_match_the_lists(simulation: ExportCase) -> None:
    call = simulation.platform.call(simulation.shop)
    account_reads = simulation.account_reads()
    everything = simulation.exporting.made(simulation.shop, kind="entries")
    for account_id in simulation.balances(simulation.shop.id):

        def read(cursor: str | None, account_id: str = account_id) -> Any:
            return list_entries(account_id, EntryQuery(cursor=cursor, limit=3), call, account_reads)

        listed = [json.loads(each.model_dump_json()) for page in pages(read) for each in page.data]
        exported = simulation.exporting.made(simulation.shop, kind="entries", account_id=account_id)
        assert [{name: row[name] for name in listed[0]} for row in exported] == listed
        assert [row for row in everything if row["account_id"] == account_id] == exported
        transfers = TransferReads(simulation.exporting.reads().transfers, account_reads)
        query = TransferQuery(account_id=account_id, limit=100)
        page = list_transfers(query, call, transfers)
        shown = [json.loads(each.model_dump_json()) for each in page.data]
        assert (
            simulation.exporting.made(simulation.shop, kind="transfers", account_id=account_id)
            == shown
        )
    assert clearing_account("USD") not in {row["account_id"] for row in everything}


def test_beancount_finds_an_error_of_one_minor_unit(simulation: ExportCase, tmp_path: Path) -> None:
    (row,) = (row for row in simulation.platform.rows(Account) if row.account_id == simulation.poor)
    simulation.platform.put(row.model_copy(update={"balance": row.balance + 1}))
    content, _ = simulation.books(simulation.shop)
    simulation.platform.put(row)
    assert f"Balance failed for '{books_account(simulation.poor)}'" in bean_check(content, tmp_path)


def test_the_ledger_file_is_the_same_however_often_workers_are_replaced(
    simulation: ExportCase, tmp_path: Path
) -> None:
    whole, transactions = simulation.books(simulation.shop)
    body = {"kind": "entries", "format": "beancount"}
    export_id = simulation.exporting.ask(simulation.shop, **body)
    turns = 1
    while (
        simulation.exporting.turn(export_id, remaining_seconds=lambda: 1.0).next_in_seconds
        is not None
    ):
        turns += 1
    export = simulation.exporting.row(export_id)
    assert turns > 10, "accounts have chunks of their own"
    assert export.rows == transactions
    assert simulation.exporting.file(export).splitlines()[2:] == whole.splitlines()[2:]
    assert bean_check(simulation.exporting.file(export), tmp_path) == ""


def test_the_export_waits_until_earlier_requests_are_committed(simulation: ExportCase) -> None:
    simulation.exporting.settle = timedelta(seconds=60)
    export_id = simulation.exporting.ask(simulation.shop, kind="entries", format="beancount")
    wait = simulation.exporting.turn(export_id).next_in_seconds
    assert wait is not None
    assert 55 < wait <= 60
    assert simulation.exporting.row(export_id).status == "queued"
    simulation.exporting.settle = timedelta(0)
    simulation.exporting.done(export_id)


def test_an_export_of_one_account_has_other_accounts_only_in_its_transactions(
    simulation: ExportCase, tmp_path: Path
) -> None:
    content, transactions = simulation.books(simulation.shop, account_id=simulation.poor)
    assert bean_check(content, tmp_path) == ""
    assert list(closing(content)) == [books_account(simulation.poor)]
    assert transactions == 5
    assert books_account(simulation.rich).encode() in content


def test_all_accounts_end_at_the_time_of_the_request(
    simulation: ExportCase, tmp_path: Path
) -> None:
    before, _ = simulation.books(simulation.shop)
    export_id = simulation.exporting.ask(simulation.shop, kind="entries", format="beancount")
    simulation.send(simulation.rich, simulation.poor, 77)
    simulation.send(simulation.rich, simulation.hot, 78)
    simulation.ledger.poller.drain()
    content = simulation.exporting.file(simulation.exporting.done(export_id))
    assert closing(content) == closing(before)
    assert bean_check(content, tmp_path) == ""


def test_a_transfer_by_another_owner_hides_the_other_account(
    simulation: ExportCase, tmp_path: Path
) -> None:
    """An operator pays the merchant from another merchant's account, whose id must stay hidden."""
    stranger = simulation.platform.merchant()
    theirs = simulation.ledger.open()
    simulation.send(simulation.rich, theirs, 500)
    simulation.ledger.poller.drain()
    (row,) = (row for row in simulation.platform.rows(Account) if row.account_id == theirs)
    simulation.platform.put(row.model_copy(update={"merchant_id": stranger.id}))
    content, _ = simulation.books(stranger, account_id=theirs)
    assert bean_check(content, tmp_path) == ""
    assert ELSEWHERE.encode() in content
    assert books_account(simulation.rich).encode() not in content
    assert closing(content) == {books_account(theirs): "5.00 USD"}
