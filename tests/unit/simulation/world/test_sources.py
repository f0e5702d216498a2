"""Invocation sources: streams in order, queues at least once, schedules."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from random import Random

import pytest

from simulation.aws.account import AwsAccount
from simulation.aws.filters import passes
from simulation.aws.sources import QueueSource, Schedule
from simulation.aws.streams import StreamSettings, StreamSource
from simulation.dynamodb import InMemoryDynamoDB, Unsupported
from simulation.environments import LambdaFunction
from simulation.faults import FaultRates, PartnerRates
from simulation.scheduler import Scheduler

CALM = FaultRates.calm()


class World:
    """A table of counters, and a function that receives its changes."""

    def __init__(self, rates=CALM, seed="sources", **settings):
        self.scheduler = Scheduler(seed, rates)
        self.database = InMemoryDynamoDB(now=lambda: self.scheduler.now)
        self.database.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.account = AwsAccount(self.scheduler, self.database, PartnerRates.calm())
        self.seen = defaultdict(list)
        self.batches = []
        self.aside = {}
        self.handle = self.note
        self.function = LambdaFunction(
            self.scheduler, "project", lambda _: lambda event, _: self.handle(event), seconds=60
        )
        self.source = StreamSource(
            self.scheduler,
            self.database,
            {"t": StreamSettings(**settings)},
            self.function,
            keep_discarded=self.aside.__setitem__,
        )

    def note(self, event):
        self.batches.append(len(event["Records"]))
        for record in event["Records"]:
            self.scheduler.sleep(0.001)
            self.note_one(record)
        return {"batchItemFailures": []}

    def note_one(self, record):
        image = record["dynamodb"]["NewImage"]
        self.seen[image["id"]["S"]].append(int(image["n"]["N"]))

    def write(self, items=10, changes=20):
        rng = Random("writes")

        def work():
            counts = Counter()
            for _ in range(items * changes):
                name = f"i{rng.randrange(items)}"
                counts[name] += 1
                self.database.put_item(
                    TableName="t", Item={"id": {"S": name}, "n": {"N": str(counts[name])}}
                )
                self.scheduler.sleep(rng.random() * 0.2)
            return counts

        (task,) = [self.scheduler.spawn(work, "writer")]
        self.scheduler.join([task])
        return task.value

    def settle(self):
        self.scheduler.run(until=self.source.quiet, max_time=self.scheduler.now + 48 * 3600)
        assert self.source.quiet()


def first_times(numbers):
    return list(dict.fromkeys(numbers))


STREAM_FAULTS = ("batch_doubled", "batch_repeated", "batch_rewound", "batch_late", "kill_after")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", [*STREAM_FAULTS, None])
def test_every_change_of_an_item_arrives_in_order_the_first_time(fault, seed):
    rates = CALM if fault is None else replace(CALM, **{fault: 0.3})
    world = World(rates, seed=f"{fault}-{seed}")
    counts = world.write()
    world.settle()
    assert {name: first_times(numbers) for name, numbers in world.seen.items()} == {
        name: list(range(1, count + 1)) for name, count in counts.items()
    }
    if fault is None:
        assert all(len(set(numbers)) == len(numbers) for numbers in world.seen.values())
    elif fault not in ("batch_late", "kill_after"):
        assert any(len(set(numbers)) < len(numbers) for numbers in world.seen.values())
        assert world.scheduler.injected[fault]
    assert world.aside == {}


def test_a_batch_is_retried_after_its_function_died():
    world = World()
    rng = Random("deaths")

    def handle(event):
        for record in event["Records"]:
            world.note_one(record)
            if rng.random() < 0.05:
                world.scheduler.sleep(1_000)
        return {"batchItemFailures": []}

    world.handle = handle
    counts = world.write()
    world.settle()
    assert world.scheduler.environments_died > 3
    for name, count in counts.items():
        assert first_times(world.seen[name]) == list(range(1, count + 1))


def test_records_before_the_first_failed_one_are_done():
    world = World(lanes=1, window_seconds=30.0)
    failed_once = []

    def handle(event):
        records = event["Records"]
        for number, record in enumerate(records):
            if number == 5 and not failed_once:
                failed_once.append(len(records))
                sequence = record["dynamodb"]["SequenceNumber"]
                return {"batchItemFailures": [{"itemIdentifier": sequence}]}
            world.note_one(record)
        return {"batchItemFailures": []}

    world.handle = handle
    counts = world.write()
    world.settle()
    assert failed_once[0] > 5
    assert dict(world.seen) == {name: list(range(1, n + 1)) for name, n in counts.items()}


def test_a_batch_is_halved_until_its_poison_record_is_alone_and_discarded():
    world = World(lanes=1, window_seconds=30.0, max_retries=2)

    def handle(event):
        for record in event["Records"]:
            if record["dynamodb"]["NewImage"]["n"]["N"] == "7":
                raise ValueError("poison")
        return world.note(event)

    world.handle = handle
    counts = world.write(items=3)
    world.settle()
    for name, count in counts.items():
        assert first_times(world.seen[name]) == [n for n in range(1, count + 1) if n != 7]
    payloads = [json.loads(document["payload"])["Records"] for document in world.aside.values()]
    assert [len(records) for records in payloads] == [1, 1, 1]
    assert world.source.given_up == 3
    (document, *_) = world.aside.values()
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert all(name.startswith("aws/lambda/t/shardId-") for name in world.aside)


def test_a_batch_whose_first_record_is_reported_as_failed_is_discarded_whole():
    world = World(lanes=1, window_seconds=30.0, max_retries=2)

    def handle(event):
        numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
        if any(r["dynamodb"]["NewImage"]["n"]["N"] == "7" for r in event["Records"][:1]):
            return {"batchItemFailures": [{"itemIdentifier": numbers[0]}]}
        for number, record in zip(numbers, event["Records"], strict=True):
            if record["dynamodb"]["NewImage"]["n"]["N"] == "7":
                return {"batchItemFailures": [{"itemIdentifier": number}]}
            world.note_one(record)
        return {"batchItemFailures": []}

    world.handle = handle
    counts = world.write(items=1)
    world.settle()
    (document,) = world.aside.values()
    payload = json.loads(document["payload"])["Records"]
    aside = [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in payload]
    assert aside[0] == 7
    assert sorted(world.seen["i0"] + aside) == list(range(1, counts["i0"] + 1))


def test_an_unknown_record_identifier_fails_the_batch():
    world = World(lanes=1, max_retries=3)
    world.handle = lambda event: {"batchItemFailures": [{"itemIdentifier": "0"}]}
    world.write(items=2, changes=3)
    world.settle()
    assert world.source.given_up == 6


def test_filtered_records_invoke_nothing():
    world = World(only={"eventName": ["INSERT"]})
    world.write(items=4)
    world.settle()
    assert {name: numbers for name, numbers in world.seen.items() if numbers != [1]} == {}


def test_filters_match_like_lambdas():
    record = {"eventName": "MODIFY", "dynamodb": {"Keys": {"id": {"S": "number#1"}}}}
    accounts = {"dynamodb": {"Keys": {"id": {"S": [{"anything-but": {"prefix": "number#"}}]}}}}
    assert not passes(record, accounts)
    assert passes({"dynamodb": {"Keys": {"id": {"S": "acc_1"}}}}, accounts)
    assert not passes({}, accounts)
    assert passes(record, {"eventName": ["INSERT", "MODIFY"]})
    assert not passes(record, {"eventName": [{"prefix": "INS"}]})
    with pytest.raises(Unsupported):
        passes(record, {"eventName": [{"numeric": [">", 0]}]})


# ---------------------------------------------------------------- queues


class Mail:
    """A queue of numbers, and the function that processes them."""

    def __init__(self, rates=CALM, seed="mail", **settings):
        self.scheduler = Scheduler(seed, rates)
        account = AwsAccount(self.scheduler, None, PartnerRates.calm())
        self.queue = account.sqs.create("q", visibility_seconds=60, max_receives=5)
        self.seen = []
        self.running, self.most = 0, 0
        self.handle = self.note
        self.function = LambdaFunction(
            self.scheduler, "deliver", lambda _: lambda event, _: self.handle(event), seconds=10
        )
        self.source = QueueSource(self.scheduler, self.queue, self.function, **settings)

    def note(self, event):
        self.running += 1
        self.most = max(self.most, self.running)
        self.scheduler.sleep(1)
        self.seen += [int(record["body"]) for record in event["Records"]]
        self.running -= 1
        return {"batchItemFailures": []}

    def send(self, count):
        for n in range(count):
            self.queue.send(str(n), "group")

    def settle(self):
        self.scheduler.run(until=self.source.quiet, max_time=self.scheduler.now + 24 * 3600)
        assert self.source.quiet()


def test_messages_arrive_once_out_of_order_within_the_concurrency_limit():
    mail = Mail(max_concurrency=3, batch_size=4)
    mail.send(100)
    mail.settle()
    assert sorted(mail.seen) == list(range(100))
    assert mail.seen != sorted(mail.seen)
    assert mail.most == 3


@pytest.mark.parametrize("fault", ["message_doubled", "message_late"])
def test_messages_arrive_at_least_once_under_faults(fault):
    mail = Mail(replace(CALM, **{fault: 0.3}))
    mail.send(100)
    mail.settle()
    assert set(mail.seen) == set(range(100))
    assert (len(mail.seen) > 100) == (fault == "message_doubled")


def test_a_delayed_message_is_not_visible_before():
    mail = Mail()
    mail.queue.send("1", delay_seconds=300)
    mail.settle()
    assert 300 <= mail.scheduler.now - 1 < 302


def test_a_message_reported_as_failed_returns_after_its_visibility_timeout():
    mail = Mail()
    times = defaultdict(list)

    def handle(event):
        failed = []
        for record in event["Records"]:
            times[record["body"]].append(mail.scheduler.now)
            if record["body"] == "3" and len(times["3"]) < 3:
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

    mail.handle = handle
    mail.send(10)
    mail.settle()
    assert {body: len(seen) for body, seen in times.items()} == {
        **{str(n): 1 for n in range(10)},
        "3": 3,
    }
    first, second, third = times["3"]
    assert second - first == pytest.approx(60, abs=1)
    assert third - second == pytest.approx(60, abs=1)


def test_a_message_that_always_fails_becomes_a_dead_letter():
    mail = Mail()
    tries = Counter()
    broken = [True]

    def handle(event):
        tries.update(record["body"] for record in event["Records"])
        if broken[0] and any(record["body"] == "3" for record in event["Records"]):
            raise ValueError("3 cannot be processed")
        return mail.note(event)

    mail.handle = handle
    mail.source = None
    mail.queue.on_message.clear()
    mail.source = QueueSource(mail.scheduler, mail.queue, mail.function, batch_size=1)
    mail.send(5)
    mail.settle()
    assert tries["3"] == 5
    assert [message.body for message in mail.queue.dead_letters.messages.values()] == ["3"]
    broken[0] = False
    assert mail.queue.redrive() == 1
    mail.settle()
    assert sorted(mail.seen) == [0, 1, 2, 3, 4]


def test_a_function_that_dies_has_processed_none_of_its_messages():
    mail = Mail()
    deaths = []

    def handle(event):
        if len(deaths) < 2:
            deaths.append(1)
            mail.scheduler.sleep(100)
        return mail.note(event)

    mail.handle = handle
    mail.send(10)
    mail.settle()
    assert sorted(mail.seen) == list(range(10))
    assert mail.scheduler.environments_died == 2


# ---------------------------------------------------------------- schedules


def scheduled(handle, rates=CALM, seconds=10.0, timeout=400.0):
    scheduler = Scheduler("schedule", rates)
    function = LambdaFunction(
        scheduler, "f", lambda _: lambda event, _: handle(scheduler, event), seconds=timeout
    )
    schedule = Schedule(scheduler, 60.0, function, name="resolver")
    scheduler.run(max_time=seconds)
    return scheduler, schedule


def test_a_schedule_runs_once_each_time_and_may_overlap():
    most = []
    running = []

    def handle(scheduler, event):
        assert event == {"schedule": "resolver"}
        running.append(1)
        most.append(len(running))
        scheduler.sleep(150)
        running.pop()

    _, schedule = scheduled(handle, seconds=3600)
    assert schedule.runs in (59, 60, 61)
    assert max(most) in (3, 4)
    schedule.stop()


def test_a_schedule_may_run_twice_at_once():
    _, schedule = scheduled(lambda *_: None, replace(CALM, schedule_doubled=0.5), seconds=3600)
    assert schedule.runs > 75


def test_a_failed_run_is_retried_once():
    calls = []

    def handle(scheduler, event):
        calls.append(scheduler.now)
        if len(calls) in (1, 3, 4):
            raise ValueError("a transient error")

    _, schedule = scheduled(handle, seconds=600)
    assert schedule.given_up <= 1
    assert len(calls) > 10
