"""Deliveries of a stage processed by the real handlers, to an unreliable receiver.

Only the endpoint is a fake at its port, and the clock is moved: an hour between two rounds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from runtime.functions.deliver import deliver_services
from runtime.functions.queue_due_webhooks import queue_due_webhooks_services
from runtime.webhooks.http_sender import Reply
from tests.support.engines.faults import ProcessKilled
from tests.support.http import Context
from tests.support.oracles.derived_data import items
from tests.support.stages.running_stage import Stage

ROUNDS = 80
STEP = timedelta(hours=1)
REFUSED = 0.25
DEATHS = 0.02


@dataclass
class BadReceiver:
    """Accepts most of what it receives; the sender may die after a webhook was accepted."""

    dice: Random
    sent: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, set[bytes]] = field(default_factory=dict)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        webhook_id = headers["webhook-id"]
        self.sent += 1
        self.bodies.setdefault(webhook_id, set()).add(body)
        if self.dice.random() < REFUSED:
            return Reply(status=self.dice.choice([500, 503, 404]))
        self.taken[webhook_id] += 1
        if self.dice.random() < DEATHS:
            raise ProcessKilled("after the endpoint had accepted it")
        return Reply(status=200)


class WebhookWorker:
    """The queue of deliveries, the sender and the sweep of what is due."""

    def __init__(self, stage: Stage, seed: str) -> None:
        self.stage = stage
        self.receiver = BadReceiver(Random(f"{seed}-receiver"))
        self._passed = timedelta(0)
        self._sqs = stage.aws.client("sqs")
        sender, sweep = deliver_services(), queue_due_webhooks_services()
        self.outside = replace(sender.outside, now=self.now)
        sender.deps = replace(sender.deps, http=self.receiver, outside=self.outside)
        sweep.deps = replace(sweep.deps, outside=self.outside)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._passed

    def work_off(self) -> int:
        """Deliver until nothing is due any more; returns the number of rounds."""
        for number in range(1, ROUNDS + 1):
            self._empty_the_queue()
            self._passed += STEP
            swept = self.stage.api.modules["retries"].handler({"schedule": "retries"}, Context())
            if not swept["due"] and not self._pending():
                return number
        raise AssertionError("deliveries never end")

    def _pending(self) -> bool:
        return any(
            item.get("status", {}).get("S") == "pending" for item in items(self.stage, "webhooks")
        )

    def _empty_the_queue(self) -> None:
        while messages := self._sqs.receive_message(
            QueueUrl=self.stage.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            records = [_record(message) for message in messages]
            try:
                answer = self.stage.api.modules["deliver"].handler({"Records": records}, Context())
            except ProcessKilled:
                continue  # SQS delivers them again after their visibility timeout
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
            for message in messages:
                if message["MessageId"] not in failed:
                    self._sqs.delete_message(
                        QueueUrl=self.stage.queue_url, ReceiptHandle=message["ReceiptHandle"]
                    )


def _record(message: dict[str, Any]) -> dict[str, Any]:
    """A message as Lambda puts it into an event."""
    assert json.loads(message["Body"])
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:1:deliveries",
        "awsRegion": "eu-west-1",
    }
