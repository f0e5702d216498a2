"""Look-ups: by which attributes rows can be found, and that other merchants cannot find them.

Every read goes through a client with the permissions of the function behind GET.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import runtime.http.pagination as pages_module
from runtime.core.errors import InvalidValue, NotFound
from runtime.core.timestamps import to_epoch_seconds
from runtime.customers.api import CustomerQuery
from runtime.customers.customers import CustomerReads, erase_customer, find_customers
from runtime.customers.repository import CustomerRepository
from runtime.http.pagination import Cursors
from runtime.http.request_context import Call
from runtime.idempotency.api import IdempotencyKeyQuery
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.idempotency.queries import IdempotencyReads, list_keys
from runtime.idempotency.repository import ClaimRepository
from runtime.idempotency.rules import event_key
from runtime.ledger.accounts.accounts import AccountDependencies, create_account
from runtime.ledger.accounts.api import AccountQuery, AccountRequest
from runtime.ledger.accounts.queries import AccountReads, list_accounts
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.merchants.api import MerchantPatch, MerchantQuery
from runtime.merchants.merchants import MerchantReads, change_merchant, list_merchants
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.payments.api import PaymentQuery
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.queries import PaymentReads, list_payments
from runtime.payments.repository import PaymentRepository
from runtime.payments.transaction_models import Transaction, TransactionStatus
from runtime.reconciliation.settlements.models import LineStatus, SettlementLine
from runtime.reconciliation.transactions.api import TransactionQuery
from runtime.reconciliation.transactions.queries import (
    TransactionReads,
    get_transaction,
    list_transactions,
)
from runtime.reconciliation.transactions.repository import TransactionLists
from runtime.settings import QuerySettings
from tests.support.iam_guard import restrict_to
from tests.support.outside import OUTSIDE
from tests.support.platform import CURSOR_KEY, SETUP, Platform, pages


@dataclass
class LookUps:
    """Query dependencies with the permissions of the function behind GET, on a world's tables."""

    platform: Platform

    def __post_init__(self) -> None:
        self.client = self.platform.engine.dynamodb()
        restrict_to(self.client, QuerySettings.TABLE_USES, self.platform.tables)
        store = self.platform.store_on(self.client)
        cursors = Cursors(lambda: CURSOR_KEY)
        customers = CustomerRepository(store)
        merchants = MerchantRepository(store)
        profiles = MerchantProfiles(merchants, 0, OUTSIDE)
        self.customers = CustomerReads(customers, profiles, self.platform.encryption, cursors)
        self.merchants = MerchantReads(merchants, cursors)
        self.accounts = AccountReads(
            AccountRepository(store),
            ShardRepository(store),
            EntryRepository(store),
            customers,
            profiles,
            cursors,
        )
        self.payments = PaymentReads(
            PaymentRepository(store),
            PaymentLists(store),
            self.platform.processing_list(store),
            profiles,
            customers,
            cursors,
        )
        self.transactions = TransactionReads(
            TransactionLists(store),
            PaymentRepository(store),
            PaymentLists(store),
            profiles,
            cursors,
        )
        self.keys = IdempotencyReads(ClaimRepository(store), profiles.index_buckets, cursors)

    def operator(self, acting_for: str | None = None) -> Call:
        return self.platform.call(None, operator=True, acting_for=acting_for)

    def account(self, merchant: MerchantProfile | None, number: str, key: str | None = None) -> str:
        """Id of a new wallet; without a merchant it is the platform's."""
        store = self.platform.store
        deps = AccountDependencies(
            AccountRepository(store),
            ShardRepository(store),
            self.platform.profiles(),
            ClaimRepository(store),
        )
        body = {"account_type": "wallet", "currency": "USD", "account_number": number}
        call = self.platform.call(
            merchant, body, key, path="/v1/accounts", operator=merchant is None
        )
        answer = create_account(AccountRequest.model_validate_json(json.dumps(body)), call, deps)
        return str(json.loads(answer.body)["id"])


@pytest.fixture
def deps(platform: Platform) -> LookUps:
    return LookUps(platform)


def ids(read: Callable[[str | None], Any]) -> list[str]:
    return [row.id for page in pages(read) for row in page.data]


def test_customers_are_listed_newest_first_until_they_are_erased(
    deps: LookUps, platform: Platform
) -> None:
    shop, other = platform.merchant(index_buckets=4), platform.merchant()
    mine = [platform.customer(shop, f"c{n}@example.com") for n in range(5)]
    platform.customer(other)

    def listed(merchant: MerchantProfile, **query: Any) -> list[str]:
        def read(cursor: str | None) -> Any:
            asked = CustomerQuery(cursor=cursor, **query)
            return find_customers(asked, platform.call(merchant), deps.customers)

        return ids(read)

    assert listed(shop, limit=2) == listed(shop) == sorted(mine, reverse=True)
    erase_customer(mine[3], platform.call(shop, {}), platform.customer_dependencies())
    assert listed(shop, limit=4) == sorted({*mine} - {mine[3]}, reverse=True)
    assert listed(shop, email="C1@example.com") == [mine[1]]
    assert listed(other, email="c1@example.com") == []


def test_operators_find_merchants_by_address_and_in_a_list(
    deps: LookUps, platform: Platform
) -> None:
    mine = [platform.merchant(email="shared@example.com").id for _ in range(5)]
    older = platform.merchant(email="older@example.com", list_bucket=None)

    def listed(**query: Any) -> list[str]:
        def read(cursor: str | None) -> Any:
            asked = MerchantQuery(cursor=cursor, **query)
            return list_merchants(asked, deps.operator(), deps.merchants)

        return ids(read)

    newest_first = sorted(mine, reverse=True)
    assert listed(limit=2) == listed(limit=100) == newest_first
    assert listed(limit=2, email="shared@example.com") == newest_first
    assert listed(email="unknown@example.com") == []
    assert listed(email="older@example.com") == [older.id]
    renamed = MerchantPatch(version=1, name="Older")
    change_merchant(older.id, renamed, platform.call(older, {}), platform.merchant_dependencies())
    assert listed() == [older.id, *newest_first], "the next change has added it to the index"


def test_an_account_is_found_by_its_number_only_by_its_owner(
    deps: LookUps, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    shops = [platform.merchant() for _ in range(3)]
    same = [deps.account(shop, "4711-0815") for shop in shops]
    own = deps.account(shops[0], "0000-0001")

    def found(call: Call, **query: Any) -> list[str]:
        def read(cursor: str | None) -> Any:
            return list_accounts(AccountQuery(cursor=cursor, **query), call, deps.accounts)

        return ids(read)

    assert found(platform.call(shops[0]), account_number="4711-0815") == [same[0]]
    assert found(platform.call(shops[1]), account_number="0000-0001") == []
    assert found(platform.call(shops[0]), account_number="0000-0001", status="closed") == []
    assert found(deps.operator(shops[0].id), account_number="0000-0001") == [own]
    everybodys = found(deps.operator(), account_number="4711-0815")
    assert everybodys == sorted(same, reverse=True)
    monkeypatch.setattr(pages_module, "UNORDERED_CHUNK", 2)
    in_parts = found(deps.operator(), account_number="4711-0815", limit=1)
    assert sorted(in_parts) == sorted(same)
    with pytest.raises(InvalidValue) as refused:
        found(platform.call(shops[0]))
    assert "account_number" in refused.value.detail


def test_a_payment_is_found_by_its_idempotency_key(deps: LookUps, platform: Platform) -> None:
    shop, other = platform.merchant(), platform.merchant()
    first = platform.paid(shop, "order#1", amount=700)
    platform.paid(shop, "order#2")

    def found(merchant: MerchantProfile, **query: Any) -> list[str]:
        def read(cursor: str | None) -> Any:
            asked = PaymentQuery(cursor=cursor, **query)
            return list_payments(asked, platform.call(merchant), deps.payments)

        return ids(read)

    assert found(shop, idempotency_key="order#1") == [first]
    assert found(shop, idempotency_key="order#1", limit=1, max_amount=700) == [first]
    assert found(shop, idempotency_key="order#1", status="failed") == []
    assert found(shop, idempotency_key="order#1", min_amount=701) == []
    assert found(shop, idempotency_key="order#1", end_date="2020-01-01") == []
    assert found(shop, idempotency_key="order#3") == []
    assert found(other, idempotency_key="order#1") == []
    platform.clock.advance(2 * 86_400)
    second = platform.paid(shop, "order#1", amount=701)
    for limit in (1, 2):
        assert found(shop, idempotency_key="order#1", limit=limit) == [second, first]


def test_recent_requests_are_listed_without_their_answers(
    deps: LookUps, platform: Platform
) -> None:
    shop, other = platform.merchant(index_buckets=4), platform.merchant()
    made = {f"order#{n}": platform.paid(shop, f"order#{n}") for n in range(3)}
    platform.pay(shop, "unanswered", payment_method="tok_timeout")
    made["wallet"] = deps.account(shop, "4711-0815", "wallet")
    platform.pay(other, "theirs")
    deps.account(None, "4711-0816", "platforms")
    at = platform.clock()
    for name, expires_at in (("kept", None), ("old", to_epoch_seconds(at) - 1)):
        notified = event_key(shop.id, "sandbox", name)
        key = notified if name == "kept" else f"{shop.id}#POST#/v1/payments#{name}"
        platform.put(
            platform.claims()[0].model_copy(
                update={
                    "key": key,
                    "merchant_id": shop.id,
                    "merchant_bucket": f"{shop.id}#000",
                    "state": ClaimState.COMPLETED,
                    "expires_at": expires_at,
                }
            )
        )
    platform.lose_keys()

    def listed(call: Call, limit: int = 20) -> dict[str, Any]:
        def read(cursor: str | None) -> Any:
            return list_keys(IdempotencyKeyQuery(cursor=cursor, limit=limit), call, deps.keys)

        rows = [row for page in pages(read) for row in page.data]
        times = [row.created_at for row in rows]
        assert times == sorted(times, reverse=True)
        assert len({row.key for row in rows}) == len(rows)
        return {row.key: row for row in rows}

    rows = listed(platform.call(shop))
    assert rows.keys() == {*made, "unanswered"}
    assert listed(platform.call(shop), limit=2) == rows
    assert {key: rows[key].resource_id for key in made} == made
    assert (rows["order#1"].method, rows["order#1"].path) == ("POST", "/v1/payments")
    assert (rows["order#1"].status_code, rows["wallet"].path) == (201, "/v1/accounts")
    assert rows["order#1"].expires_at > rows["order#1"].created_at
    unanswered = rows["unanswered"]
    assert (unanswered.status_code, unanswered.expires_at) == (None, None)
    assert unanswered.resource_id.startswith("pay_")
    assert listed(platform.call(other)).keys() == {"theirs"}
    assert listed(deps.operator()).keys() == {"platforms"}
    assert listed(deps.operator(other.id)).keys() == {"theirs"}


def test_requests_of_the_same_time_are_each_listed_once(deps: LookUps, platform: Platform) -> None:
    shop = platform.merchant()
    moment = platform.call(shop).now
    for n in range(7):
        platform.put(
            IdempotencyRecord(
                key=f"{shop.id}#POST#/v1/accounts#k{n}",
                merchant_bucket=f"{shop.id}#000",
                created_at="2026-03-14T09:00:00.000Z",
                merchant_id=shop.id,
                key_subject=shop.id,
                request_id="r",
                fingerprint="f",
                owner="o",
                state=ClaimState.COMPLETED,
                status_code=201,
                expires_at=to_epoch_seconds(moment) + 60,
            )
        )
    seen: list[str] = []
    for page in pages(
        lambda cursor: list_keys(
            IdempotencyKeyQuery(cursor=cursor, limit=2), platform.call(shop), deps.keys
        )
    ):
        seen += [row.key for row in page.data]
    assert seen == [f"k{n}" for n in reversed(range(7))]


def transactions(deps: LookUps, call: Call, **query: Any) -> list[str]:
    def read(cursor: str | None) -> Any:
        return list_transactions(TransactionQuery(cursor=cursor, **query), call, deps.transactions)

    return ids(read)


def test_transactions_are_found_by_payment_processor_id_and_status(
    deps: LookUps, platform: Platform
) -> None:
    shop, other = platform.merchant(index_buckets=4), platform.merchant()
    first = platform.paid(shop)
    platform.pay(shop, payment_method="tok_declined")
    authorized = platform.paid(shop, capture_method="manual")
    platform.operate(shop, authorized, "capture", amount=300, final=False)
    platform.paid(shop)
    platform.operate(shop, first, "refund", amount=10)
    refused = platform.paid(shop, payment_method="tok_refund_fails")
    platform.operate(shop, refused, "refund", amount=10)
    theirs = platform.paid(other)
    platform.operate(other, theirs, "refund", amount=10)
    rows = sorted(platform.rows(Transaction), key=lambda row: row.id, reverse=True)
    settled = next(row for row in reversed(rows) if row.payment_id == first)
    platform.put(settled.model_copy(update={"status": TransactionStatus.SETTLED}))
    pending = next(row for row in rows if row.payment_id == authorized)
    platform.put(pending.model_copy(update={"status": TransactionStatus.PENDING}))
    rows = sorted(platform.rows(Transaction), key=lambda row: row.id, reverse=True)

    def expected(merchant: MerchantProfile, **wanted: str) -> list[str]:
        name, value = next(iter(wanted.items()))
        return [
            row.id for row in rows if row.merchant_id == merchant.id and getattr(row, name) == value
        ]

    for limit in (1, 3, 100):
        for status in TransactionStatus:
            mine = transactions(deps, platform.call(shop), status=status, limit=limit)
            assert mine == expected(shop, status=status), status
            assert mine, f"there is a transaction that is {status}"
        for payment in (first, authorized, refused):
            found = transactions(deps, platform.call(shop), payment_id=payment, limit=limit)
            assert found == expected(shop, payment_id=payment)
        for row in rows:
            if row.processor_id is None:
                continue
            whose, stranger = (shop, other) if row.merchant_id == shop.id else (other, shop)
            known = {"processor_id": row.processor_id}
            found = transactions(deps, platform.call(whose), limit=limit, **known)
            assert found == expected(whose, **known)
            assert row.id in found
            page = list_transactions(
                TransactionQuery(limit=1, **known), platform.call(stranger), deps.transactions
            )
            assert (page.data, page.has_more) == ((), False), "not even whether there are more"
            assert transactions(deps, deps.operator(), **known) == found
    with pytest.raises(NotFound):
        transactions(deps, platform.call(shop), payment_id=theirs)


@pytest.mark.parametrize("query", [{}, {"status": "failed", "processor_id": "ch_1"}])
def test_transactions_are_looked_up_by_exactly_one_filter(
    deps: LookUps, platform: Platform, query: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue) as refused:
        transactions(deps, platform.call(platform.merchant()), **query)
    assert refused.value.param == "payment_id"


def test_a_transaction_shows_only_its_own_merchants_settlement_lines(
    deps: LookUps, platform: Platform
) -> None:
    shop, other = platform.merchant(), platform.merchant()
    payment = platform.paid(shop)
    (row,) = (row for row in platform.rows(Transaction) if row.payment_id == payment)
    for merchant, settlement, line in ((shop, "set_B", 9), (shop, "set_A", 7), (other, "set_C", 2)):
        platform.put(
            SettlementLine(
                settlement_bucket=f"{settlement}#000",
                line=line,
                settlement_id=settlement,
                merchant_id=merchant.id,
                transaction_id=row.id,
                status=LineStatus.MATCHED,
                created_at=row.created_at,
                updated_at=row.updated_at,
                **SETUP.stamp(),
            )
        )
    seen = get_transaction(row.id, platform.call(shop), deps.transactions)
    assert (seen.id, seen.payment_id, seen.amount) == (row.id, payment, 1000)
    assert [(each.settlement_id, each.line, each.status) for each in seen.settlement_lines] == [
        ("set_A", 7, "matched"),
        ("set_B", 9, "matched"),
    ]
    with pytest.raises(NotFound):
        get_transaction(row.id, platform.call(other), deps.transactions)


def test_a_customer_erased_while_a_list_is_read_does_not_fail_it(
    deps: LookUps, platform: Platform
) -> None:
    shop = platform.merchant()
    mine = [platform.customer(shop, f"c{n}@example.com") for n in range(3)]
    platform.forget_keys()

    def erase(**_: Any) -> None:
        """Erases after the rows have been read, before their keys are."""
        deps.client.meta.events.unregister("after-call.dynamodb.BatchGetItem", erase)
        erase_customer(mine[1], platform.call(shop, {}), platform.customer_dependencies())

    deps.client.meta.events.register("after-call.dynamodb.BatchGetItem", erase)
    page = find_customers(CustomerQuery(), platform.call(shop), deps.customers)
    assert [row.id for row in page.data] == [mine[2], mine[0]]
