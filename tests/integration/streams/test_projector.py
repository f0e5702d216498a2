"""Projections of the change streams: each change counts once, however often it arrives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from runtime.core.timestamps import to_timestamp
from runtime.customers.models import CustomerState
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.expressions import change, put
from runtime.dynamodb.store import Store
from runtime.functions.composition.projector import Projector
from runtime.http.pagination import Cursors
from runtime.ledger.accounts.api import EntryQuery
from runtime.ledger.accounts.models import Account, AccountNumberGuard, AccountType
from runtime.ledger.accounts.queries import AccountReads, list_entries
from runtime.ledger.accounts.repository import AccountRepository, is_number_guard
from runtime.ledger.entries.models import Entry
from runtime.ledger.entries.projection import EntriesProjection, entry_of
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.projection import ShardProjection
from runtime.ledger.hot_accounts.repository import HotAccount, ShardCredit, ShardRepository
from runtime.ledger.rules import ChartAccount, chart_account
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.merchants.models import MerchantProfile
from runtime.streams.records import Change, Kind, StreamRecord
from tests.support.engines.faults import Faults, seeded
from tests.support.fakes import ParkingLot
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform, at_once

TARGET = HotAccount("acc_f", "platform", AccountType.SYSTEM, "USD")


def projector(
    platform: Platform, store: Store | None = None, parking: ParkingLot | None = None
) -> Projector:
    store = store or platform.store
    parking = parking or ParkingLot()
    folding = ShardProjection(
        ShardRepository(store),
        AccountRepository(store),
        platform.outside,
        lambda: "invocation",
        parking,
    )
    return Projector(
        platform.store.codec,
        {"accounts": (EntriesProjection(store),), "transfers": (folding,)},
        is_number_guard,
        parking,
    )


def record(platform: Platform, number: int, old: Any, new: Any) -> StreamRecord:
    """One record as in the stream."""
    kind = Kind.INSERT if old is None else Kind.REMOVE if new is None else Kind.MODIFY
    to_item = platform.store.codec.to_item
    return StreamRecord(
        table=type(new or old).table_schema.name,
        kind=kind,
        sequence_number=f"{number:021d}",
        old=None if old is None else to_item(old),
        new=None if new is None else to_item(new),
    )


def transfer(platform: Platform, amount: int, source: str = "acc_a", **more: Any) -> Transfer:
    now = platform.clock()
    transfer_id, at = new_id("trf", now), to_timestamp(now)
    values: dict[str, Any] = {
        "id": transfer_id,
        "operation_id": transfer_id,
        "folded_accounts": ("acc_f",),
        "legs": (Leg(from_account_id=source, to_account_id="acc_f", amount=amount),),
        "amount": amount,
        "currency": "USD",
        "status": "processed",
        "posted_amount": amount,
        "processed_at": at,
        "created_at": at,
        "updated_at": at,
        **SETUP.stamp(),
        **more,
    }
    return Transfer(**values)


def account(platform: Platform, account_id: str = "acc_f", **more: Any) -> Account:
    at = to_timestamp(platform.clock())
    values: dict[str, Any] = {
        "id": account_id,
        "account_type": "wallet",
        "currency": "USD",
        "last_operation_id": new_id("chg", platform.clock()),
        "created_at": at,
        "updated_at": at,
        **SETUP.stamp(),
        **more,
    }
    return Account(**values)


def folded_sum(platform: Platform, account_id: str = "acc_f") -> int:
    """The account's balance, which must equal the sum of its entries, row by row."""
    rows = [
        row for row in platform.rows(Account) if row.account_id == account_id and row.shard != "00"
    ]
    entries = platform.rows(Entry)
    for row in rows:
        place = (row.account_id, row.shard)
        mine = [each for each in entries if (each.account_id, each.balance_shard) == place]
        assert row.balance == sum(entry.amount for entry in mine)
        assert {entry.fold_version for entry in mine} <= set(range(1, row.version + 1))
    return sum(row.balance for row in rows)


def shuffled(dice: random.Random, records: Sequence[StreamRecord]) -> list[list[StreamRecord]]:
    """Batches in which every record occurs once or more often, in any order."""
    several = [each for each in records for _ in range(dice.randint(1, 3))]
    dice.shuffle(several)
    batches = []
    while several:
        size = dice.randint(1, 40)
        batches.append(several[:size])
        several = several[size:]
    return batches


# ------------------------------------------------------------ hot accounts


def test_repeated_and_unordered_transfers_are_added_to_balances_once(
    either_world: Platform, dice: random.Random
) -> None:
    platform = either_world
    platform.store.transact(
        [put(account(platform, posting="folded"))], token=new_id("tst", platform.clock())
    )
    transfers = [transfer(platform, dice.randint(1, 99)) for _ in range(120)]
    records = [record(platform, n, None, each) for n, each in enumerate(transfers)]
    several = [projector(platform) for _ in range(4)]
    work = [
        lambda mine=mine, n=n: [mine.apply(each) for each in shuffled(random.Random(n), records)]
        for n, mine in enumerate(several)
    ]
    for outcome in at_once(*work):
        assert not isinstance(outcome, Exception), outcome
        assert set(outcome) == {frozenset()}
    assert folded_sum(platform) == sum(each.amount for each in transfers)
    assert len(platform.rows(Entry)) == len(transfers)


def test_a_projector_with_a_bad_connection_reports_and_later_finishes(
    platform: Platform, dice: random.Random
) -> None:
    platform.store.transact(
        [put(account(platform, posting="folded"))], token=new_id("tst", platform.clock())
    )
    transfers = [transfer(platform, 7) for _ in range(60)]
    left = [record(platform, n, None, each) for n, each in enumerate(transfers)]
    rounds = 0
    while left:
        faults = Faults(seeded(f"{dice.random()}", rate=0.6 if rounds < 5 else 0.0))
        store = platform.store_on(
            faults.attach(platform.engine.dynamodb()), remaining_seconds=lambda: 0.6
        )
        failed = projector(platform, store).apply(left)
        left = [each for each in left if each.sequence_number in failed]
        rounds += 1
    assert folded_sum(platform) == 7 * 60


def test_only_processed_transfers_are_added_and_a_partial_post_with_its_amount(
    platform: Platform,
) -> None:
    platform.store.transact(
        [put(account(platform, posting="folded"))], token=new_id("tst", platform.clock())
    )
    held = transfer(platform, 100, status="pending", posted_amount=None, processed_at=None)
    posted = held.model_copy(
        update={"status": "processed", "posted_amount": 30, "operation_id": "pst_1", "version": 2}
    )
    failed = transfer(platform, 5, status="failed")
    edited = posted.model_copy(update={"description": "edited by hand"})
    work = projector(platform)
    steps = [(None, held), (held, posted), (None, failed), (posted, edited), (edited, None)]
    records = [record(platform, n, old, new) for n, (old, new) in enumerate(steps)]
    assert work.apply(records) == frozenset()
    assert folded_sum(platform) == 30


def test_the_charts_accounts_are_opened_when_first_used(platform: Platform) -> None:
    captured = transfer(
        platform,
        1000,
        merchant_id="mer_1",
        legs=(
            Leg(
                from_account_id="acc_clearing_USD",
                to_account_id="acc_receivable_mer_1_USD",
                amount=1000,
            ),
            Leg(
                from_account_id="acc_receivable_mer_1_USD", to_account_id="acc_fees_USD", amount=59
            ),
        ),
        folded_accounts=("acc_clearing_USD", "acc_receivable_mer_1_USD", "acc_fees_USD"),
    )
    for _ in range(2):
        assert projector(platform).apply([record(platform, 1, None, captured)]) == frozenset()
    sums = {name: folded_sum(platform, name) for name in captured.folded_accounts}
    assert sums == {
        "acc_clearing_USD": -1000,
        "acc_receivable_mer_1_USD": 941,
        "acc_fees_USD": 59,
    }
    profiles = {row.id: row for row in platform.rows(Account) if row.shard == "00"}
    assert profiles["acc_receivable_mer_1_USD"].merchant_id == "mer_1"
    assert profiles["acc_fees_USD"].merchant_id == "platform"
    assert {row.version for row in profiles.values()} == {1}


# ------------------------------------------------------------ consolidating


def test_concurrent_consolidations_and_projections_preserve_the_balance(
    either_world: Platform,
) -> None:
    platform = either_world
    platform.store.transact(
        [put(account(platform, posting="folded"))], token=new_id("tst", platform.clock())
    )
    items = [
        ShardCredit(each.id, each.id, each.amount, each.created_at)
        for each in (transfer(platform, n) for n in range(1, 81))
    ]

    def fold(mine: list[ShardCredit]) -> None:
        shard_rows = ShardRepository(platform.store)
        for item in mine:
            shard_rows.credit(TARGET, [item], SETUP, platform.clock())

    def consolidate() -> int:
        shard_rows = ShardRepository(platform.store)
        return sum(
            shard_rows.consolidate("acc_f", lambda _: SETUP, platform.clock()) for _ in range(10)
        )

    outcomes = at_once(
        lambda: fold(items[:40]),
        lambda: fold(items[40:]),
        lambda: fold(items),
        consolidate,
        consolidate,
    )
    assert not [each for each in outcomes if isinstance(each, Exception)]
    left = folded_sum(platform)
    (row,) = [each for each in platform.rows(Account) if each.shard == "00"]
    assert row.balance == row.spendable
    assert row.balance + left == sum(item.amount for item in items)


@pytest.mark.parametrize(("posting", "shown"), [("folded", [70]), ("immediate", [-5, 70])])
def test_a_statement_omits_consolidations_but_not_transfers_with_a_similar_id(
    posting: str, shown: list[int], platform: Platform
) -> None:
    row = account(platform, posting=posting)
    moved, swept = transfer(platform, 70).id, new_id("swp", platform.clock())
    states = [row]
    for balance, cause in ((70, moved), (65, swept)):
        stamp = {"version": states[-1].version + 1, "cause": cause, "last_operation_id": cause}
        states.append(states[-1].model_copy(update={"balance": balance, **stamp}))
    writes = [put(entry_of(old, new)) for old, new in pairwise(states)]
    platform.store.transact([put(states[-1]), *writes], token=new_id("tst", platform.clock()))
    archive = AccountReads(
        AccountRepository(platform.store),
        ShardRepository(platform.store),
        EntryRepository(platform.store),
        CustomerRepository(platform.store),
        platform.profiles(),
        Cursors(lambda: b"k" * 32),
    )
    page = list_entries(row.id, EntryQuery(), platform.call(None, operator=True), archive)
    assert [entry.amount for entry in page.data] == shown


def test_the_chart_profile_is_stored_once_and_never_overwritten(platform: Platform) -> None:
    chart = chart_account("acc_fees_USD", "mer_1", "USD")
    assert isinstance(chart, ChartAccount)
    at_once(
        *[
            lambda: ShardRepository(platform.store).open(chart, SETUP, platform.clock())
            for _ in range(8)
        ]
    )
    (row,) = platform.rows(Account)
    changed = row.model_copy(update={"version": 2})
    platform.store.transact([change(row, changed)], token=new_id("tst", platform.clock()))
    ShardRepository(platform.store).open(chart, SETUP, platform.clock())
    assert platform.rows(Account) == [changed]


# ------------------------------------------------------------ entries


def test_each_version_of_an_account_has_one_entry_in_any_order(
    either_world: Platform, dice: random.Random
) -> None:
    platform = either_world
    rows = [account(platform, "acc_i")]
    for amount in (100, -30, 0, 5):
        last = rows[-1]
        rows.append(
            last.model_copy(
                update={
                    "balance": last.balance + amount,
                    "version": last.version + 1,
                    "cause": f"trf_{last.version}",
                    "last_operation_id": f"trf_{last.version}",
                }
            )
        )
    steps = [
        record(platform, n, old, new)
        for n, (old, new) in enumerate(zip([None, *rows], rows, strict=False))
    ]
    for batch in shuffled(dice, steps):
        assert projector(platform).apply(batch) == frozenset()
    entries = sorted(platform.rows(Entry), key=lambda entry: entry.sequence)
    assert [entry.amount for entry in entries] == [0, 100, -30, 0, 5]
    assert [entry.balance_after for entry in entries] == [0, 100, 70, 70, 75]
    assert [entry.sequence for entry in entries] == [f"{n:012d}" for n in range(1, 6)]
    assert [entry.transfer_id for entry in entries] == [None, "trf_1", "trf_2", "trf_3", "trf_4"]


def test_an_edited_entry_is_left_unchanged_and_logged(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    row = account(platform, "acc_i", balance=5)
    first = record(platform, 1, None, row)
    projector(platform).apply([first])
    (entry,) = platform.rows(Entry)
    edited = entry.model_copy(update={"amount": 6})
    platform.store.transact([put(edited)], token=new_id("tst", platform.clock()))
    assert projector(platform).apply([first]) == frozenset()
    assert platform.rows(Entry) == [edited]
    assert "entry_conflict" in caplog.messages


def test_an_out_of_band_change_makes_no_entry_and_is_logged(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    row = account(platform, "acc_i")
    edited = row.model_copy(update={"balance": 1_000_000})
    records = [record(platform, 1, row, edited), record(platform, 2, edited, None)]
    assert projector(platform).apply(records) == frozenset()
    assert platform.rows(Entry) == []
    assert caplog.messages.count("out_of_band") == 2


def test_an_attribute_added_by_hand_hides_no_change(platform: Platform) -> None:
    made = account(platform)
    after = made.model_copy(update={"balance": 5, "version": 2})
    edited = record(platform, 1, made, after)
    assert edited.new is not None
    planted = replace(edited, new={**edited.new, "guards": {"S": "acc_other"}})
    seen: list[StreamRecord] = []

    def see(records: Sequence[StreamRecord]) -> frozenset[str]:
        seen.extend(records)
        return frozenset()

    numbered = made.model_copy(update={"account_number": "07"})
    guard = record(platform, 2, None, AccountNumberGuard.of(numbered))
    whole = replace(projector(platform), images=(see,))
    assert whole.apply([planted, guard]) == frozenset()
    assert seen == [planted], "the row that reserves a number is not an account"
    assert [entry.sequence for entry in platform.rows(Entry)] == ["000000000002"]


def test_an_unreadable_record_is_parked_with_its_payload_and_the_others_are_processed(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    good = record(platform, 1, None, account(platform, "acc_i"))
    raw = {"dynamodb": {"SequenceNumber": f"{2:021d}"}}
    image = {"id": {"S": "acc_broken"}}
    bad = StreamRecord("accounts", Kind.INSERT, f"{2:021d}", None, image, raw)
    parking = ParkingLot()
    assert projector(platform, parking=parking).apply([bad, good]) == frozenset()
    assert list(parking.parked) == [("accounts", bad.sequence_number)]
    assert parking.raw == [raw]
    assert "record_parked" in caplog.messages
    assert len(platform.rows(Entry)) == 1


def test_an_unreadable_record_that_cannot_be_parked_is_retried(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no bucket")

    parking = ParkingLot()
    monkeypatch.setattr(parking, "park", broken)
    bad = StreamRecord("accounts", Kind.INSERT, "2", None, {"id": {"S": "acc_broken"}})
    assert projector(platform, parking=parking).apply([bad]) == {"2"}


def test_a_stream_without_a_model_is_a_deployment_error(platform: Platform) -> None:
    with pytest.raises(KeyError):
        projector(platform).apply([StreamRecord("entries", Kind.INSERT, "1", None, {})])


# ------------------------------------------------------------ reading


def test_rows_of_every_stream_are_read_by_its_view(platform: Platform) -> None:
    merchant = platform.merchant()
    customer_id = platform.customer(merchant)
    seen: list[Change] = []

    def remember(changes: Sequence[Change]) -> frozenset[str]:
        seen.extend(changes)
        return frozenset()

    parking = ParkingLot()
    tables = {"customers": (remember,), "merchants": (remember,)}
    reading = Projector(platform.store.codec, tables, is_number_guard, parking)
    for table in tables:
        (item,) = platform.client.scan(TableName=platform.tables[table])["Items"]
        given = StreamRecord(table, Kind.INSERT, f"{table}-1", None, item)
        assert reading.apply([given]) == frozenset()
    assert parking.parked == {}
    assert [change.new.id for change in seen] == [customer_id, merchant.id]
    assert [type(change.new) for change in seen] == [CustomerState, MerchantProfile]


def test_a_transfer_to_an_unknown_account_is_parked_and_the_others_are_added(
    platform: Platform,
) -> None:
    platform.put(account(platform, "acc_f", posting="folded"))
    good, bad = transfer(platform, 5), transfer(platform, 7)
    legs = (Leg(from_account_id="acc_a", to_account_id="acc_gone", amount=7),)
    bad = bad.model_copy(update={"folded_accounts": ("acc_gone",), "legs": legs})
    parking = ParkingLot()
    records = [record(platform, 1, None, bad), record(platform, 2, None, good)]
    assert projector(platform, parking=parking).apply(records) == frozenset()
    assert list(parking.parked) == [("transfers", f"{1:021d}")]
    assert "acc_gone" in parking.parked["transfers", f"{1:021d}"]
    assert folded_sum(platform) == 5


def test_an_error_in_our_own_reading_code_parks_nothing_and_is_retried(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise AttributeError("a bug")

    monkeypatch.setattr(platform.store.codec, "to_row", broken)
    parking = ParkingLot()
    one = record(platform, 1, None, account(platform, "acc_i"))
    assert projector(platform, parking=parking).apply([one]) == {one.sequence_number}
    assert parking.parked == {}
