"""Rows to items and back, for every table; and expressions in DynamoDB's syntax."""

from __future__ import annotations

import base64
import hashlib
import json
import types
import zlib
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from runtime.audit.models import AuditRow
from runtime.core.errors import IntegrityError
from runtime.core.fields import Timestamp
from runtime.customers.models import Customer
from runtime.dynamodb.codec import Codec, FieldLocation, NoCipher, serialize
from runtime.dynamodb.expressions import (
    Rendering,
    all_of,
    any_of,
    below,
    between,
    change,
    equals,
    key_of,
    one_of,
    put,
    update,
)
from runtime.dynamodb.packing import pack
from runtime.dynamodb.schema import PACKED, TableSchema
from runtime.ledger.accounts.models import Account, AccountNumberGuard
from runtime.merchants.models import Merchant, MerchantProfile
from runtime.payments.models import Payment
from runtime.tables import ALL_TABLES
from runtime.webhooks.models import Webhook

INSTANT = "2026-03-14T09:00:00.000Z"


class Reversing:
    """A transparent cipher: it records the place of each value."""

    def prepare(self, purpose: str, subject: str) -> None:
        raise AssertionError(f"unexpected request for the {purpose} key of {subject}")

    def encrypt(self, place: FieldLocation, plaintext: bytes) -> bytes:
        return repr(place).encode() + b"|" + plaintext[::-1]

    def decrypt(self, place: FieldLocation, ciphertext: bytes) -> bytes:
        where, _, text = ciphertext.partition(b"|")
        if where != repr(place).encode():
            raise IntegrityError("moved")
        return text[::-1]


CODEC = Codec(Reversing())


def example(annotation: Any, name: str, *, full: bool) -> Any:  # noqa: PLR0911, PLR0912
    """A value of a field's type; `full` fills optional fields and collections too."""
    if annotation == Timestamp or (name.endswith("_at") and annotation is str):
        return INSTANT
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if annotation == Timestamp:
            return INSTANT
        return example(arguments[0], name, full=full)
    if origin in (Union, types.UnionType):
        inner = next(each for each in arguments if each is not type(None))
        if inner == Timestamp or (inner is str and _holds_instant(annotation)):
            return INSTANT
        return example(inner, name, full=full)
    if origin is Literal:
        return arguments[-1]
    if origin is tuple:
        return (example(arguments[0], name, full=full),)
    if origin is frozenset:
        return frozenset({example(arguments[0], name, full=full)})
    if origin is dict:
        key, value = (example(each, name, full=full) for each in arguments)
        return {key: value}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return list(annotation)[-1]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return filled(annotation, full=full)
    if annotation is int:
        return 7
    if annotation is bool:
        return True
    return "text"


def _holds_instant(annotation: Any) -> bool:
    return Timestamp in get_args(annotation)


_TIMES = frozenset(
    {"at", "timestamp", "created_at", "updated_at", "next_action_at", "next_retry", "locked_until"}
    | {"last_attempt", "processed_at", "settled_at", "completed_at", "revoked_at", "last_used_at"}
    | {"lease_expires_at", "until"}
)


def filled(model: type[BaseModel], *, full: bool) -> Any:
    values = {}
    for name, field in model.model_fields.items():
        if not full and not field.is_required():
            continue
        is_time = name in _TIMES or (name == "expires_at" and "Instant" in str(field.metadata))
        values[name] = INSTANT if is_time else example(field.annotation, name, full=full)
        if name == "expires_at" and model.__name__ == "Transfer":
            values[name] = INSTANT
    return model.model_validate(values)


@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("schema", ALL_TABLES, ids=lambda schema: schema.name)
def test_every_tables_rows_survive_the_round_trip(schema: TableSchema, full: bool) -> None:
    row = filled(schema.model, full=full)
    item = CODEC.to_item(row)
    assert CODEC.to_row(schema, item, schema.model) == row
    assert {name for name, value in item.items() if "NULL" in value} == set()
    for name in schema.encrypted:
        if name in item:
            assert set(item[name]) == {"B"}
    if full:
        packed = {PACKED} if schema.packed else set()
        assert set(item) == set(schema.model.model_fields) - schema.packed | packed


def customer(**changes: Any) -> Customer:
    values = {**filled(Customer, full=True).model_dump(), **changes}
    return Customer.model_validate(values)


def test_absent_and_empty_values_are_omitted_from_the_item() -> None:
    item = CODEC.to_item(customer(phone=None, payment_methods=(), locked_until=None))
    assert not {"phone", "payment_methods", "locked_until"} & set(item)


def test_a_field_marked_so_is_omitted_while_it_has_its_default() -> None:
    schema = Payment.table_schema
    row = filled(Payment, full=True).model_copy(
        update={
            "amount_captured": 0,
            "fee": 0,
            "refundable_minor": 0,
            "capturable_minor": 0,
            "capture_method": "automatic",
        }
    )
    item = CODEC.to_item(row)
    assert not {"amount_captured", "fee", "refundable_minor", "capture_method"} & set(item)
    assert item["capturable_minor"] == {"N": "0"}, "writes add to it, so it must exist"
    assert CODEC.to_row(schema, item, Payment) == row


def audit_row() -> AuditRow:
    row: AuditRow = filled(AuditRow, full=True)
    return row.model_copy(update={"new_values": {"text": "Grüße", "list": [1, None, True]}})


def test_a_packed_row_is_read_with_and_without_packing_and_from_a_stream_record() -> None:
    row, schema = audit_row(), AuditRow.table_schema
    item = CODEC.to_item(row)
    unpacked = {name: serialize(getattr(row, name)) for name in AuditRow.model_fields}
    in_stream = {**item, PACKED: {"B": base64.b64encode(item[PACKED]["B"]).decode()}}
    assert not schema.packed & set(item)
    for stored in (item, unpacked, in_stream):
        assert CODEC.to_row(schema, stored, AuditRow) == row


@pytest.mark.parametrize(
    "value",
    [
        {"B": b"{}"},
        {"B": zlib.compress(b"{}")[:-1]},
        {"B": pack({"version": 1}, b"another dictionary")},
        {"B": "%"},
        {"S": "text"},
        {"B": pack({"entity_type": "account"}, AuditRow.table_schema.packing_dictionary)[:9]},
    ],
)
def test_a_corrupt_packed_attribute_is_not_a_row(value: dict[str, Any]) -> None:
    item = {**CODEC.to_item(audit_row()), PACKED: value}
    with pytest.raises(ValidationError):
        CODEC.to_row(AuditRow.table_schema, item, AuditRow)


def test_packed_values_do_not_replace_attributes_of_the_item() -> None:
    row, schema = audit_row(), AuditRow.table_schema
    values = {"version": 7, "entity_type": "account", "user_id": "forged"}
    item = CODEC.to_item(row) | {PACKED: {"B": pack(values, schema.packing_dictionary)}}
    assert CODEC.to_row(schema, item, AuditRow).user_id == row.user_id


def test_stored_audit_rows_need_this_dictionary() -> None:
    assert hashlib.sha256(AuditRow.table_schema.packing_dictionary).hexdigest() == (
        "31ab940dd4e83fe04c32528d89727c09db9275894ee2b7bcbea76907918ac719"
    )


def test_a_ciphertext_moved_to_another_row_or_attribute_cannot_be_decrypted() -> None:
    item = CODEC.to_item(customer())
    schema = Customer.table_schema
    for forged in ({**item, "id": {"S": "cus_other"}}, {**item, "name": item["email"]}):
        with pytest.raises(IntegrityError):
            CODEC.to_row(schema, forged, Customer)


def test_payloads_are_compressed_with_their_words_and_read_without_them() -> None:
    schema = Webhook.table_schema
    words = schema.encrypted["payload"].words
    # Stored payloads name the words they were compressed with, and cannot be read without them.
    assert (len(words), zlib.adler32(words)) == (1_720, 1_100_892_426)
    row = filled(Webhook, full=True).model_copy(
        update={"payload": json.loads(f'"{words.decode()}"')}
    )
    item = CODEC.to_item(row)
    assert len(item["payload"]["B"]) < 200
    assert CODEC.to_row(schema, item, Webhook) == row
    location, _, _ = item["payload"]["B"].partition(b"|")
    without_words = zlib.compress(json.dumps(row.payload).encode())
    before = {**item, "payload": {"B": location + b"|" + without_words[::-1]}}
    assert CODEC.to_row(schema, before, Webhook) == row


def test_plaintext_in_place_of_a_ciphertext_is_refused() -> None:
    item = {**CODEC.to_item(customer()), "email": {"S": "mallory@example.com"}}
    with pytest.raises(IntegrityError, match="plain text"):
        CODEC.to_row(Customer.table_schema, item, Customer)


def test_a_projection_without_secrets_needs_no_key() -> None:
    merchant = filled(Merchant, full=True)
    item = CODEC.to_item(merchant)
    seen = Codec(NoCipher()).to_row(Merchant.table_schema, item, MerchantProfile)
    assert seen.id == merchant.id
    with pytest.raises(AssertionError, match="the key is missing"):
        Codec(NoCipher()).to_row(Merchant.table_schema, item, Merchant)
    with pytest.raises(AssertionError, match="the key is missing"):
        Codec(NoCipher()).to_item(merchant)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), json_values, max_size=4))
def test_a_processors_free_configuration_survives_exactly(config: dict[str, Any]) -> None:
    merchant = filled(Merchant, full=True).model_copy(update={"processor_config": config})
    back = CODEC.to_row(Merchant.table_schema, CODEC.to_item(merchant), Merchant)
    assert json.dumps(back.processor_config) == json.dumps(config)


@given(st.integers(-(10**37), 10**37))
def test_numbers_are_stored_exactly(number: int) -> None:
    assert serialize(number) == {"N": str(number)}


def test_secrets_are_not_in_the_text_of_a_row() -> None:
    merchant = filled(Merchant, full=True).model_copy(update={"webhook_secret": "whsec_hidden"})
    assert "whsec_hidden" not in repr(merchant)
    assert "mail-hidden" not in repr(customer(email="mail-hidden"))


# -------------------------------------------------------------------- expressions


def rendered(condition: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    rendering = Rendering(serialize)
    return condition(rendering), rendering.names, rendering.values


def test_conditions_nest_with_parentheses_and_unique_placeholders() -> None:
    condition = any_of(equals("a", 1), all_of(below("b", 2), one_of("c", ("x", "y"))))
    text, names, values = rendered(condition)
    assert text == "(#a = :v0) OR ((#b < :v1) AND (#c IN (:v2, :v3)))"
    assert names == {"#a": "a", "#b": "b", "#c": "c"}
    assert list(values.values()) == [{"N": "1"}, {"N": "2"}, {"S": "x"}, {"S": "y"}]


def test_between_includes_both_ends() -> None:
    assert rendered(between("id", "a", "b"))[0] == "#id BETWEEN :v0 AND :v1"


def account(**changes: Any) -> Account:
    return filled(Account, full=True).model_copy(update=changes)


def test_an_update_writes_differences_and_removes_what_became_none() -> None:
    before = account(balance=1, customer_id="cus_1", locked_until=INSTANT)
    after = before.model_copy(update={"balance": 2, "locked_until": None})
    update = change(before, after).when(equals("version", 7))
    rendering = Rendering(serialize)
    assert update.expression(rendering) == "SET #balance = :v0 REMOVE #locked_until"
    assert update.key == {"id": before.id, "shard": before.shard}


def test_an_update_of_a_key_is_a_bug() -> None:
    before = account()
    with pytest.raises(AssertionError, match="is a key and cannot change"):
        change(before, before.model_copy(update={"shard": "01"}))


def test_an_update_encrypts_encrypted_attributes_and_removes_empty_ones() -> None:
    one = customer()
    changed = one.model_copy(update={"email": "x@y.example", "phone": None, "payment_tokens": {}})
    step = change(one.model_copy(update={"payment_tokens": {"pm_1": "t"}, "phone": "1"}), changed)
    assert step.sealed == ("email",)
    assert set(step.removed) == {"phone", "payment_tokens"}
    assert "email" not in step.assigned, "encrypted attributes are never assigned in plaintext"


def test_a_guard_of_an_account_number_is_in_the_accounts_table() -> None:
    guard = AccountNumberGuard.of(account(account_number="A-1", merchant_id="mer_1"))
    assert TableSchema.of(type(guard)).name == "accounts"
    assert key_of(guard) == {"id": "number#mer_1#A-1", "shard": "00"}
    assert put(guard).condition is None


NUMBERS = st.integers(-(10**37), 10**37)
"""DynamoDB keeps 38 digits."""


@given(st.sets(st.text(min_size=1), min_size=1) | st.sets(NUMBERS, min_size=1))
def test_a_set_is_written_in_the_order_of_its_members(members: set[Any]) -> None:
    ((kind, sent),) = serialize(frozenset(members)).items()
    numbers = kind == "NS"
    assert kind in ("NS", "SS")
    assert [int(each) if numbers else each for each in sent] == sorted(members)


def test_members_are_added_to_a_set_in_order() -> None:
    names = frozenset(f"pay_{number}" for number in range(40))
    rendering = Rendering(serialize)
    add = update(Payment, {"id": "pay_1"}).include(names=names)
    assert add.expression(rendering) == "ADD #names :v0"
    assert rendering.values[":v0"]["SS"] == sorted(names)
