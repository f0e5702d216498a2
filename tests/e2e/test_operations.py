"""The overview for operators: what ran by schedule, and what waits for a person."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import boto3
import pytest

from local.emulator.cdk import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from local.schedules import tick
from stacks.dead_letters import DELIVERIES, dead_letter_queue
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.emulator("it invokes schedules, and puts a message into a queue")


def overview(deployment: Deployment) -> Any:
    return deployment.operator.get("/v1/operations").require(200)


def test_a_run_of_a_schedule_is_shown(deployment: Deployment) -> None:
    before = overview(deployment)["as_of"]
    tick(deployment.stack, "holds")
    shown = {each["name"]: each for each in overview(deployment)["schedules"]}
    assert set(shown) == {*deployment.stack.schedules} - {"canary"}
    holds = shown["holds"]
    assert (holds["outcome"], holds["error"], holds["late"]) == ("succeeded", None, False)
    assert holds["last_started_at"] >= before
    assert holds["last_ended_at"] >= holds["last_started_at"]


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


def test_a_merchant_does_not_see_it(deployment: Deployment) -> None:
    shop = deployment.shop()
    assert shop.client.get("/v1/operations").status == 403
