"""Keys that change: nothing is lost, nothing is not found, wherever the change is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from runtime.contract.customers import CustomerQuery, MethodRequest
from runtime.errors import Conflict
from runtime.gateways.field_encryption import BLIND_INDEX_SUBJECT
from runtime.gateways.key_ring import ROTATE_AFTER, KeyPurpose, KeyRing
from runtime.models.alert import Alert, AlertType
from runtime.models.customer import Customer
from runtime.models.data_key import DataKey
from runtime.models.merchant import Merchant, MerchantProfile
from runtime.repositories import sealed_rows
from runtime.repositories.customers import CustomerRepository
from runtime.repositories.data_keys import DataKeyRepository
from runtime.services.customers import CustomerArchive, erase_customer, find_customers
from runtime.services.key_rotation import (
    INDEX_REST,
    NEW_PASS_AFTER,
    RotationDesk,
    new_index_key,
    sweep,
)
from runtime.services.pages import Cursors
from runtime.services.payment_methods import add_method
from tests.support.world import CURSOR_KEY, World

YEAR_SECONDS = ROTATE_AFTER.total_seconds() + 60
REST_SECONDS = INDEX_REST.total_seconds() + 1


def never() -> bool:
    return False


def desk(world: World, must_stop: Callable[[], bool] = never) -> RotationDesk:
    return RotationDesk(
        rows=sealed_rows.SealedRows(world.store),
        keys=DataKeyRepository(world.store),
        ring=world.key_ring,
        encryption=world.encryption,
        outside=world.outside,
        trouble=world.trouble(),
        must_stop=must_stop,
    )


def key_ids(world: World, model: type[Customer] | type[Merchant]) -> set[str]:
    """Ids of the keys under which the rows of a table are enciphered."""
    schema = model.table_schema
    items = world.client.scan(TableName=world.tables[schema.name])["Items"]
    return {
        bytes(item[name]["B"])[1:11].decode()
        for item in items
        for name in schema.encrypted
        if name in item
    }


def found(world: World, merchant: MerchantProfile, email: str) -> list[str]:
    customers = CustomerRepository(world.store)
    archive = CustomerArchive(
        customers, world.profiles(), world.encryption, Cursors(lambda: CURSOR_KEY)
    )
    page = find_customers(CustomerQuery(email=email), world.call(merchant), archive)
    return [each.id for each in page.data]


def people(world: World, merchant: MerchantProfile, count: int) -> dict[str, str]:
    """Id of each new customer by its address; each has a payment method."""
    made = {}
    for number in range(count):
        email = f"p{number}@example.com"
        made[email] = world.customer(merchant, email)
        body = {"type": "card", "token": f"tok_{number}", "last4": "4242"}
        call = world.call(merchant, body)
        add_method(made[email], MethodRequest(**body), call, world.customer_desk())
    return made


def test_what_lay_for_a_year_is_enciphered_again_and_says_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_rows, "SWEEP_PAGE", 3)
    merchant = world.merchant()
    people(world, merchant, 7)
    before = {row.id: row for row in world.rows(Customer)}
    assert sweep(desk(world), "r").answer()["tables"]["customers"]["renewed"] == 0
    world.clock.advance(YEAR_SECONDS)
    world.forget_keys()
    report = sweep(desk(world), "r").answer()
    assert report["finished"]
    assert (report["tables"]["customers"]["renewed"], report["tables"]["merchants"]["renewed"]) == (
        7,
        1,
    )
    assert key_ids(world, Customer) == key_ids(world, Merchant) == {"k000000002"}
    for row in world.rows(Customer):
        old = before[row.id]
        assert row.model_dump(include=_PERSONAL) == old.model_dump(include=_PERSONAL)
        assert (row.version, row.changed_by) == (old.version + 1, "system:keys")


_PERSONAL = {"email", "name", "phone", "payment_methods", "payment_tokens", "email_index"}


def test_a_sweep_stopped_after_every_page_goes_on_and_misses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_rows, "SWEEP_PAGE", 2)
    merchant = world.merchant()
    people(world, merchant, 5)
    world.clock.advance(YEAR_SECONDS)
    world.forget_keys()
    runs = 0
    while not sweep(desk(world, lambda: True), "r").finished:
        runs += 1
        assert runs < 10, "a sweep comes to an end"
    assert runs >= 2
    assert key_ids(world, Customer) == {"k000000002"}
    assert {row.version for row in world.rows(Customer)} == {3}, "each was written once"


def test_a_finished_sweep_rests_for_a_week_unless_it_is_asked_for(world: World) -> None:
    world.merchant()
    first = sweep(desk(world), "r").progress["customers"]
    assert sweep(desk(world), "r").progress["customers"] == first
    assert sweep(desk(world), "r", again=True).progress["customers"].started_at > first.started_at
    last = sweep(desk(world), "r").progress["customers"]
    world.clock.advance(NEW_PASS_AFTER.total_seconds() + 1)
    assert sweep(desk(world), "r").progress["customers"].started_at > last.started_at


def test_a_key_used_after_a_year_gets_a_successor_and_both_open(world: World) -> None:
    merchant = world.merchant()
    one = world.customer(merchant)
    world.clock.advance(YEAR_SECONDS)
    world.forget_keys()
    body: dict[str, Any] = {"type": "card", "token": "tok_new", "last4": "4242"}
    add_method(one, MethodRequest(**body), world.call(merchant, body), world.customer_desk())
    assert key_ids(world, Customer) == {"k000000001", "k000000002"}
    world.forget_keys()
    (row,) = world.rows(Customer)
    assert (row.email, list(row.payment_tokens.values())) == ("who@example.com", ["tok_new"])


def test_two_that_make_a_successor_at_once_end_with_one(world: World) -> None:
    merchant = world.merchant()
    world.customer(merchant)
    world.clock.advance(YEAR_SECONDS)
    world.forget_keys()
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: world.key_ring.key_for_writing("pii", merchant.id), range(8)))
    assert len(made) == 1
    stored = [row.key_id for row in world.rows(DataKey) if row.subject == f"pii#{merchant.id}"]
    assert sorted(stored) == ["k000000001", "k000000002"]


def test_customers_are_found_at_every_moment_while_the_index_key_changes(world: World) -> None:
    merchant = world.merchant()
    old = people(world, merchant, 3)

    def all_are_found() -> None:
        for email, customer_id in old.items():
            assert found(world, merchant, email) == [customer_id]

    active_from = new_index_key(desk(world))
    all_are_found()
    with pytest.raises(Conflict, match="still replacing"):
        new_index_key(desk(world))
    old["during@example.com"] = world.customer(merchant, "during@example.com")
    all_are_found()
    assert sweep(desk(world), "r", again=True).retired == (), "too early: the new one is not used"
    world.clock.advance(REST_SECONDS)
    world.forget_keys()
    assert active_from
    old["after@example.com"] = world.customer(merchant, "after@example.com")
    all_are_found()
    early = sweep(desk(world), "r", again=True)
    assert early.retired == (), "too early: somebody may still write by the old one"
    all_are_found()
    world.clock.advance(REST_SECONDS)
    world.forget_keys()
    assert sweep(desk(world), "r", again=True).retired == ("k000000001",)
    world.forget_keys()
    all_are_found()
    world.clock.advance(REST_SECONDS)
    new_index_key(desk(world))
    all_are_found()


def test_a_function_that_remembers_only_the_old_index_key_misses_nobody(world: World) -> None:
    merchant = world.merchant()
    people(world, merchant, 1)
    remembered = [key.key_id for key in world.key_ring.keys_to_find_by(BLIND_INDEX_SUBJECT)]
    assert remembered == ["k000000001"]
    elsewhere = replace(desk(world), ring=ring_of_another_function(world))
    new_index_key(elsewhere)
    # Another function that has just started knows both keys, and writes by the old one still.
    key_id, _ = ring_of_another_function(world).key_for_writing("index", BLIND_INDEX_SUBJECT)
    assert key_id in remembered, "what is written now is found by whoever remembers the old key"
    world.clock.advance(REST_SECONDS)
    key_id, _ = ring_of_another_function(world).key_for_writing("index", BLIND_INDEX_SUBJECT)
    assert key_id == "k000000002", "by now nobody remembers the old key alone"


def ring_of_another_function(world: World) -> KeyRing:
    """Data keys as another function has them: none remembered."""
    arns: dict[KeyPurpose, str] = {"pii": "arn:pii", "pci": "arn:pci", "index": "arn:index"}
    keys = DataKeyRepository(world.store)
    return KeyRing(world.kms, keys, arns, world.outside)  # type: ignore[arg-type]


def test_a_row_that_cannot_be_opened_is_counted_and_keeps_the_old_index_key(world: World) -> None:
    merchant = world.merchant()
    one, other = list(people(world, merchant, 2).values())
    table = world.tables["customers"]
    items = {item["id"]["S"]: item for item in world.client.scan(TableName=table)["Items"]}
    world.client.put_item(TableName=table, Item={**items[one], "name": items[other]["name"]})
    new_index_key(desk(world))
    world.clock.advance(2 * REST_SECONDS)
    world.forget_keys()
    report = sweep(desk(world), "r", again=True)
    assert (report.progress["customers"].failed, report.progress["customers"].renewed) == (1, 1)
    (alert,) = world.rows(Alert)
    assert alert.type is AlertType.DECRYPTION_FAILURE
    assert report.retired == ()


def test_a_row_that_never_rests_is_left_for_the_next_sweep_and_rings_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    merchant = world.merchant()
    busy, _ = people(world, merchant, 2).values()
    world.clock.advance(YEAR_SECONDS)
    world.forget_keys()
    renew = sealed_rows.SealedRows.renew

    def overtaken(self: sealed_rows.SealedRows, row: Any, *rest: Any, **more: Any) -> None:
        if row.id == busy:
            world.client.update_item(
                TableName=world.tables["customers"],
                Key={"id": {"S": busy}},
                UpdateExpression="ADD version :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )
        renew(self, row, *rest, **more)

    monkeypatch.setattr(sealed_rows.SealedRows, "renew", overtaken)
    progress = sweep(desk(world), "r").progress["customers"]
    assert (progress.renewed, progress.failed) == (1, 1)
    assert world.rows(Alert) == []
    monkeypatch.undo()
    assert sweep(desk(world), "r", again=True).progress["customers"].renewed == 1


def test_customers_changed_and_erased_during_a_sweep_are_neither_lost_nor_brought_back(
    world: World,
) -> None:
    merchant = world.merchant()
    made = people(world, merchant, 12)
    world.clock.advance(YEAR_SECONDS)
    world.forget_keys()
    gone = set(list(made.values())[::3])
    with ThreadPoolExecutor(2) as pool:
        sweeping = pool.submit(sweep, desk(world), "r")
        for customer_id in gone:
            erase_customer(customer_id, world.call(merchant), world.customer_desk())
        assert sweeping.result().finished
    for row in world.rows(Customer):
        assert (row.email is None) == (row.id in gone)
        assert (row.payment_tokens == {}) == (row.id in gone)
