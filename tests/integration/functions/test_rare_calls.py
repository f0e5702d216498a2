"""What the functions do seldom: after a year, after a crash, or with rows that cannot be read.

Each case needs a right that no everyday request uses (permissions/).
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from runtime.core.timestamps import to_timestamp
from runtime.encryption.key_ring import ROTATE_AFTER
from runtime.functions.composition.process_services import process_services
from runtime.functions.composition.real_outside import real_outside
from runtime.functions.find_unsettled import missing_services
from runtime.functions.poll_processors import poll_services
from runtime.functions.project import project_services
from runtime.functions.reconcile import reconcile_services
from runtime.functions.resolve import resolver_services
from runtime.functions.rotate_keys import rotation_services
from runtime.key_rotation.rotation import INDEX_REST
from runtime.ledger.accounts.models import FIRST_CREDIT_SHARDS
from runtime.ledger.hot_accounts.projection import BUSY_SHARDS
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.payments.repository import PaymentRepository
from runtime.reconciliation.files.bucket import PART_BYTES, READ_BYTES
from runtime.reconciliation.unsettled import sweep
from runtime.webhooks.delivery_queue import DeliveryOrder
from tests.integration.functions.test_a_year_later import later
from tests.support.http import EVERYTHING, OPERATOR, token_of
from tests.support.stages.running_stage import HEADER, Stage

A_YEAR = ROTATE_AFTER + timedelta(days=1)
SALE = {"amount": 1_000, "currency": "USD", "payment_method": "tok_approved"}
Machine = pytest.MonkeyPatch


def _post(stage: Stage, path: str, body: Any, who: Any) -> Any:
    headers = {"idempotency-key": uuid.uuid4().hex}
    answer = stage.api("POST", path, body, headers=headers, authorizer=who)
    assert answer.status < 400, answer.text
    return answer.body


def _payment(stage: Stage, payment_id: str, who: Any) -> Any:
    return stage.api("GET", f"/v1/payments/{payment_id}", authorizer=who).body


def _alerts(stage: Stage, kind: str) -> list[Any]:
    found = stage.api("GET", "/v1/alerts", query="limit=100").body["data"]
    return [alert for alert in found if alert["type"] == kind]


def _age_keys(services: Any, machine: Machine) -> None:
    """An environment that begins a year later: it has opened no key yet."""
    services.key_ring._cache.forget(lambda _: True)
    machine.setattr(services.key_ring, "_outside", later(services.outside, A_YEAR))


def _payments_later(services: Any, passed: timedelta, machine: Machine) -> None:
    outside = later(services.outside, passed)
    machine.setattr(
        services, "payment_dependencies", replace(services.payment_dependencies, outside=outside)
    )


def _spoil(stage: Stage, table: str, key: dict[str, Any], attribute: str, value: Any) -> None:
    """Edit one attribute of a row by hand."""
    stage.dynamodb.update_item(
        TableName=stage.tables[table],
        Key=key,
        UpdateExpression="SET #a = :a",
        ExpressionAttributeNames={"#a": attribute},
        ExpressionAttributeValues={":a": value},
    )


# ------------------------------------------------------------------ payments


def test_an_authorization_is_voided_after_its_week_and_answered_under_a_new_key(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    made = _post(stage, "/v1/payments", {**SALE, "capture_method": "manual"}, who)
    services = resolver_services()
    _payments_later(services, timedelta(days=8), monkeypatch)
    assert stage.api.resolve()["resolved"] >= 1
    assert _payment(stage, made["id"], who)["status"] == "canceled"


@pytest.mark.parametrize("decision", ["approve", "fail", None])
def test_a_payment_waits_for_its_customer_on_the_page_of_the_sandbox(
    stage: Stage, monkeypatch: Machine, decision: str | None
) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    made = _post(stage, "/v1/payments", {**SALE, "payment_method": "tok_requires_action"}, who)
    assert made["status"] == "requires_action"
    page = urlsplit(made["next_action"]["url"]).path
    assert 'value="approve"' in stage.api("GET", page).text
    if decision is None:
        _payments_later(resolver_services(), timedelta(hours=2), monkeypatch)
        assert stage.api.resolve()["resolved"] >= 1
    else:
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = stage.api("POST", page, raw=f"decision={decision}", headers=form)
        assert answer.status == 200, answer.text
    expected = {"approve": "succeeded", "fail": "failed", None: "canceled"}[decision]
    assert _payment(stage, made["id"], who)["status"] == expected


def test_a_payment_that_cannot_be_read_raises_an_alert_when_it_is_too_old(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    lost = {**SALE, "payment_method": "tok_timeout"}
    made = _post(stage, "/v1/payments", lost, token_of(shop["id"]))
    _spoil(stage, "payments", {"id": {"S": made["id"]}}, "amount", {"S": "many"})
    _payments_later(resolver_services(), timedelta(hours=2), monkeypatch)
    assert stage.api.resolve()["too_old"] == 1
    assert made["id"] in [alert["entity_id"] for alert in _alerts(stage, "unknown_too_old")]


def test_a_lost_answer_is_stored_under_a_new_key_after_a_year(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    made = _post(stage, "/v1/payments", {**SALE, "payment_method": "tok_timeout"}, who)
    _age_keys(resolver_services(), monkeypatch)
    _payments_later(resolver_services(), timedelta(minutes=2), monkeypatch)
    assert stage.api.resolve()["resolved"] >= 1
    assert _payment(stage, made["id"], who)["status"] == "succeeded"


def test_the_poll_finishes_a_refund_that_failed_before_its_answer_was_stored(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    who = token_of(shop["id"], f"{EVERYTHING} refunds")
    made = _post(stage, "/v1/payments", SALE, who)
    with pytest.MonkeyPatch.context() as machine:

        def record_outcome(*_: Any, **__: Any) -> None:
            raise RuntimeError("the environment ends here")

        machine.setattr(PaymentRepository, "record_outcome", record_outcome)
        headers = {"idempotency-key": uuid.uuid4().hex}
        path = f"/v1/payments/{made['id']}/refund"
        answer = stage.api("POST", path, {"amount": 300}, headers=headers, authorizer=who)
        assert answer.status == 500
    refund = _payment(stage, made["id"], who)["transactions"][-1]
    assert (refund["type"], refund["status"]) == ("refund", "pending")
    sandbox = SandboxChargeRepository(process_services().store)
    row = sandbox.recall(refund["id"])
    assert row is not None
    now = real_outside().now()
    sandbox.return_refund(row, f"evt_{uuid.uuid4().hex}", to_timestamp(now), token=uuid.uuid4().hex)
    services = poll_services()
    _age_keys(services, monkeypatch)
    polls = services.poll_dependencies
    payments = replace(polls.events.payments, outside=later(services.outside, timedelta(minutes=9)))
    events = replace(polls.events, payments=payments)
    monkeypatch.setattr(services, "poll_dependencies", replace(polls, events=events))
    assert stage.api.poll()["failed"] == 0
    after = _payment(stage, made["id"], who)
    assert after["transactions"][-1]["status"] == "failed"
    assert after["amount_refunded"] == 0


# ------------------------------------------------------------------ settlements


def test_missing_transactions_of_a_day_are_added_to_its_settlement(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    paid = {_post(stage, "/v1/payments", SALE, who)["id"] for _ in range(2)}
    monkeypatch.setattr(sweep, "LINES_PER_COMMIT", 1)
    services = missing_services()
    outside = later(services.outside, timedelta(days=30))
    monkeypatch.setattr(services, "dependencies", replace(services.dependencies, outside=outside))
    assert stage.api.sweep_missing()["missing"] >= 2
    (settlement,) = stage.api("GET", "/v1/settlements", authorizer=who).body["data"]
    assert settlement["counts"] == {"missing": 2}
    path = f"/v1/settlements/{settlement['id']}/lines"
    lines = stage.api("GET", path, authorizer=who).body["data"]
    assert {line["payment_id"] for line in lines} == paid


def test_a_file_in_another_encoding_is_converted(stage: Stage) -> None:
    shop = stage.shop()
    key = f"reconciliation/{shop['id']}/latin.csv"
    text = f"{HEADER}\npay_1,txn_1,settled,10,1,9,USD,,\n"
    stage.aws.client("s3").put_object(Bucket=stage.bucket, Key=key, Body=text.encode("utf-16"))
    assert stage.api.reconcile(key)["batchItemFailures"] == []
    stage.work_settlement_queue()
    who = token_of(shop["id"])
    (settlement,) = stage.api("GET", "/v1/settlements", authorizer=who).body["data"]
    assert settlement["counts"] == {"unexpected": 1}


def test_a_line_without_our_reference_is_settled_by_the_id_of_the_processor(stage: Stage) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    charge = _payment(stage, _post(stage, "/v1/payments", SALE, who)["id"], who)["transactions"][0]
    key = f"reconciliation/{shop['id']}/itemized.csv"
    columns = "balance_transaction_id,reporting_category,currency,gross,fee,net,source_id,payout_id"
    gross, fee = charge["amount"], charge["fee"]
    money = ",".join(f"{each / 100:.2f}" for each in (gross, fee, gross - fee))
    line = f"txn_{uuid.uuid4().hex},charge,usd,{money},{charge['processor_id']},"
    stage.aws.client("s3").put_object(
        Bucket=stage.bucket, Key=key, Body=f"{columns}\n{line}\n".encode()
    )
    assert stage.api.reconcile(key)["batchItemFailures"] == []
    stage.work_settlement_queue()
    (settlement,) = stage.api("GET", "/v1/settlements", authorizer=who).body["data"]
    assert settlement["counts"] == {"matched": 1}


def test_a_conversion_that_is_cut_off_leaves_no_parts_behind(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    key = f"reconciliation/{shop['id']}/long.csv"
    line = "pay_1,txn_1,settled,10,1,9,USD,,\n"
    text = f"{HEADER}\n" + line * (2 * PART_BYTES // len(line))
    s3 = stage.aws.client("s3")
    s3.put_object(Bucket=stage.bucket, Key=key, Body=text.encode("utf-16"))
    services, blocks = reconcile_services(), itertools.count()
    enough = 3 * PART_BYTES // READ_BYTES  # of two bytes a character: one part and a half
    stopping = replace(services.reconciliation, must_stop=lambda: next(blocks) > enough)
    monkeypatch.setattr(services, "reconciliation", stopping)
    with pytest.raises(BatchProcessingError):
        stage.api.reconcile(key)
    assert not s3.list_multipart_uploads(Bucket=stage.bucket).get("Uploads")
    assert not s3.list_objects_v2(Bucket=stage.bucket, Prefix="converted/long").get("Contents")


# ------------------------------------------------------------------ accounts


def test_the_shards_of_a_hot_account_are_emptied_when_it_is_closed(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    wallet = {"account_type": "wallet", "currency": "USD", "merchant_id": shop["id"]}
    source = _post(stage, "/v1/accounts", {**wallet, "opening_balance": 5_000}, OPERATOR)["id"]
    hot = _post(stage, "/v1/accounts", {**wallet, "posting": "folded"}, OPERATOR)["id"]
    move = {"amount": 5, "currency": "USD", "merchant_id": shop["id"]}
    there = {**move, "from_account_id": source, "to_account_id": hot}
    back = {**move, "from_account_id": hot, "to_account_id": source}
    _post(stage, "/v1/transfers", there, OPERATOR)
    stage.project()
    _post(stage, "/v1/transfers", back, OPERATOR)
    who = {"merchant_id": shop["id"]}
    _post(stage, f"/v1/accounts/{hot}/deactivate", who, OPERATOR)
    outside = later(real_outside(), timedelta(minutes=11))
    monkeypatch.setattr(process_services(), "outside", outside)
    closed = _post(stage, f"/v1/accounts/{hot}/close", who, OPERATOR)
    assert (closed["status"], closed["balance"]) == ("closed", 0)
    stage.project()
    assert hot not in [alert["entity_id"] for alert in _alerts(stage, "out_of_band")]


def test_an_operator_finds_an_account_by_its_number_among_all_merchants(stage: Stage) -> None:
    wallet = {"account_type": "wallet", "currency": "USD", "account_number": uuid.uuid4().hex}
    owned = [
        _post(stage, "/v1/accounts", {**wallet, "merchant_id": stage.shop()["id"]}, OPERATOR)["id"]
        for _ in range(2)
    ]
    query = f"account_number={wallet['account_number']}"
    found = stage.api("GET", "/v1/accounts", query=query, authorizer=OPERATOR).body["data"]
    assert {account["id"] for account in found} == set(owned)


def test_a_hot_account_whose_shards_are_busy_gets_more_of_them(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    wallet = {"account_type": "wallet", "currency": "USD", "merchant_id": shop["id"]}
    source = _post(stage, "/v1/accounts", {**wallet, "opening_balance": 5_000}, OPERATOR)["id"]
    hot = _post(stage, "/v1/accounts", {**wallet, "posting": "folded"}, OPERATOR)["id"]
    move = {"from_account_id": source, "to_account_id": hot, "amount": 5, "currency": "USD"}
    _post(stage, "/v1/transfers", {**move, "merchant_id": shop["id"]}, OPERATOR)
    credit = ShardRepository.credit

    def as_if_busy(*arguments: Any) -> int:
        return max(credit(*arguments), BUSY_SHARDS)

    monkeypatch.setattr(ShardRepository, "credit", as_if_busy)
    stage.project()
    key = {"id": {"S": hot}, "shard": {"S": "00"}}
    row = stage.dynamodb.get_item(TableName=stage.tables["accounts"], Key=key)["Item"]
    assert int(row["credit_shards"]["N"]) == 2 * FIRST_CREDIT_SHARDS


# ------------------------------------------------------------------ webhooks


def _notified(stage: Stage) -> tuple[Any, str]:
    """A shop with an endpoint, and its payment."""
    shop = stage.shop(webhook_url="https://shop.example.com/hooks")
    return shop, _post(stage, "/v1/payments", SALE, token_of(shop["id"]))["id"]


def test_a_record_that_comes_again_a_year_later_finds_its_webhook(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop, _ = _notified(stage)
    services, seen = project_services(), list[Any]()
    handler = stage.api.modules["project"].handler

    def noting(event: Any, context: Any) -> Any:
        seen.extend(event["Records"])
        return handler(event, context)

    monkeypatch.setattr(stage.api.modules["project"], "handler", noting)
    stage.project_payments()
    _age_keys(services, monkeypatch)
    assert stage.api.project(*seen) == {"batchItemFailures": []}
    listed = stage.api("GET", "/v1/webhooks", authorizer=token_of(shop["id"])).body["data"]
    assert len({each["id"] for each in listed}) == len(listed) > 0


def test_a_webhook_that_cannot_be_decrypted_raises_an_alert(stage: Stage) -> None:
    shop, _ = _notified(stage)
    stage.project_payments()
    (hook, *_) = stage.api("GET", "/v1/webhooks", authorizer=token_of(shop["id"])).body["data"]
    key = {"id": {"S": hook["id"]}}
    row = stage.dynamodb.get_item(TableName=stage.tables["webhooks"], Key=key)["Item"]
    _spoil(stage, "webhooks", key, "payload", _changed(row["payload"]))
    order = DeliveryOrder(id=hook["id"], merchant_id=shop["id"], version=hook["version"])
    stage.api.deliver(("message", order.model_dump_json()))
    assert hook["id"] in str(_alerts(stage, "decryption_failure"))


def _changed(value: Any) -> Any:
    """The encrypted value with its last byte changed."""
    ((kind, data),) = value.items()
    if isinstance(data, bytes):
        return {kind: data[:-1] + bytes([data[-1] ^ 1])}
    return {kind: data[:-1] + ("A" if data[-1] != "A" else "B")}


# ------------------------------------------------------------------ keys


def test_a_row_that_cannot_be_renewed_raises_an_alert_and_old_index_keys_are_retired(
    stage: Stage, monkeypatch: Machine
) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    people = [
        _post(stage, "/v1/customers", {"name": name, "email": f"{name}@example.com"}, who)["id"]
        for name in ("ada", "bob")
    ]
    services = rotation_services()
    assert "written_by_from" in stage.api.rotate(new_index_key=True)
    key = {"id": {"S": people[0]}}
    row = stage.dynamodb.get_item(TableName=stage.tables["customers"], Key=key)["Item"]
    _spoil(stage, "customers", key, "name", _changed(row["name"]))

    def sweep_after(passed: timedelta) -> Any:
        outside = later(services.outside, passed)
        monkeypatch.setattr(services, "deps", replace(services.deps, outside=outside))
        monkeypatch.setattr(services.key_ring, "_outside", outside)
        services.key_ring._cache.forget(lambda _: True)
        return stage.api.rotate(again=True)

    report = sweep_after(A_YEAR)
    assert report["tables"]["customers"]["failed"] == 1, report
    assert report["retired"] == []
    assert people[0] in str(_alerts(stage, "decryption_failure"))
    _spoil(stage, "customers", key, "name", row["name"])
    assert len(sweep_after(A_YEAR + 2 * INDEX_REST)["retired"]) == 1
