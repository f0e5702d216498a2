"""The audit log on a deployed stack: written, archived, signed, verified, and tampered with."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console

from local.demo.audit import audit
from local.schedules import tick
from operations.audit.target import local_target
from operations.audit.verification import AuditVerificationReport
from operations.cli import main
from operations.verify_audit import verified
from runtime.audit.chain import sealed
from runtime.audit.models import AuditRow
from runtime.dynamodb.codec import Codec, NoCipher
from tests.e2e.conftest import Deployment, Shop
from tests.support.audit.javascript import first_bad
from tests.support.stages.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.emulator("it reads or edits the tables behind the API")

CODEC = Codec(NoCipher())


def settles(read: Callable[[], Any], expected: Any) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while (found := read()) != expected:
        assert time.monotonic() < until, found
        time.sleep(0.3)


class Log:
    """Direct access to the deployed audit table; `restore` undoes the tampering."""

    def __init__(self, deployment: Deployment) -> None:
        self._dynamodb = deployment.aws.dynamodb
        self._table = deployment.stack.tables["audit_log"]
        self._before: dict[str, Any] = {}

    def rows(self, entity: str) -> list[AuditRow]:
        found = self._dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="entity_id = :entity",
            ExpressionAttributeValues={":entity": {"S": entity}},
            ConsistentRead=True,
        )
        return [CODEC.to_row(AuditRow.table_schema, item, AuditRow) for item in found["Items"]]

    def put(self, row: AuditRow) -> None:
        self._remember(row)
        self._dynamodb.put_item(TableName=self._table, Item=CODEC.to_item(row))

    def delete(self, row: AuditRow) -> None:
        self._remember(row)
        self._dynamodb.delete_item(TableName=self._table, Key=self._key(row))

    def restore(self) -> None:
        for key, item in self._before.items():
            entity, sequence = key.split("|")
            if item is None:
                where = {"entity_id": {"S": entity}, "sequence": {"S": sequence}}
                self._dynamodb.delete_item(TableName=self._table, Key=where)
            else:
                self._dynamodb.put_item(TableName=self._table, Item=item)

    def _remember(self, row: AuditRow) -> None:
        key = f"{row.entity_id}|{row.sequence}"
        if key not in self._before:
            answer = self._dynamodb.get_item(TableName=self._table, Key=self._key(row))
            self._before[key] = answer.get("Item")

    def _key(self, row: AuditRow) -> Any:
        return {"entity_id": {"S": row.entity_id}, "sequence": {"S": row.sequence}}


@pytest.fixture
def log(deployment: Deployment) -> Iterator[Log]:
    log = Log(deployment)
    yield log
    log.restore()


def paid(shop: Shop) -> str:
    """A payment of several versions: authorized, partially captured, and refunded."""
    body = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
    made = shop.client.post(
        "/v1/payments", {**body, "capture_method": "manual"}, key=uuid4().hex
    ).require(201)
    path = f"/v1/payments/{made['id']}"
    shop.client.post(f"{path}/capture", {"amount": 800}, key=uuid4().hex).require(200)
    shop.client.post(f"{path}/refund", {"amount": 100}, key=uuid4().hex).require(200)
    identifier: str = made["id"]
    return identifier


def audited(shop: Shop, payment_id: str) -> list[Any]:
    """The payment's rows once each of its versions has one, newest first."""
    version = shop.client.get(f"/v1/payments/{payment_id}").require(200)["version"]
    path = "/v1/audit"

    def versions() -> Any:
        answer = shop.client.get(path, entity_id=payment_id)
        return (
            [row["version"] for row in answer.require(200)["data"]] if answer.status == 200 else []
        )

    settles(versions, list(range(version, 0, -1)))
    rows: list[Any] = shop.client.get(path, entity_id=payment_id).require(200)["data"]
    return rows


def verified_in_the_end(deployment: Deployment, entity: str) -> AuditVerificationReport:
    return verified(local_target(deployment.stack), only=entity, patience_seconds=PATIENCE_SECONDS)


def places(deployment: Deployment, entity: str) -> list[tuple[str, int, str]]:
    report = verified(local_target(deployment.stack), only=entity)
    return [(f.subject, f.position, f.sequence) for f in report.findings]


def test_the_history_of_a_payment_is_logged_archived_and_signed(
    deployment: Deployment, shop: Shop
) -> None:
    payment_id = paid(shop)
    rows = audited(shop, payment_id)
    assert {row["merchant_id"] for row in rows} == {shop.merchant_id}
    for newer, older in pairwise(rows):
        assert newer["prev_hash"] == older["hash"]
    verdict = shop.client.get(f"/v1/audit/{payment_id}/verify").require(200)
    assert (verdict["valid"], verdict["length"]) == (True, len(rows))
    assert verdict["head_hash"] == rows[0]["hash"]
    recorded = {"entity_id": payment_id, "order": "asc", "include": "record"}
    whole = shop.client.get("/v1/audit", **recorded).require(200)["data"]
    assert [row["hash"] for row in whole] == [row["hash"] for row in reversed(rows)]
    assert first_bad(whole) is None
    by_user = shop.client.get("/v1/audit", user_id=rows[0]["user_id"]).require(200)["data"]
    assert payment_id in {row["entity_id"] for row in by_user}
    assert deployment.shop().client.get(f"/v1/audit/{payment_id}/verify").status == 404
    report = verified_in_the_end(deployment, payment_id)
    assert report.findings == ()
    assert (report.young, report.archived) == (0, len(rows))
    closed, _ = tick(deployment.stack, "archive")
    assert closed["complete"]
    again, _ = tick(deployment.stack, "archive")
    assert again["last_number"] >= closed["last_number"] >= 1


def test_archived_objects_are_locked(deployment: Deployment, shop: Shop) -> None:
    audited(shop, paid(shop))
    bucket, s3 = deployment.stack.buckets["audit"], deployment.aws.files
    settles(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="rows/")["KeyCount"] > 0, True)
    found = s3.list_object_versions(Bucket=bucket, Prefix="rows/")["Versions"][0]
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])


def test_every_kind_of_tampering_is_found_at_its_position(
    deployment: Deployment, shop: Shop, log: Log
) -> None:
    payment_id = paid(shop)
    audited(shop, payment_id)
    assert verified_in_the_end(deployment, payment_id).findings == ()
    rows = log.rows(payment_id)
    last = len(rows)
    edited = rows[1].model_copy(update={"user_id": "intruder"})

    log.put(edited)
    assert places(deployment, payment_id) == [(payment_id, 2, rows[1].sequence)]
    log.put(rows[1])

    log.delete(rows[-1])
    assert places(deployment, payment_id) == [(payment_id, last, rows[-1].sequence)]
    log.put(rows[-1])

    log.put(rows[1].model_copy(update={"sequence": rows[2].sequence}))
    log.put(rows[2].model_copy(update={"sequence": rows[1].sequence}))
    assert places(deployment, payment_id) == [(payment_id, 2, rows[1].sequence)]
    log.put(rows[1])
    log.put(rows[2])

    inserted = sealed(rows[1].model_copy(update={"sequence": rows[1].sequence + "#" + "1" * 40}))
    log.put(inserted)
    assert places(deployment, payment_id) == [(payment_id, 3, inserted.sequence)]
    log.delete(inserted)

    previous = rows[0].hash
    for row in [edited, *rows[2:]]:
        again = sealed(row.model_copy(update={"prev_hash": previous}))
        log.put(again)
        previous = again.hash
    chain = shop.client.get(f"/v1/audit/{payment_id}/verify").require(200)
    assert chain["valid"], "a rehashed tail is a valid chain"
    assert places(deployment, payment_id) == [(payment_id, 2, rows[1].sequence)]


@pytest.mark.usefixtures("aws_shell")
def test_the_command_reports_an_edit_and_fails_and_an_alert_is_raised(
    deployment: Deployment, shop: Shop, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = paid(shop)
    audited(shop, payment_id)
    asked = ["--state-dir", str(deployment.workspace.directory), "verify-audit"]
    one = [*asked, "--entity", payment_id]
    assert verified_in_the_end(deployment, payment_id).findings == ()
    assert main(one) == 0
    assert "Every chain is valid" in capsys.readouterr().out
    first = log.rows(payment_id)[0]
    log.put(first.model_copy(update={"ip_address": "192.0.2.99"}))
    assert main(one) == 1
    reported = capsys.readouterr()
    assert f"{payment_id}, position 1 (row {first.sequence})" in reported.out
    assert "The audit log is not valid" in reported.err
    assert main([*one, "--stage", "local"]) == 1
    assert f"{payment_id}, position 1 (row {first.sequence})" in capsys.readouterr().out

    def alerted() -> bool:
        alerts = shop.client.get("/v1/alerts").require(200)["data"]
        kinds = {
            (each["entity_id"], each["detail"].get("kind"))
            for each in alerts
            if each["detail"]["entity_type"] == "audit_row"
        }
        return (payment_id, "MODIFY") in kinds

    settles(alerted, True)


@pytest.mark.deep  # the demo's own test covers it, too
def test_the_demo_shows_tampering(deployment: Deployment, shop: Shop) -> None:
    payment_id = paid(shop)
    shown = io.StringIO()
    audit(deployment.stack, shop.client, payment_id, Console(file=shown, width=200))
    text = shown.getvalue()
    assert payment_id in text
    assert "does not match its hash: it was changed" in text
    assert verified(local_target(deployment.stack), only=payment_id).findings == ()
