"""Records that DynamoDB refuses as invalid when projected are parked, and all others projected."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

import pytest

from runtime.alerts.models import Alert
from runtime.alerts.repository import AlertRepository
from runtime.audit.models import AuditRow
from runtime.compliance.projection import RuleProjection, VelocityProjection
from runtime.compliance.repository import VelocityRepository
from runtime.compliance.rules import large_payment
from runtime.core.change_context import PARKED
from runtime.core.timestamps import to_timestamp
from runtime.functions.composition.projector import Projector
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.models import Entry
from runtime.ledger.entries.projection import EntriesProjection
from runtime.ledger.hot_accounts.projection import ShardProjection
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.payments.models import Payment
from runtime.payments.rate_limits.models import CustomerMinute
from runtime.reporting.totals.models import COUNTED_ITEM, Total
from runtime.reporting.totals.projection import TotalsProjection
from runtime.reporting.totals.repository import TotalsRepository
from runtime.streams.dead_letters import PARKED_PREFIX
from runtime.streams.records import StreamRecord
from tests.support.audit.rows import account, audit_projection, next_version, reported
from tests.support.engines.engine import Engine
from tests.support.engines.streams import SourceSettings, StreamPoller
from tests.support.fakes import ParkingLot
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform
from tests.support.stages.running_stage import Stage, running_stage

TOO_LONG_FOR_A_KEY = "x" * 2_100
"""DynamoDB limits a partition key to 2,048 bytes (Developer Guide, "Constraints")."""
DONE: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def stage(ministack_engine: Engine, engine: Engine) -> Iterator[Stage]:
    """Not on the emulator's tables: they accept keys of any length."""
    with running_stage(ministack_engine, engine) as running:
        yield running


def projector(platform: Platform, parking: ParkingLot) -> Projector:
    store, alerts = platform.store, AlertRepository(platform.store)
    threads = platform.outside.threads
    folding = ShardProjection(
        ShardRepository(store),
        AccountRepository(store),
        platform.outside,
        lambda: "invocation",
        parking,
    )
    return Projector(
        store.codec,
        {
            "accounts": (EntriesProjection(store),),
            "payments": (
                TotalsProjection(TotalsRepository(store), platform.outside),
                RuleProjection(partial(large_payment, threshold_minor=1_000), alerts, threads),
                VelocityProjection(VelocityRepository(store), alerts, 50, threads),
            ),
            "transfers": (folding,),
        },
        lambda _: False,
        parking,
        images=(audit_projection(platform, parking=parking),),
    )


def among(poison: StreamRecord, good: Sequence[StreamRecord]) -> list[StreamRecord]:
    middle = len(good) // 2
    return [*good[:middle], poison, *good[middle:]]


def must_park_only(platform: Platform, poison: StreamRecord, good: Sequence[StreamRecord]) -> None:
    """Also when all of them are delivered again, as after a crash."""
    parking = ParkingLot()
    for _ in range(2):
        assert projector(platform, parking).apply(among(poison, good)) == DONE
    assert list(parking.parked) == [(poison.table, poison.sequence_number)]
    assert all(raw == poison.raw for raw in parking.raw)


def audited(platform: Platform) -> set[str]:
    return {row.entity_id for row in platform.rows(AuditRow)}


def payment(platform: Platform, number: int, **more: Any) -> Payment:
    now = platform.clock()
    values: dict[str, Any] = {
        "id": new_id("pay", now),
        "status": "succeeded",
        "amount": 2_000 + number,
        "currency": "USD",
        "payment_method": "tok_approved",
        "processor": "sandbox",
        "customer_id": "cus_1",
        "merchant_id": "mer_1",
        "merchant_bucket": "mer_1#0",
        "created_at": to_timestamp(now),
        "updated_at": to_timestamp(now),
        **SETUP.stamp(),
        **more,
    }
    return Payment(**values)


def transfer(platform: Platform, amount: int, **more: Any) -> Transfer:
    now = platform.clock()
    transfer_id, at = new_id("trf", now), to_timestamp(now)
    values: dict[str, Any] = {
        "id": transfer_id,
        "operation_id": transfer_id,
        "folded_accounts": ("acc_f",),
        "legs": (Leg(from_account_id="acc_a", to_account_id="acc_f", amount=amount),),
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


def test_a_name_too_long_for_the_audit_logs_index_does_not_block_others(
    platform: Platform,
) -> None:
    good = [account(platform) for _ in range(9)]
    poison = account(platform, changed_by=TOO_LONG_FOR_A_KEY)
    must_park_only(
        platform, reported(platform, None, poison), [reported(platform, None, row) for row in good]
    )
    assert audited(platform) == {row.id for row in good}
    assert {entry.account_id for entry in platform.rows(Entry)} == {
        poison.id,
        *(r.id for r in good),
    }


def test_an_audit_row_that_is_too_large_does_not_block_others(platform: Platform) -> None:
    """An item has at most 400 KB, and an audit row contains two versions of the values.

    Random text, because the values are compressed.
    """
    good = [account(platform) for _ in range(5)]
    before = account(platform)
    records = [reported(platform, None, row) for row in (*good, before)]
    after = reported(platform, before, next_version(before))
    large = {"old": dict(after.old or {}), "new": dict(after.new or {})}
    for name, image in large.items():
        image["note"] = {"S": "".join(Random(name).choices(string.printable, k=380_000))}
    poison = StreamRecord(
        after.table, after.kind, after.sequence_number, large["old"], large["new"], after.raw
    )
    parking = ParkingLot()
    assert projector(platform, parking).apply([*records, poison]) == DONE
    assert list(parking.parked) == [("accounts", poison.sequence_number)]
    assert audited(platform) == {row.id for row in (*good, before)}


def test_an_entry_with_too_long_a_key_does_not_block_others(platform: Platform) -> None:
    good = [account(platform) for _ in range(9)]
    poison = account(platform, id="acc_" + "x" * 2_042)
    must_park_only(
        platform, reported(platform, None, poison), [reported(platform, None, row) for row in good]
    )
    assert {entry.account_id for entry in platform.rows(Entry)} == {row.id for row in good}


@pytest.mark.parametrize(
    "flaw",
    [
        {"operation_id": "trf_" + "x" * 1_100},
        {
            "folded_accounts": (TOO_LONG_FOR_A_KEY,),
            "legs": (Leg(from_account_id="acc_a", to_account_id=TOO_LONG_FOR_A_KEY, amount=7),),
        },
    ],
    ids=["sequence", "account"],
)
def test_a_transfer_that_cannot_be_added_to_balances_does_not_block_its_shard(
    flaw: dict[str, Any], platform: Platform
) -> None:
    platform.put(account(platform, id="acc_f", posting="folded"))
    good = [transfer(platform, n) for n in range(1, 41)]
    poison = transfer(platform, 7, **flaw)
    must_park_only(
        platform, reported(platform, None, poison), [reported(platform, None, row) for row in good]
    )
    rows = [
        row for row in platform.rows(Account) if row.account_id == "acc_f" and row.shard != "00"
    ]
    assert sum(row.balance for row in rows) == sum(row.amount for row in good)
    assert {entry.transfer_id for entry in platform.rows(Entry)} == {row.id for row in good}


@pytest.mark.parametrize(
    "flaw",
    [
        {"merchant_id": TOO_LONG_FOR_A_KEY, "merchant_bucket": TOO_LONG_FOR_A_KEY},
        {"customer_id": TOO_LONG_FOR_A_KEY},
    ],
    ids=["merchant", "customer"],
)
def test_a_payment_that_cannot_be_counted_does_not_block_others(
    flaw: dict[str, Any], platform: Platform
) -> None:
    good = [payment(platform, n) for n in range(9)]
    poison = payment(platform, 9, **flaw)
    must_park_only(
        platform, reported(platform, None, poison), [reported(platform, None, row) for row in good]
    )
    counted = {row.id for row in platform.rows(Total) if row.item == COUNTED_ITEM}
    assert counted >= {row.id for row in good}
    assert {alert.entity_id for alert in platform.rows(Alert)} >= {row.id for row in good}
    (minute,) = [row for row in platform.rows(CustomerMinute) if "cus_1" in row.id]
    assert {row.id for row in good} <= minute.payments


def test_the_stage_parks_a_poison_record_in_its_bucket_and_its_stream_continues(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    shop = stage.shop()
    body = {"account_type": "wallet", "currency": "USD", "merchant_id": shop["id"]}

    def opened() -> str:
        return str(stage.api("POST", "/v1/accounts", body).body["id"])

    good, table = [opened()], stage.tables["accounts"]
    (item,) = (
        each
        for each in stage.dynamodb.scan(TableName=table)["Items"]
        if each["id"] == {"S": good[0]} and each["shard"] == {"S": "00"}
    )
    poison = {**item, "id": {"S": "acc_poison"}, "changed_by": {"S": TOO_LONG_FOR_A_KEY}}
    stage.dynamodb.put_item(TableName=table, Item=poison)
    good += [opened(), opened()]
    poller = StreamPoller(
        stage.aws_tables,
        [table],
        stage.api.modules["project"].handler,
        settings=SourceSettings(max_retries=1),
    )
    poller.drain()
    assert (poller.errors, poller.sink) == ([], []), "no record was retried until it was dropped"
    listed = stage.aws.client("s3").list_objects_v2(Bucket=stage.bucket, Prefix=PARKED_PREFIX)
    (parked,) = listed["Contents"]
    assert parked["Key"].startswith(f"{PARKED_PREFIX}accounts/")
    assert caplog.messages.count(PARKED) == 1
    for account_id in good:
        rows = stage.api("GET", "/v1/audit", query=f"entity_id={account_id}").body["data"]
        assert [row["action"] for row in rows] == ["account_opened"]
    entries = stage.dynamodb.scan(TableName=stage.tables["entries"])["Items"]
    derived = {entry["account_id"]["S"] for entry in entries}
    assert derived >= {"acc_poison", *good}, "what can be derived from it was derived"
