"""Every expression that the repositories build, run on AWS's own engine and on the others."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from runtime.core.errors import (
    Unavailable,
)
from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import (
    Key,
    Update,
    above,
    absent,
    any_of,
    at_least,
    at_most,
    below,
    between,
    change,
    check,
    equals,
    one_of,
    put,
    shorter,
    update,
)
from runtime.encryption.models import DataKey
from runtime.ledger.accounts.models import Account
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.rate_limits.models import CustomerMinute, LimitCounter
from runtime.payments.repository import PaymentRepository
from runtime.reporting.totals.models import MARK_ITEM, Total
from runtime.reporting.totals.repository import TotalsRepository
from runtime.tables import ALL_TABLES
from tests.support.engines.choice import EVERY, engine_named
from tests.support.engines.engine import Engine
from tests.support.engines.faults import Fault, Faults, ItemLocks, first_tries
from tests.support.expressions import ROW, fresh
from tests.support.platform import SETUP, Platform


@pytest.fixture
def platform(dynamodb_local_engine: Engine) -> Iterator[Platform]:
    """On AWS's own engine, whatever ENGINE says."""
    platform = Platform(dynamodb_local_engine)
    yield platform
    platform.drop()


@pytest.fixture(params=EVERY)
def either_world(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """On every engine, whatever ENGINE says."""
    platform = Platform(engine_named(request.param, request))
    yield platform
    platform.drop()


def test_every_table_is_accepted_as_declared(either_world: Platform) -> None:
    for schema in ALL_TABLES:
        name = either_world.tables[schema.name]
        reported = either_world.client.describe_table(TableName=name)["Table"]
        assert reported["KeySchema"][0]["AttributeName"] == schema.partition_key.name
        indexes = {index["IndexName"] for index in reported.get("GlobalSecondaryIndexes", [])}
        assert indexes == {index.name for index in schema.indexes}


# ------------------------------------------------------------ each condition, both ways


KEY = {"subject": "s", "key_id": "k"}


@pytest.mark.parametrize(
    ("holds", "fails"),
    [
        (absent("no_such"), absent("wrapped")),
        (equals("wrapped", "m"), equals("wrapped", "n")),
        (below("wrapped", "n"), below("wrapped", "m")),
        (at_most("wrapped", "m"), at_most("wrapped", "l")),
        (at_least("wrapped", "m"), at_least("wrapped", "n")),
        (above("wrapped", "l"), above("wrapped", "m")),
        (
            any_of(absent("no_such"), equals("wrapped", "n")),
            any_of(absent("wrapped"), equals("wrapped", "n")),
        ),
        (between("wrapped", "m", "n"), between("wrapped", "n", "o")),
        (one_of("wrapped", ("x", "m")), one_of("wrapped", ("x", "y"))),
        (one_of("wrapped", ("m",)), one_of("wrapped", ("x",))),
    ],
    ids=[
        "absent",
        "equals",
        "below",
        "at_most",
        "at_least",
        "above",
        "any_of",
        "between",
        "one_of",
        "one_of_one",
    ],
)
def test_each_condition_holds_and_fails_as_its_name_says(
    either_world: Platform, holds: Any, fails: Any
) -> None:
    store = either_world.store
    store.transact([put(ROW)], token=fresh())
    later = ROW.model_copy(update={"created_at": "2027-01-01T00:00:00.000Z"})
    for write in (
        lambda c: put(ROW).when(c),
        lambda c: check(DataKey, KEY, c),
        lambda c: change(ROW, later).when(c),
        lambda c: Update(DataKey.table_schema, KEY, {"extra": 1}, ("no_such",)).when(c),
    ):
        store.transact([write(holds)], token=fresh())
        with pytest.raises(TransactionRefused) as refused:
            store.transact([write(fails)], token=fresh())
        (item,) = refused.value.failed.values()
        assert item["wrapped"] == {"S": "m"}, "the refusal contains the stored item"


def test_one_update_adds_subtracts_assigns_and_removes(either_world: Platform) -> None:
    platform, key = either_world, {"id": "acc_x", "shard": "00"}
    account = Account(
        id="acc_x",
        account_type="wallet",
        currency="USD",
        balance=100,
        spendable=100,
        locked_until="2026-01-01T00:00:00.000Z",
        created_at="2026-01-01T00:00:00.000Z",
        updated_at="2026-01-01T00:00:00.000Z",
        **SETUP.stamp(),
    )
    platform.store.transact([put(account)], token=fresh())
    changed = (
        update(Account, key)
        .add(balance=-30, held_out=5, held_in=0, version=1)
        .assign(last_operation_id="trf_x", cause="trf_x")
        .when(at_least("spendable", 30), equals("version", 1))
    )
    everything = replace(changed, removed=("locked_until",))
    platform.store.transact([everything], token=fresh())
    with pytest.raises(TransactionRefused):
        platform.store.transact([everything], token=fresh())
    (row,) = platform.rows(Account)
    assert (row.balance, row.held_out, row.held_in, row.version) == (70, 5, 0, 2)
    assert (row.cause, row.locked_until) == ("trf_x", None)


def test_members_are_added_once_to_a_set_and_its_row_until_it_is_full(
    either_world: Platform,
) -> None:
    platform, key = either_world, {"id": "velocity#cus_1"}
    room = any_of(absent("payments"), shorter("payments", 3))

    def join(*members: str) -> bool:
        step = update(LimitCounter, key).assign(expires_at=7).include(payments=frozenset(members))
        return platform.store.update_alone(step.when(room)) is None

    assert join("b", "a")
    assert join("a")
    assert join("c", "d"), "the condition checks only that there is room for one"
    assert not join("e")
    (row,) = platform.store.get_many(LimitCounter, [key], CustomerMinute, UNRESTRICTED)
    assert row == CustomerMinute(id=key["id"], payments=frozenset("abcd"), expires_at=7)
    with pytest.raises(AssertionError, match="no members"):
        update(LimitCounter, key).include(payments=frozenset())


def test_a_refusal_identifies_exactly_the_refused_writes(either_world: Platform) -> None:
    store = either_world.store
    rows = [ROW.model_copy(update={"key_id": f"k{n}"}) for n in range(5)]
    store.transact([put(rows[1]), put(rows[3])], token=fresh())
    with pytest.raises(TransactionRefused) as refused:
        store.transact([put(row).when(absent("subject")) for row in rows], token=fresh())
    assert set(refused.value.failed) == {1, 3}
    assert len(either_world.rows(DataKey)) == 2, "all or nothing"


def test_a_hundred_writes_are_one_transaction(either_world: Platform) -> None:
    rows = [ROW.model_copy(update={"key_id": f"k{n:03}"}) for n in range(100)]
    either_world.store.transact([put(row).when(absent("subject")) for row in rows], token=fresh())
    assert len(either_world.rows(DataKey)) == 100
    keys = [{"subject": "s", "key_id": row.key_id} for row in reversed(rows)]
    read = either_world.store.get_many(DataKey, keys, DataKey, UNRESTRICTED)
    assert [row.key_id for row in read] == [row.key_id for row in reversed(rows)]


def test_a_batch_omits_missing_items_and_keeps_the_requested_order(
    either_world: Platform,
) -> None:
    store = either_world.store
    for n in (1, 3):
        store.transact([put(ROW.model_copy(update={"key_id": f"k{n}"}))], token=fresh())
    keys = [{"subject": "s", "key_id": f"k{n}"} for n in (3, 2, 1, 0)]
    assert [row.key_id for row in store.get_many(DataKey, keys, DataKey, UNRESTRICTED)] == [
        "k3",
        "k1",
    ]


def test_a_token_makes_a_repeated_transaction_take_effect_once(either_world: Platform) -> None:
    same_token, write = fresh(), put(ROW).when(absent("subject"))
    either_world.store.transact([write], token=same_token)
    either_world.store.transact([write], token=same_token)
    with pytest.raises(TransactionRefused):
        either_world.store.transact([write], token=fresh())


def test_reusing_a_token_for_another_transaction_is_an_error(platform: Platform) -> None:
    same_token = fresh()
    platform.store.transact([put(ROW)], token=same_token)
    other = ROW.model_copy(update={"key_id": "other"})
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        platform.store.transact([put(other)], token=same_token)


@pytest.mark.parametrize(
    "fault", [Fault.THROTTLED, Fault.INTERNAL, Fault.UNREACHED, Fault.ANSWER_LOST]
)
def test_reads_of_every_kind_survive_transient_faults(platform: Platform, fault: Fault) -> None:
    merchant = platform.merchant()
    for _ in range(5):
        platform.pay(merchant)
    faults = Faults(first_tries(fault, 2))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    payments = PaymentRepository(store)
    ids = [row.id for row in platform.payments()]
    assert [row.id for row in payments.get_many(ids, UNRESTRICTED)] == ids
    assert [row.id for row in payments.get_many([*ids, ids[0]], UNRESTRICTED)] == ids
    assert payments.get(ids[0], UNRESTRICTED) is not None
    start, end = platform.clock() - timedelta(days=1), platform.clock()
    figures = list(PaymentLists(store).figures([f"{merchant.id}#000"], start, end, 2))
    assert len(figures) == 5
    assert TotalsRepository(store).mark(merchant.id) == 0
    assert {operation for operation, _, _ in faults.injected} == {
        "GetItem",
        "BatchGetItem",
        "Query",
        "TransactGetItems",
    }


def test_a_settled_read_waits_for_a_concurrent_commit(either_world: Platform) -> None:
    """It then returns what the commit has written."""
    platform = either_world
    mark: Key = {"id": "mer_1", "item": MARK_ITEM}
    platform.store.transact([update(Total, mark).count(version=1)], token=uuid.uuid4().hex)
    slept = [0.0]
    locks = ItemLocks(platform.key_names, hold_seconds=0.3, clock=lambda: sum(slept))
    writer = platform.store_on(locks.attach(platform.engine.dynamodb()))
    reader = platform.store_on(locks.attach(platform.engine.dynamodb()), sleep=slept.append)
    writer.transact([update(Total, mark).count(version=1)], token=uuid.uuid4().hex)
    assert TotalsRepository(reader).mark("mer_1") == 2
    assert reader.usage.counts()["retries"] > 0
    assert TotalsRepository(reader).mark("mer_2") == 0


def test_a_read_that_never_succeeds_raises_unavailable(platform: Platform) -> None:
    faults = Faults(lambda *_: Fault.THROTTLED)
    store = platform.store_on(
        faults.attach(platform.engine.dynamodb()), remaining_seconds=lambda: 0.3
    )
    with pytest.raises(Unavailable):
        PaymentRepository(store).get("pay_1", UNRESTRICTED)
