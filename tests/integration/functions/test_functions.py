"""The functions as deployed: settings from the environment, and their own clients."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from runtime.alerts.models import AlertFacts, AlertType
from runtime.alerts.raising import raise_alert
from runtime.alerts.repository import AlertRepository
from runtime.audit.chain import version_key
from runtime.audit.projection.rows import AuditableChange, AuditRows
from runtime.audit.repository import AuditRepository
from runtime.functions.project import project_services
from runtime.streams.records import Kind, StreamRecord
from tests.support.fakes import START
from tests.support.http import OPERATOR, functions, token_of
from tests.support.outside import new_id
from tests.support.stages.running_stage import Stage


def pay(stage: Stage, shop: dict[str, Any], method: str = "tok_approved") -> Any:
    body = {"amount": 1000, "currency": "USD", "payment_method": method}
    headers = {"idempotency-key": uuid.uuid4().hex}
    who = token_of(shop["id"])
    return stage.api("POST", "/v1/payments", body, headers=headers, authorizer=who)


def line_of(stage: Stage, shop: dict[str, Any], payment_id: str) -> str:
    detail = stage.api("GET", f"/v1/payments/{payment_id}", authorizer=token_of(shop["id"]))
    (row,) = detail.body["transactions"]
    net = row["amount"] - row["fee"]
    return f"{payment_id},{row['id']},settled,{row['amount']},{row['fee']},{net},USD,,"


def test_a_shop_is_created_paid_listed_summarized_and_settled(stage: Stage) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    tokens = ["tok_approved"] * 5 + ["tok_declined"] * 2 + ["tok_timeout"]
    statuses = Counter(pay(stage, shop, token).status for token in tokens)
    assert statuses == {201: 5, 402: 2, 202: 1}
    assert stage.api.resolve()["resolved"] >= 1
    listed = stage.api("GET", "/v1/payments", query="limit=100", authorizer=who).body["data"]
    assert Counter(row["status"] for row in listed) == {"succeeded": 6, "failed": 2}
    stage.project_payments()
    assert stage.api.fold_totals()["finished"]
    summary = stage.api("GET", "/v1/payments/summary", authorizer=who).body
    assert (summary["total_count"], summary["by_currency"]["USD"]["captured"]) == (8, 6000)
    paid = [row["id"] for row in listed if row["status"] == "succeeded"]
    key = f"reconciliation/{shop['id']}/2026-03-15.csv"
    stage.put(key, *(line_of(stage, shop, each) for each in paid), "one wrong line")
    assert stage.api.reconcile(key)["batchItemFailures"] == []
    assert stage.work_settlement_queue() == 1
    (settlement,) = stage.api("GET", "/v1/settlements", authorizer=who).body["data"]
    assert settlement["counts"] == {"matched": 6, "invalid": 1}
    assert settlement["totals"]["USD"] == {"amount": 6000, "fee": 6 * 59, "net": 6000 - 6 * 59}
    path = f"/v1/settlements/{settlement['id']}/lines"
    (wrong,) = stage.api("GET", path, query="status=invalid", authorizer=who).body["data"]
    assert (wrong["line"], wrong["reason"]) == (8, "1 columns instead of 9")


def test_the_uploaded_version_is_read_although_a_newer_one_exists(stage: Stage) -> None:
    shop = stage.shop()
    payment = pay(stage, shop).body["id"]
    key = f"reconciliation/{shop['id']}/2026-03-16.csv"
    first = stage.put(key, line_of(stage, shop, payment))
    stage.put(key, "replaced,before,it,was,read")
    answer = stage.api.reconcile(key, **{"version-id": first["VersionId"]})
    assert answer["batchItemFailures"] == []
    stage.work_settlement_queue()
    who = token_of(shop["id"])
    (settlement,) = stage.api("GET", "/v1/settlements", authorizer=who).body["data"]
    assert settlement["counts"] == {"matched": 1}


def test_a_long_file_is_processed_in_chunks_through_the_queue(
    stage: Stage,
) -> None:
    shop = stage.shop()
    key = f"reconciliation/{shop['id']}/2026-03-17.csv"
    stage.put(key, *(f"pay_{n},txn_{n},settled,10,1,9,USD,," for n in range(1_500)))
    assert stage.api.reconcile(key)["batchItemFailures"] == []
    sqs = stage.aws.client("sqs")
    (first, *_) = sqs.receive_message(QueueUrl=stage.queue_url)["Messages"]
    handle = {"QueueUrl": stage.queue_url, "ReceiptHandle": first["ReceiptHandle"]}
    # It stops 30 s before its end: a quarter of a second is enough for some commits, never all.
    try:
        stage.api.reconcile_messages(first["Body"], seconds=30.25)
    except BatchProcessingError:  # on a busy machine for none: the queue delivers it again
        sqs.change_message_visibility(**handle, VisibilityTimeout=0)
    else:
        sqs.delete_message(**handle)
    assert stage.work_settlement_queue() == 2
    who = token_of(shop["id"])
    (settlement,) = stage.api("GET", "/v1/settlements", authorizer=who).body["data"]
    assert settlement["status"] == "completed_with_exceptions"
    assert settlement["counts"] == {"unexpected": 1_500}


def test_an_object_under_a_wrong_key_is_rejected_and_moved(stage: Stage) -> None:
    key = f"elsewhere/{new_id('key', datetime.now(UTC))}.csv"
    version = stage.put(key, "x")["VersionId"]
    for _ in range(2):  # the event may arrive twice
        answer = stage.api.reconcile(key, **{"version-id": version})
        assert answer["batchItemFailures"] == []
    bucket = stage.aws.client("s3")
    found = bucket.list_objects_v2(Bucket=stage.bucket, Prefix="rejected/").get("Contents", [])
    assert [each["Key"] for each in found] == [f"rejected/{key}"]
    files = stage.api("GET", "/v1/settlement-files", query="status=rejected").body["data"]
    assert [(each["name"], "merchant's folder" in each["reason"]) for each in files] == [
        (key.partition("/")[2], True)
    ]


def test_personal_data_is_encrypted_with_keys_wrapped_by_kms(stage: Stage) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    body = {"name": "Jane Doe", "email": "Jane@Example.com"}
    made = stage.api("POST", "/v1/customers", body, authorizer=who)
    fresh = functions()  # another execution environment: nothing is cached
    seen = fresh("GET", f"/v1/customers/{made.body['id']}", authorizer=who)
    assert (seen.status, seen.body) == (200, made.body)


def test_a_merchant_lists_its_own_alerts_and_an_operator_all(stage: Stage) -> None:
    shops = [stage.shop(), stage.shop()]
    for number in range(7):
        for shop in shops:
            alert(stage, shop["id"], number)
    mine = [shop["id"] for shop in shops]
    for shop in shops:
        rows = listed_alerts(stage, token_of(shop["id"], "reports"))
        assert [row["entity_id"] for row in rows] == [
            f"{shop['id']}_{n}" for n in reversed(range(7))
        ]
        assert {row["merchant_id"] for row in rows} == {shop["id"]}
        assert set(rows[0]) == {
            "id",
            "type",
            "merchant_id",
            "entity_id",
            "detail",
            "created_at",
        }
        assert listed_alerts(stage, OPERATOR, f"&merchant_id={shop['id']}") == rows
    rows = [row for row in listed_alerts(stage, OPERATOR) if row["merchant_id"] in mine]
    order = [(row["created_at"], row["id"]) for row in rows]
    assert (len(rows), order) == (14, sorted(order, reverse=True))
    first = stage.api("GET", "/v1/alerts", query="limit=3", authorizer=OPERATOR).body
    query = f"limit=3&merchant_id={mine[0]}&cursor={first['next_cursor']}"
    assert stage.api("GET", "/v1/alerts", query=query, authorizer=OPERATOR).status == 400
    foreign = f"merchant_id={mine[1]}"
    who = token_of(mine[0], "reports")
    assert stage.api("GET", "/v1/alerts", query=foreign, authorizer=who).status == 403
    lacking = token_of(mine[0], "payments")
    assert stage.api("GET", "/v1/alerts", authorizer=lacking).status == 403


def alert(stage: Stage, merchant_id: str, number: int) -> None:
    finding = AlertFacts(
        AlertType.LARGE_TRANSACTION,
        entity_type="payment",
        entity_id=f"{merchant_id}_{number}",
        merchant_id=merchant_id,
        detail={"amount": number},
        at=START + timedelta(seconds=number),
    )
    assert raise_alert(finding, AlertRepository(project_services().store))


def listed_alerts(stage: Stage, who: dict[str, str], more: str = "") -> list[dict[str, Any]]:
    """All alerts that `who` sees, by pages of three."""
    rows: list[dict[str, Any]] = []
    query = f"limit=3{more}"
    while True:
        page = stage.api("GET", "/v1/alerts", query=query, authorizer=who)
        assert page.status == 200, page.text
        rows += page.body["data"]
        if not page.body["has_more"]:
            return rows
        query = f"limit=3{more}&cursor={page.body['next_cursor']}"


def test_an_audit_trail_is_read_and_verified_and_not_found_by_others(stage: Stage) -> None:
    shop, other = stage.shop(), stage.shop()
    trail = AuditRows(lambda _: 1)
    image = {"id": {"S": f"acc_{shop['id']}"}, "merchant_id": {"S": shop["id"]}}
    image |= {"version": {"N": "1"}, "changed_by": {"S": "user"}}
    image |= {"updated_at": {"S": "2026-03-14T09:00:00.000Z"}}
    reported = AuditableChange.of(StreamRecord("accounts", Kind.INSERT, "1", None, image))
    row = trail.of_version(reported, version_key(1), None)
    AuditRepository(project_services().store).append(row)
    who, path = token_of(shop["id"]), f"/v1/audit/{row.entity_id}/verify"
    listed = stage.api("GET", "/v1/audit", query=f"entity_id={row.entity_id}", authorizer=who)
    assert [each["hash"] for each in listed.body["data"]] == [row.hash]
    for filters in (f"action={row.action}", "user_id=user"):
        found = stage.api("GET", "/v1/audit", query=filters, authorizer=who).body["data"]
        assert [each["entity_id"] for each in found] == [row.entity_id]
    verdict = stage.api("GET", path, authorizer=who).body
    assert (verdict["valid"], verdict["length"], verdict["head_hash"]) == (True, 1, row.hash)
    assert stage.api("GET", path, authorizer=token_of(other["id"])).status == 404
    assert stage.api("GET", path, authorizer=token_of(shop["id"], "payments")).status == 403
    assert stage.api("GET", "/v1/audit", authorizer=who).status == 422


def test_the_archive_stores_rows_alerts_on_edits_and_signs_roots(stage: Stage) -> None:
    entity = f"acc_{uuid.uuid4().hex}"
    image = {"id": {"S": entity}, "version": {"N": "1"}, "changed_by": {"S": "user"}}
    image["updated_at"] = {"S": "2026-03-14T09:00:00.000Z"}
    reported = AuditableChange.of(StreamRecord("accounts", Kind.INSERT, "1", None, image))
    row = AuditRows(lambda _: 1).of_version(reported, version_key(1), None)
    item = project_services().store.codec.to_item(row)
    new = {"SequenceNumber": "1".zfill(21), "ApproximateCreationDateTime": 1_800_000_000}
    arn = f"arn:aws:dynamodb:eu-west-1:1:table/{stage.tables['audit_log']}/stream/x"
    records = [
        {"eventSourceARN": arn, "eventName": "INSERT", "dynamodb": {**new, "NewImage": item}},
        {
            "eventSourceARN": arn,
            "eventName": "REMOVE",
            "dynamodb": {**new, "SequenceNumber": "2".zfill(21), "OldImage": item},
        },
    ]
    for _ in range(2):
        assert stage.api.archive(*records) == {"batchItemFailures": []}
    alerts = stage.api("GET", "/v1/alerts", query="limit=100").body["data"]
    assert [each["detail"]["kind"] for each in alerts if each["entity_id"] == entity] == ["REMOVE"]
    closed = stage.api.close_archive()
    assert (closed["complete"], closed["rows"]) == (True, 1)
    assert stage.api.close_archive()["roots"] == 0
