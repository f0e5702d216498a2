"""The queue of deliveries reports what SQS has not accepted, whatever the reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from runtime.core.errors import Unavailable
from runtime.webhooks.delivery_queue import DeliveryOrder, DeliveryQueue
from tests.support.fakes import client_error

ORDERS = [DeliveryOrder(id=f"whk_{n}", version=n, merchant_id="mer_a") for n in range(1, 14)]


class Sqs:
    """Records the calls; `answer` determines the result of each."""

    def __init__(self, answer: Callable[[list[Any]], dict[str, Any]]) -> None:
        self.answer = answer
        self.calls: list[list[Any]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:
        self.calls.append(Entries)
        return self.answer(Entries)


def queue(answer: Callable[[list[Any]], dict[str, Any]]) -> tuple[DeliveryQueue, Sqs]:
    sqs = Sqs(answer)
    return DeliveryQueue(sqs, "https://queue"), sqs  # type: ignore[arg-type]


def away(_: list[Any]) -> dict[str, Any]:
    raise EndpointConnectionError(endpoint_url="https://queue")


def throttled(_: list[Any]) -> dict[str, Any]:
    raise client_error("ThrottlingException", "SendMessageBatch")


def test_messages_are_sent_ten_at_a_time_in_their_merchants_group_with_their_delay() -> None:
    deliveries, sqs = queue(lambda _: {})
    assert deliveries.send_all(ORDERS, timedelta(seconds=4.2)) == frozenset()
    assert [len(entries) for entries in sqs.calls] == [10, 3]
    entries = [entry for call in sqs.calls for entry in call]
    assert [DeliveryOrder.model_validate_json(e["MessageBody"]) for e in entries] == ORDERS
    assert {(e["MessageGroupId"], e["DelaySeconds"]) for e in entries} == {("mer_a", 5)}


def test_messages_that_sqs_refuses_are_reported() -> None:
    deliveries, _ = queue(lambda entries: {"Failed": [{"Id": entries[-1]["Id"]}]})
    assert deliveries.send_all(ORDERS) == {ORDERS[9].id, ORDERS[12].id}


@pytest.mark.parametrize("operational_alerts", [away, throttled])
def test_a_failed_call_affects_only_its_own_messages(
    operational_alerts: Callable[[list[Any]], dict[str, Any]],
) -> None:
    deliveries, sqs = queue(
        lambda entries: operational_alerts(entries) if len(entries) == 10 else {}
    )
    assert deliveries.send_all(ORDERS) == {order.id for order in ORDERS[:10]}
    assert len(sqs.calls) == 2


@pytest.mark.parametrize("operational_alerts", [away, throttled])
def test_a_refused_single_message_raises_unavailable(
    operational_alerts: Callable[[list[Any]], dict[str, Any]],
) -> None:
    deliveries, _ = queue(operational_alerts)
    with pytest.raises(Unavailable):
        deliveries.send(ORDERS[0])
