"""Every expression of the repositories, and creations with and without a key, on every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from runtime.core.errors import (
    AlreadyClaimed,
    AlreadyExists,
    IdempotencyInFlight,
    NotFound,
    StaleWrite,
)
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.customers.api import CustomerRequest
from runtime.customers.customers import CustomerDependencies, create_customer
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.index_shards import all_buckets, unsettled_buckets
from runtime.encryption.key_ring import FIRST_KEY_ID, KeyRing
from runtime.encryption.models import DataKey
from runtime.encryption.repository import DataKeyRepository
from runtime.idempotency import repository as claims
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.idempotency.repository import ClaimRepository
from runtime.ledger.accounts.accounts import AccountDependencies, create_account
from runtime.ledger.accounts.api import AccountRequest
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.merchants.api import MerchantRequest
from runtime.merchants.merchants import create_merchant
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.payments.repository import PaymentRepository
from runtime.payments.resolution.open_queue import OpenQueue
from runtime.payments.transaction_models import Transaction
from tests.support.engines.choice import EVERY, engine_named
from tests.support.engines.engine import Engine
from tests.support.expressions import ROW, fresh
from tests.support.platform import Platform, at_once


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


# ------------------------------------------------------------ expressions of each repository


def claim(platform: Platform, **changes: Any) -> IdempotencyRecord:
    values: dict[str, Any] = {
        "key": "m#POST#/v1/payments#k",
        "merchant_bucket": "m#000",
        "created_at": to_timestamp(platform.clock()),
        "merchant_id": "m",
        "key_subject": "m",
        "request_id": "r",
        "fingerprint": "f",
        "owner": "one",
        **changes,
    }
    return IdempotencyRecord.model_validate(values)


def test_a_claim_is_taken_completed_kept_and_taken_again(either_world: Platform) -> None:
    platform, store = either_world, either_world.store
    now = platform.clock()
    one, two = claim(platform), claim(platform, owner="two")
    done = one.model_copy(
        update={
            "state": ClaimState.COMPLETED,
            "status_code": 201,
            "response_body": "{}",
            "expires_at": int(now.timestamp()) + 100,
        }
    )

    def refused(write: Any) -> bool:
        try:
            store.transact([write], token=fresh())
        except TransactionRefused:
            return True
        return False

    assert not refused(claims.take(one, now))
    assert refused(claims.take(two, now)), "in progress"
    assert refused(claims.take(two, now + timedelta(days=9))), "an unfinished claim never expires"
    assert refused(claims.complete(done.model_copy(update={"owner": "two"}))), "not its own"
    assert not refused(claims.complete(done))
    assert refused(claims.complete(done)), "completed once"
    assert ClaimRepository(store).read(one.key) == done
    assert refused(claims.take(two, now + timedelta(seconds=99))), "not yet expired"
    assert refused(claims.take(two, now + timedelta(seconds=100))), "not expired in its last second"
    assert not refused(claims.take(two, now + timedelta(seconds=102)))
    assert ClaimRepository(store).read("unknown") is None


def test_a_payments_step_is_conditional_on_version_status_and_lease(either_world: Platform) -> None:
    platform = either_world
    merchant = platform.merchant()
    platform.pay(merchant, payment_method="tok_timeout")
    payments = PaymentRepository(platform.store)
    unknown = platform.payment()
    assert unknown.status is PaymentStatus.UNKNOWN
    leased = unknown.model_copy(
        update={"version": 3, "lease_owner": "me", "lease_expires_at": unknown.updated_at}
    )
    payments.advance(unknown, leased, token=fresh())
    with pytest.raises(StaleWrite):
        payments.advance(unknown, leased, token=fresh())
    thief = leased.model_copy(update={"lease_owner": "thief"})
    with pytest.raises(StaleWrite):
        payments.advance(
            thief, thief.model_copy(update={"version": 4, "description": "x"}), token=fresh()
        )
    canceled = leased.model_copy(update={"version": 4, "status": PaymentStatus.CANCELED})
    with pytest.raises(StaleWrite):
        payments.advance(leased, canceled, token=fresh())
    failed = leased.model_copy(
        update={"version": 4, "status": PaymentStatus.FAILED, "lease_owner": None}
    )
    payments.advance(leased, failed, token=fresh())
    assert platform.payment() == failed


def test_an_intent_never_overwrites_a_payment_of_the_same_id(platform: Platform) -> None:
    platform.pay(platform.merchant())
    before = platform.payment()
    twin = before.model_copy(update={"amount": before.amount + 1})
    with pytest.raises(StaleWrite, match="exists"):
        PaymentRepository(platform.store).begin(twin, claim(platform), platform.clock())
    assert platform.payment() == before
    assert len(platform.claims()) == 1


def test_due_payments_are_listed_by_time_while_open(either_world: Platform) -> None:
    platform = either_world
    merchant = platform.merchant()
    for token in ("tok_timeout", "tok_approved", "tok_timeout", "tok_declined"):
        platform.pay(merchant, payment_method=token)
    open_ids = [row.id for row in platform.payments() if row.open_bucket is not None]
    queue = OpenQueue(platform.store)
    assert queue.due(Payment, platform.clock()) == open_ids
    assert len(open_ids) == 2
    assert queue.due(Payment, platform.clock() - timedelta(hours=1)) == []
    assert queue.owners(Payment, [*open_ids, "pay_unknown"]) == dict.fromkeys(open_ids, merchant.id)


def test_a_repeated_creation_returns_the_first_row(either_world: Platform) -> None:
    platform = either_world
    keys = DataKeyRepository(platform.store)
    assert keys.get("s", "k") is None
    assert keys.create(ROW, token=fresh()) == ROW
    assert keys.create(ROW.model_copy(update={"wrapped": "other"}), token=fresh()) == ROW
    assert keys.get("s", "k") == ROW
    charges = SandboxChargeRepository(platform.store)
    charge = SandboxCharge(
        reference="pay_1",
        state="approved",
        processor_id="p",
        amount=5,
        currency="USD",
        response_code="approved",
        response_text="Approved",
        created_at="2026-01-01T00:00:00.000Z",
        expires_at=1,
    )
    assert charges.recall("pay_1") is None
    assert charges.remember(charge, token=fresh()) == charge
    assert charges.remember(charge.model_copy(update={"amount": 6}), token=fresh()) == charge
    assert charges.recall("pay_1") == charge


def test_projections_read_only_the_attributes_that_they_need(either_world: Platform) -> None:
    platform = either_world
    merchant = platform.merchant(features=frozenset({"a", "b"}))
    customer = platform.customer(merchant)
    opened = platform.kms.decrypted
    profile = MerchantRepository(platform.store).profile(merchant.id, UNRESTRICTED)
    owner = CustomerRepository(platform.store).owner(customer, UNRESTRICTED)
    assert profile is not None
    assert owner is not None
    assert (profile.features, owner.merchant_id) == ({"a", "b"}, merchant.id)
    assert platform.kms.decrypted == opened
    assert MerchantRepository(platform.store).profile("mer_unknown", UNRESTRICTED) is None
    assert CustomerRepository(platform.store).owner("cus_unknown", UNRESTRICTED) is None


# ------------------------------------------------------------ creations, with and without a key


Create = Callable[[Platform, Any, str | None], Any]


def _merchant(platform: Platform, _: Any, key: str | None) -> Any:
    body = {"name": "Shop", "email": "shop@example.com"}
    deps = platform.merchant_dependencies()
    call = platform.call(None, body, key, path="/v1/merchants", operator=True)
    return create_merchant(MerchantRequest.model_validate(body), call, deps)


def _profiles(platform: Platform) -> MerchantProfiles:
    return platform.profiles()


def _customer(platform: Platform, merchant: Any, key: str | None) -> Any:
    body = {"name": "Jane", "email": "jane@example.com"}
    deps = CustomerDependencies(
        CustomerRepository(platform.store),
        _profiles(platform),
        platform.encryption,
        ClaimRepository(platform.store),
    )
    call = platform.call(merchant, body, key, path="/v1/customers")
    return create_customer(CustomerRequest.model_validate(body), call, deps)


def _account(platform: Platform, merchant: Any, key: str | None, **more: Any) -> Any:
    body = {"account_type": "wallet", "currency": "USD", **more}
    deps = AccountDependencies(
        AccountRepository(platform.store),
        ShardRepository(platform.store),
        _profiles(platform),
        ClaimRepository(platform.store),
    )
    call = platform.call(merchant, body, key, path="/v1/accounts")
    return create_account(AccountRequest.model_validate_json(_json(body)), call, deps)


def _json(body: Any) -> str:
    import json  # noqa: PLC0415

    return json.dumps(body)


@pytest.mark.parametrize("create", [_merchant, _customer, _account])
@pytest.mark.parametrize("times", [8])
def test_many_concurrent_copies_of_one_creation_create_one_row(
    platform: Platform, create: Create, times: int
) -> None:
    merchant = platform.merchant()
    before = {name: _count(platform, name) for name in ("merchants", "customers", "accounts")}
    results = at_once(*[lambda: create(platform, merchant, "k")] * times)
    bodies = {each.body for each in results if not isinstance(each, Exception)}
    assert {type(each) for each in results if isinstance(each, Exception)} <= {IdempotencyInFlight}
    assert len(bodies) == 1
    after = {name: _count(platform, name) for name in before}
    assert sum(after.values()) - sum(before.values()) == 1
    again = create(platform, merchant, "k")
    assert (again.body, again.replayed) == (bodies.pop(), True)


@pytest.mark.parametrize("create", [_merchant, _customer, _account])
def test_a_creation_without_a_key_creates_each_time(platform: Platform, create: Create) -> None:
    merchant = platform.merchant()
    one, other = create(platform, merchant, None), create(platform, merchant, None)
    assert one.body != other.body
    assert one.replayed is other.replayed is False


def test_an_account_number_is_assigned_to_one_of_many_concurrent_requests(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    results = at_once(*[lambda: _account(platform, merchant, None, account_number="A-1234")] * 8)
    refused = [each for each in results if isinstance(each, Exception)]
    assert len(refused) == 7
    assert {type(each) for each in refused} == {AlreadyExists}
    accounts = platform.client.scan(TableName=platform.tables["accounts"])["Items"]
    assert sorted("guards" in item for item in accounts) == [False, True]


def test_an_account_for_a_foreign_customer_is_not_found_and_reserves_nothing(
    platform: Platform,
) -> None:
    merchant, other = platform.merchant(), platform.merchant()
    foreign = platform.customer(other)
    with pytest.raises(NotFound) as refused:
        _account(platform, merchant, "k", account_number="A-1234", customer_id=foreign)
    assert refused.value.param == "customer_id"
    own = platform.customer(merchant)
    made = _account(platform, merchant, "k", account_number="A-1234", customer_id=own)
    assert made.status == 201


def test_two_concurrent_creations_of_a_data_key_end_with_one(platform: Platform) -> None:
    key_rings = [
        KeyRing(
            platform.kms, DataKeyRepository(platform.store), {"pii": "arn:pii"}, platform.outside
        )  # type: ignore[arg-type]
        for _ in range(16)
    ]
    keys = at_once(*[lambda r=each: r.key_for_writing("pii", "cus_1") for each in key_rings])
    assert len(set(keys)) == 1  # type: ignore[arg-type]
    stored = [row for row in platform.rows(DataKey) if row.subject == "pii#cus_1"]
    assert [row.key_id for row in stored] == [FIRST_KEY_ID]


def test_a_taken_claim_takes_precedence_over_every_other_refusal(platform: Platform) -> None:
    merchant = platform.merchant()
    now = platform.clock()
    repository = AccountRepository(platform.store)
    _account(platform, merchant, "k", account_number="A-1234")
    (taken,) = platform.claims()
    account = platform.store.get_many(Account, [], Account, UNRESTRICTED)
    assert account == []
    (row,) = [each for each in _accounts(platform) if each.account_number]
    with pytest.raises(AlreadyClaimed):
        repository.create(row, None, taken, token=fresh(), now=now)


def _accounts(platform: Platform) -> list[Account]:
    items = platform.client.scan(TableName=platform.tables["accounts"])["Items"]
    schema = Account.table_schema
    return [platform.store.codec.to_row(schema, i, Account) for i in items if "guards" not in i]


def _count(platform: Platform, table: str) -> int:
    return len(platform.client.scan(TableName=platform.tables[table])["Items"])


def test_payments_and_transactions_are_in_the_indexes_that_the_model_declares(
    either_world: Platform,
) -> None:
    platform = either_world
    merchant = platform.merchant()
    customer = platform.customer(merchant)
    platform.pay(merchant, customer_id=customer)
    platform.pay(merchant, payment_method="tok_declined")
    good, bad = platform.payments()
    client, table = platform.client, platform.tables["payments"]

    def found(index: str, name: str, value: str, where: str = table) -> list[str]:
        answer = client.query(
            TableName=where,
            IndexName=index,
            KeyConditionExpression="#n = :v",
            ExpressionAttributeNames={"#n": name},
            ExpressionAttributeValues={":v": {"S": value}},
        )
        return [item["id"]["S"] for item in answer["Items"]]

    assert found("gsi-merchant", "merchant_bucket", f"{merchant.id}#000") == [good.id, bad.id]
    failed = f"{merchant.id}#failed#000"
    assert found("gsi-merchant-status", "merchant_status_bucket", failed) == [bad.id]
    assert found("gsi-customer", "customer_id", customer) == [good.id]
    assert found("gsi-idempotency", "idempotency_scope", good.claim_key) == [good.id]
    transactions = platform.tables["transactions"]
    (capture,) = [row for row in platform.rows(Transaction) if row.payment_id == good.id]
    assert good.transaction_ids == (capture.id,)
    day = all_buckets(f"{merchant.id}#2026-03-14", unsettled_buckets(merchant.index_buckets))
    waiting = [found("gsi-unsettled", "unsettled_bucket", each, transactions) for each in day]
    assert sorted(waiting) == [[], [], [], [capture.id]]
    assert found("gsi-processor", "processor_id", capture.processor_id or "", transactions) == [
        capture.id
    ]
    assert platform.rows(Payment)
