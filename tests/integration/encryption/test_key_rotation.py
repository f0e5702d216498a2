"""Key rotation: nothing is lost and everything is found, wherever the rotation is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from runtime.alerts.models import Alert, AlertType
from runtime.core.errors import Conflict
from runtime.core.timestamps import to_timestamp
from runtime.customers.api import CustomerQuery, MethodRequest
from runtime.customers.customers import CustomerReads, erase_customer, find_customers
from runtime.customers.models import Customer
from runtime.customers.payment_methods import add_method
from runtime.customers.repository import CustomerRepository
from runtime.encryption.field_encryption import BLIND_INDEX_SUBJECT
from runtime.encryption.key_ring import ROTATE_AFTER, KeyPurpose, KeyRing
from runtime.encryption.models import DataKey
from runtime.encryption.repository import DataKeyRepository
from runtime.http.pagination import Cursors
from runtime.key_rotation import encrypted_rows
from runtime.key_rotation.rotation import (
    INDEX_REST,
    NEW_PASS_AFTER,
    RotationDependencies,
    new_index_key,
    sweep,
)
from runtime.merchants.models import Merchant, MerchantProfile, WebhookEndpoint
from tests.support.platform import CURSOR_KEY, SETUP, Platform

YEAR_SECONDS = ROTATE_AFTER.total_seconds() + 60
REST_SECONDS = INDEX_REST.total_seconds() + 1


def never() -> bool:
    return False


def deps(platform: Platform, must_stop: Callable[[], bool] = never) -> RotationDependencies:
    return RotationDependencies(
        rows=encrypted_rows.EncryptedRows(platform.store),
        keys=DataKeyRepository(platform.store),
        ring=platform.key_ring,
        encryption=platform.encryption,
        outside=platform.outside,
        operational_alerts=platform.operational_alerts(),
        must_stop=must_stop,
    )


def key_ids(
    platform: Platform, model: type[Customer] | type[Merchant] | type[WebhookEndpoint]
) -> set[str]:
    """Ids of the keys that encrypt the rows of a table."""
    schema = model.table_schema
    items = platform.client.scan(TableName=platform.tables[schema.name])["Items"]
    return {
        bytes(item[name]["B"])[1:11].decode()
        for item in items
        for name in schema.encrypted
        if name in item
    }


def webhook_endpoint(platform: Platform, merchant: MerchantProfile) -> WebhookEndpoint:
    """A stored webhook endpoint."""
    now = to_timestamp(platform.clock())
    row = WebhookEndpoint(
        id="whe_1",
        merchant_id=merchant.id,
        url="https://hooks.example/in",
        secret="whsec_" + "s" * 32,
        created_at=now,
        updated_at=now,
        **SETUP.stamp(),
    )
    platform.put(row)
    return row


def found(platform: Platform, merchant: MerchantProfile, email: str) -> list[str]:
    customers = CustomerRepository(platform.store)
    archive = CustomerReads(
        customers, platform.profiles(), platform.encryption, Cursors(lambda: CURSOR_KEY)
    )
    page = find_customers(CustomerQuery(email=email), platform.call(merchant), archive)
    return [each.id for each in page.data]


def people(platform: Platform, merchant: MerchantProfile, count: int) -> dict[str, str]:
    """Id of each new customer by its address; each has a payment method."""
    made = {}
    for number in range(count):
        email = f"p{number}@example.com"
        made[email] = platform.customer(merchant, email)
        body = {"type": "card", "token": f"tok_{number}", "last4": "4242"}
        call = platform.call(merchant, body)
        add_method(made[email], MethodRequest(**body), call, platform.customer_dependencies())
    return made


def test_a_row_untouched_for_a_year_is_re_encrypted_with_the_same_content(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encrypted_rows, "SWEEP_PAGE", 3)
    merchant = platform.merchant()
    people(platform, merchant, 7)
    endpoint = webhook_endpoint(platform, merchant)
    before = {row.id: row for row in platform.rows(Customer)}
    assert sweep(deps(platform), "r").answer()["tables"]["customers"]["renewed"] == 0
    platform.clock.advance(YEAR_SECONDS)
    platform.forget_keys()
    report = sweep(deps(platform), "r").answer()
    assert report["finished"]
    assert (report["tables"]["customers"]["renewed"], report["tables"]["merchants"]["renewed"]) == (
        7,
        1,
    )
    assert report["tables"]["webhook_endpoints"]["renewed"] == 1
    for model in (Customer, Merchant, WebhookEndpoint):
        assert key_ids(platform, model) == {"k000000002"}
    (renewed,) = platform.rows(WebhookEndpoint)
    assert renewed.secret == endpoint.secret
    for row in platform.rows(Customer):
        old = before[row.id]
        assert row.model_dump(include=_PERSONAL) == old.model_dump(include=_PERSONAL)
        assert (row.version, row.changed_by) == (old.version + 1, "system:keys")


_PERSONAL = {"email", "name", "phone", "payment_methods", "payment_tokens", "email_index"}


def test_a_sweep_stopped_after_every_page_continues_and_misses_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encrypted_rows, "SWEEP_PAGE", 2)
    merchant = platform.merchant()
    people(platform, merchant, 5)
    platform.clock.advance(YEAR_SECONDS)
    platform.forget_keys()
    runs = 0
    while not sweep(deps(platform, lambda: True), "r").finished:
        runs += 1
        assert runs < 10, "the sweep ends"
    assert runs >= 2
    assert key_ids(platform, Customer) == {"k000000002"}
    assert {row.version for row in platform.rows(Customer)} == {3}, "each was written once"


def test_the_next_sweep_starts_after_a_week_unless_requested(platform: Platform) -> None:
    platform.merchant()
    first = sweep(deps(platform), "r").progress["customers"]
    assert sweep(deps(platform), "r").progress["customers"] == first
    assert (
        sweep(deps(platform), "r", again=True).progress["customers"].started_at > first.started_at
    )
    last = sweep(deps(platform), "r").progress["customers"]
    platform.clock.advance(NEW_PASS_AFTER.total_seconds() + 1)
    assert sweep(deps(platform), "r").progress["customers"].started_at > last.started_at


def test_a_key_gets_a_successor_after_a_year_and_both_decrypt(platform: Platform) -> None:
    merchant = platform.merchant()
    one = platform.customer(merchant)
    platform.clock.advance(YEAR_SECONDS)
    platform.forget_keys()
    body: dict[str, Any] = {"type": "card", "token": "tok_new", "last4": "4242"}
    add_method(
        one, MethodRequest(**body), platform.call(merchant, body), platform.customer_dependencies()
    )
    assert key_ids(platform, Customer) == {"k000000001", "k000000002"}
    platform.forget_keys()
    (row,) = platform.rows(Customer)
    assert (row.email, list(row.payment_tokens.values())) == ("who@example.com", ["tok_new"])


def test_two_concurrent_successors_of_a_key_end_with_one(platform: Platform) -> None:
    merchant = platform.merchant()
    platform.customer(merchant)
    platform.clock.advance(YEAR_SECONDS)
    platform.forget_keys()
    with ThreadPoolExecutor(8) as pool:
        made = set(
            pool.map(lambda _: platform.key_ring.key_for_writing("pii", merchant.id), range(8))
        )
    assert len(made) == 1
    stored = [row.key_id for row in platform.rows(DataKey) if row.subject == f"pii#{merchant.id}"]
    assert sorted(stored) == ["k000000001", "k000000002"]


def test_customers_are_found_throughout_a_change_of_the_index_key(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    old = people(platform, merchant, 3)

    def all_are_found() -> None:
        for email, customer_id in old.items():
            assert found(platform, merchant, email) == [customer_id]

    active_from = new_index_key(deps(platform))
    all_are_found()
    with pytest.raises(Conflict, match="still replacing"):
        new_index_key(deps(platform))
    old["during@example.com"] = platform.customer(merchant, "during@example.com")
    all_are_found()
    assert sweep(deps(platform), "r", again=True).retired == (), (
        "too early: the new one is not used"
    )
    platform.clock.advance(REST_SECONDS)
    platform.forget_keys()
    assert active_from
    old["after@example.com"] = platform.customer(merchant, "after@example.com")
    all_are_found()
    early = sweep(deps(platform), "r", again=True)
    assert early.retired == (), "too early: other functions may still write with the old one"
    all_are_found()
    platform.clock.advance(REST_SECONDS)
    platform.forget_keys()
    assert sweep(deps(platform), "r", again=True).retired == ("k000000001",)
    platform.forget_keys()
    all_are_found()
    platform.clock.advance(REST_SECONDS)
    new_index_key(deps(platform))
    all_are_found()


def test_a_function_that_knows_only_the_old_index_key_finds_every_customer(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    people(platform, merchant, 1)
    remembered = [key.key_id for key in platform.key_ring.keys_to_find_by(BLIND_INDEX_SUBJECT)]
    assert remembered == ["k000000001"]
    elsewhere = replace(deps(platform), ring=keys_of_another_function(platform))
    new_index_key(elsewhere)
    # Another function that has just started knows both keys, and still writes with the old one.
    key_id, _ = keys_of_another_function(platform).key_for_writing("index", BLIND_INDEX_SUBJECT)
    assert key_id in remembered, "functions that know only the old key find new rows"
    platform.clock.advance(REST_SECONDS)
    key_id, _ = keys_of_another_function(platform).key_for_writing("index", BLIND_INDEX_SUBJECT)
    assert key_id == "k000000002", "by now every function knows the new key"


def keys_of_another_function(platform: Platform) -> KeyRing:
    """Another function's data keys, with nothing cached."""
    arns: dict[KeyPurpose, str] = {"pii": "arn:pii", "pci": "arn:pci", "index": "arn:index"}
    keys = DataKeyRepository(platform.store)
    return KeyRing(platform.kms, keys, arns, platform.outside)  # type: ignore[arg-type]


def test_a_row_that_cannot_be_decrypted_is_counted_and_keeps_the_old_index_key(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    one, other = list(people(platform, merchant, 2).values())
    table = platform.tables["customers"]
    items = {item["id"]["S"]: item for item in platform.client.scan(TableName=table)["Items"]}
    platform.client.put_item(TableName=table, Item={**items[one], "name": items[other]["name"]})
    new_index_key(deps(platform))
    platform.clock.advance(2 * REST_SECONDS)
    platform.forget_keys()
    report = sweep(deps(platform), "r", again=True)
    assert (report.progress["customers"].failed, report.progress["customers"].renewed) == (1, 1)
    (alert,) = platform.rows(Alert)
    assert alert.type is AlertType.DECRYPTION_FAILURE
    assert report.retired == ()


def test_a_constantly_changing_row_is_left_for_the_next_sweep_without_an_alarm(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    merchant = platform.merchant()
    busy, _ = people(platform, merchant, 2).values()
    platform.clock.advance(YEAR_SECONDS)
    platform.forget_keys()
    renew = encrypted_rows.EncryptedRows.renew

    def overtaken(self: encrypted_rows.EncryptedRows, row: Any, *rest: Any, **more: Any) -> None:
        if row.id == busy:
            platform.client.update_item(
                TableName=platform.tables["customers"],
                Key={"id": {"S": busy}},
                UpdateExpression="ADD version :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )
        renew(self, row, *rest, **more)

    monkeypatch.setattr(encrypted_rows.EncryptedRows, "renew", overtaken)
    progress = sweep(deps(platform), "r").progress["customers"]
    assert (progress.renewed, progress.failed) == (1, 1)
    assert platform.rows(Alert) == []
    monkeypatch.undo()
    assert sweep(deps(platform), "r", again=True).progress["customers"].renewed == 1


def test_customers_changed_and_erased_during_a_sweep_are_neither_lost_nor_restored(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    made = people(platform, merchant, 12)
    platform.clock.advance(YEAR_SECONDS)
    platform.forget_keys()
    gone = set(list(made.values())[::3])
    with ThreadPoolExecutor(2) as pool:
        sweeping = pool.submit(sweep, deps(platform), "r")
        for customer_id in gone:
            erase_customer(customer_id, platform.call(merchant), platform.customer_dependencies())
        assert sweeping.result().finished
    for row in platform.rows(Customer):
        assert (row.email is None) == (row.id in gone)
        assert (row.payment_tokens == {}) == (row.id in gone)
