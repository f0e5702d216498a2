"""What is left at rest: each kind is reported, and dead letters are redriven before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from simulation.aws.objects import ObjectStore
from simulation.aws.sqs import Queue
from simulation.faults import FaultRates
from simulation.outside import clock
from simulation.platform.http import HttpRequest
from simulation.platform.settings import FAILED_BATCHES_BUCKET
from simulation.platform.settling import redrive
from simulation.scheduler import Scheduler
from simulation.watch.settled.left_over import left_over_faults


def platform_at_rest() -> Any:
    scheduler = Scheduler("left-over", FaultRates.calm())
    store = ObjectStore("left-over", clock(scheduler))
    store.create(FAILED_BATCHES_BUCKET)
    queue = Queue(scheduler, "q", max_receives=1, dead_letters=Queue(scheduler, "q-dead"))
    client = SimpleNamespace(plan=SimpleNamespace(name="cards-0"), unanswered=[])
    return SimpleNamespace(
        clients=[client], queues={"q": queue}, aws=SimpleNamespace(s3=store), scheduler=scheduler
    )


def test_a_clean_world_has_nothing_left() -> None:
    assert list(left_over_faults(platform_at_rest())) == []


def test_a_request_without_a_final_answer_is_reported() -> None:
    platform = platform_at_rest()
    platform.clients[0].unanswered.append(HttpRequest("cards-0", "POST", "/v1/payments"))
    (fault,) = left_over_faults(platform)
    assert fault == "cards-0 has no final answer to POST /v1/payments"


def test_a_dead_letter_is_reported_until_it_is_redriven() -> None:
    platform = platform_at_rest()
    queue = platform.queues["q"]
    queue.send("an order")
    assert len(queue.receive(1)) == 1
    platform.scheduler.run(max_time=queue.visibility_seconds + 1)
    assert queue.receive(1) == [], "it was received too often"
    (fault,) = left_over_faults(platform)
    assert "dead letter" in fault
    redrive(platform.queues.values())
    assert list(left_over_faults(platform)) == []
    assert [message.body for message in queue.receive(1)] == ["an order"]


def test_a_record_in_the_bucket_of_failed_batches_is_reported() -> None:
    platform = platform_at_rest()
    platform.aws.s3.put_object(Bucket=FAILED_BATCHES_BUCKET, Key="parked/1", Body=b"{}")
    (fault,) = left_over_faults(platform)
    assert "parked/1" in fault
