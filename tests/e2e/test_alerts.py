"""Alerts over HTTP, within seconds of the event; and a redrive of failed batches."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from local.errors import LocalError
from local.progress import Progress
from operations.redrive import FUNCTION_OF_TABLE, PROJECTOR, RedriveReport, list_batches, redrive
from operations.redrive_target import deployed_target, local_target
from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS


def settled(read: Callable[[], Any], count: int) -> Any:
    """Waits for what a stream derives; it takes seconds."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len(found := read()) < count:
        assert time.monotonic() < until, found
        time.sleep(0.2)
    return found


def alerts(shop: Shop) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = shop.client.get("/v1/alerts").require(200)["data"]
    return rows


def pay(shop: Shop, amount: int, **more: Any) -> str:
    body = {"amount": amount, "currency": "USD", "payment_method": "tok_approved", **more}
    paid: str = shop.client.post("/v1/payments", body, key=uuid4().hex).require(201)["id"]
    return paid


def test_a_large_payment_and_a_high_velocity_customer_alert_only_their_merchant(
    deployment: Deployment, shop: Shop
) -> None:
    large = pay(shop, 1_000_000)
    pay(shop, 999_999)
    (alert,) = settled(lambda: alerts(shop), 1)
    assert (alert["type"], alert["entity_id"]) == ("large_transaction", large)
    assert alert["merchant_id"] == shop.merchant_id
    assert alert["detail"] == {
        "entity_type": "payment",
        "amount": 1_000_000,
        "currency": "USD",
        "status": "succeeded",
    }
    person = {"name": "Grace", "email": f"{uuid4().hex}@example.com"}
    customer = shop.client.post("/v1/customers", person).require(201)["id"]
    paid = [pay(shop, 100, customer_id=customer) for _ in range(5)]
    newest, _ = settled(lambda: alerts(shop), 2)
    assert (newest["type"], newest["entity_id"]) == ("suspicious_velocity", customer)
    assert newest["detail"]["payment_ids"] == paid
    assert alerts(deployment.shop()) == []
    of_all = deployment.operator.get("/v1/alerts", limit=100).require(200)["data"]
    assert {each["id"] for each in alerts(shop)} <= {each["id"] for each in of_all}


@pytest.mark.emulator("it reads or edits the tables behind the API")
@pytest.mark.usefixtures("aws_shell")
def test_a_failed_batch_is_redriven_through_the_deployed_function(
    deployment: Deployment, shop: Shop
) -> None:
    target = local_target(deployment.stack)
    large = pay(shop, 2_000_000)
    settled(lambda: alerts(shop), 1)
    table = deployment.stack.tables["payments"]
    item = deployment.aws.dynamodb.get_item(TableName=table, Key={"id": {"S": large}})["Item"]
    late = f"{large}x"
    record = {
        "eventID": "1",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
        "awsRegion": deployment.stack.region,
        "dynamodb": {
            "ApproximateCreationDateTime": time.time(),
            "Keys": {"id": {"S": late}},
            "NewImage": {**item, "id": {"S": late}, "version": {"N": "1"}},
            "SequenceNumber": "100000000000000000001",
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": f"arn:aws:dynamodb:eu-west-1:000000000000:table/{table}/stream/x",
    }
    document = {
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "payload": json.dumps({"Records": [record]}),
    }
    deployment.aws.files.put_object(
        Bucket=target.bucket, Key="aws/lambda/mapping/shard/1", Body=json.dumps(document).encode()
    )
    (line,) = list_batches(target)
    assert "1 records of" in line
    by_outputs = deployed_target("local")
    assert list(list_batches(by_outputs)) == [line]
    for role in (PROJECTOR, *FUNCTION_OF_TABLE.values()):
        assert by_outputs.functions[role] == target.functions[role]
    with pytest.raises(LocalError, match="'nowhere' could not be found"):
        deployed_target("nowhere")
    assert redrive(by_outputs, Progress()) == RedriveReport(1, {})
    assert list(list_batches(target)) == []
    assert {each["entity_id"] for each in settled(lambda: alerts(shop), 2)} == {large, late}
