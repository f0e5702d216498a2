"""The overview for operators: what ran by schedule, how streams lag, what waits for a person."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import pytest

from local.emulator.cdk import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from local.schedules import tick
from runtime.ledger.accounts.models import NUMBER_GUARD_PREFIX
from stacks.dead_letters import DELIVERIES, dead_letter_queue
from tests.e2e.conftest import Deployment
from tests.e2e.test_payments import SALE
from tests.support.stages.patience import PATIENCE_SECONDS


def overview(deployment: Deployment) -> Any:
    return deployment.operator.get("/v1/operations").require(200)


@pytest.mark.emulator("it runs a schedule at once")
def test_a_run_of_a_schedule_is_shown(deployment: Deployment) -> None:
    before = overview(deployment)["as_of"]
    tick(deployment.stack, "holds")
    shown = {each["name"]: each for each in overview(deployment)["schedules"]}
    assert set(shown) == {*deployment.stack.schedules} - {"canary"}
    holds = shown["holds"]
    assert (holds["outcome"], holds["error"], holds["late"]) == ("succeeded", None, False)
    assert holds["last_started_at"] >= before
    assert holds["last_ended_at"] >= holds["last_started_at"]


def test_the_stage_reads_all_of_its_queues_and_schedules(deployment: Deployment) -> None:
    shown = overview(deployment)
    assert {each["name"] for each in shown["schedules"]} >= {"holds", "proof", "resolver"}
    counts = {row["queue"]: row["messages"] for row in shown["dead_letters"]}
    assert set(counts) >= {DELIVERIES, "resolver"}
    assert None not in counts.values(), counts


@pytest.mark.emulator("it puts a message into a queue")
def test_a_message_in_a_dead_letter_queue_is_counted(deployment: Deployment) -> None:
    sqs = boto3.client(
        "sqs",
        endpoint_url=deployment.stack.aws_endpoint_url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
    )
    url = sqs.get_queue_url(QueueName=dead_letter_queue("local", DELIVERIES))["QueueUrl"]

    def waiting() -> int:
        rows = overview(deployment)["dead_letters"]
        assert all(row["messages"] is not None for row in rows), rows
        assert {row["queue"] for row in rows} >= {DELIVERIES, *deployment.stack.schedules}
        return int(next(row["messages"] for row in rows if row["queue"] == DELIVERIES))

    before = waiting()
    sqs.send_message(QueueUrl=url, MessageBody=uuid4().hex)
    assert waiting() == before + 1
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def stream_of(deployment: Deployment, table: str) -> Any:
    return next(each for each in overview(deployment)["streams"] if each["name"] == table)


def eventually(deployment: Deployment, table: str, wanted: Callable[[Any], bool]) -> Any:
    """The stream, as soon as it is as wanted."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted(shown := stream_of(deployment, table)):
        assert time.monotonic() < deadline, f"still not as wanted: {shown}"
        time.sleep(0.5)
    return shown


def test_a_stream_shows_its_lag_after_a_payment(deployment: Deployment) -> None:
    before = overview(deployment)["as_of"]
    shop = deployment.shop()

    def pays_and_is_noted(stream: Any) -> bool:
        # Each environment notes a batch every ten seconds, so the first one may be too early.
        shop.client.post("/v1/payments", SALE, key=uuid4().hex).require(201)
        return bool(stream["last_batch_at"]) and bool(stream["last_batch_at"] >= before)

    payments = eventually(deployment, "payments", pays_and_is_noted)
    assert payments["failing"] is False
    assert payments["lag_seconds"] >= 0
    assert eventually(deployment, "audit_log", lambda stream: bool(stream["last_batch_at"]))


@pytest.mark.emulator("it invokes the projector")
def test_a_batch_that_fails_is_shown_failing_until_its_retry_succeeds(
    deployment: Deployment,
) -> None:
    created = int(time.time()) - 5
    unreadable, ignored = {"id": "not an attribute"}, {"id": {"S": f"{NUMBER_GUARD_PREFIX}x"}}

    def invoke(image: Any) -> Any:
        """The projector with a record of the stream of exports, as Lambda invokes it."""
        table = deployment.stack.tables["exports"]
        record = {
            "eventName": "INSERT",
            "dynamodb": {
                "ApproximateCreationDateTime": created,
                "NewImage": image,
                "SequenceNumber": f"1{created}",
            },
            "eventSourceARN": f"arn:aws:dynamodb:eu-west-1:000000000000:table/{table}/stream/x",
        }
        return deployment.aws.functions.invoke(
            FunctionName=deployment.stack.functions["project"],
            Payload=json.dumps({"Records": [record]}).encode(),
        )

    assert invoke(unreadable).get("FunctionError")
    failing = stream_of(deployment, "exports")
    assert (failing["failing"], failing["late"]) == (True, True)
    grown = eventually(
        deployment, "exports", lambda stream: stream["lag_seconds"] > failing["lag_seconds"] >= 5
    )
    assert grown["last_batch_at"] == failing["last_batch_at"]

    def is_repaired(stream: Any) -> bool:
        # An environment that has noted another batch a moment ago does not note this one.
        assert not invoke(ignored).get("FunctionError")
        return stream["failing"] is False

    assert eventually(deployment, "exports", is_repaired)["late"] is False


def test_a_merchant_does_not_see_it(deployment: Deployment) -> None:
    shop = deployment.shop()
    assert shop.client.get("/v1/operations").status == 403
