"""Calls of DynamoDB through the scheduler: their effect, and the error that the caller gets."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from runtime.functions.composition import aws_clients
from simulation.aws.account import AwsAccount
from simulation.dynamodb import InMemoryDynamoDB, Unsupported
from simulation.environments import Environment
from simulation.faults import CALL_FAULTS, PARTNER_FAULTS, FaultRates, PartnerRates
from simulation.scheduler import READ_TIMEOUT_SECONDS, Scheduler
from simulation.tasks import LambdaDied, Violation

CALM = FaultRates.calm()
KEY = {"id": {"S": "a"}}


class World:
    """A table `t`, and a client in an environment."""

    def __init__(self, rates: FaultRates = CALM, seed: str = "calls") -> None:
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
        self.client = self.account.clients(None).dynamodb()
        self.environment = Environment("e")

    def put(self, key="a", value=1):
        self.client.put_item(TableName="t", Item={"id": {"S": key}, "n": {"N": str(value)}})

    def transact(self, keys, token=None, value=1):
        writes = [
            {"Put": {"TableName": "t", "Item": {"id": {"S": key}, "n": {"N": str(value)}}}}
            for key in keys
        ]
        named = {} if token is None else {"ClientRequestToken": token}
        self.client.transact_write_items(TransactItems=writes, **named)

    def invoke(self, work):
        environment = Environment("e")
        return self.scheduler.invoke("f", work, seconds=60, environment=environment)

    def is_there(self, key="a"):
        return (key,) in self.database.tables["t"].items


def only(fault, rate=0.99):
    return replace(CALM, **{fault: rate})


def met(world, work, attempts=40):
    """The results of this many calls, each with its own key: (outcome, done) → count."""
    seen = Counter()
    for number in range(attempts):
        key = f"k{number}"
        try:
            world.invoke(lambda key=key: work(key))
            outcome = "answer"
        except LambdaDied:
            outcome = "died"
        except ClientError as error:
            outcome = error.response["Error"]["Code"]
        except (ConnectionClosedError, EndpointConnectionError, ReadTimeoutError) as error:
            outcome = type(error).__name__
        at_once = world.is_there(key)
        world.scheduler.run()
        seen[outcome, at_once, world.is_there(key)] += 1
    return set(seen)


NOT, DONE = (False, False), (True, True)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("kill_before", {("died", *NOT)}),
        ("kill_after", {("died", *DONE)}),
        ("unreached", {("EndpointConnectionError", *NOT)}),
        ("answer_lost", {("ConnectionClosedError", *DONE), ("ReadTimeoutError", *DONE)}),
        ("late", {("ReadTimeoutError", False, True)}),
        (
            "throttled",
            {
                ("ProvisionedThroughputExceededException", *NOT),
                ("RequestLimitExceeded", *NOT),
                ("ThrottlingException", *NOT),
            },
        ),
        ("internal", {("InternalServerError", *NOT), ("ServiceUnavailable", *NOT)}),
        ("internal_after", {("InternalServerError", *DONE), ("ServiceUnavailable", *DONE)}),
        ("conflict", {("TransactionConflictException", *NOT)}),
    ],
)
def test_each_fault_has_its_documented_effect(fault, expected):
    world = World(only(fault))
    seen = met(world, world.put)
    assert seen - {("answer", *DONE)} == expected


def test_every_fault_of_a_call_is_tested_here():
    tested = {"kill_before", "kill_after", "unreached", "answer_lost", "late", "throttled"}
    assert set(CALL_FAULTS) == tested | {
        "internal",
        "internal_after",
        "conflict",
        "in_progress",
    }


def test_a_transaction_is_canceled_because_of_one_of_its_items():
    world = World(only("conflict"))
    with pytest.raises(world.client.exceptions.TransactionCanceledException) as canceled:
        world.invoke(lambda: world.transact(["a", "b", "c"]))
    codes = [reason["Code"] for reason in canceled.value.response["CancellationReasons"]]
    assert sorted(codes) == ["None", "None", "TransactionConflict"]
    assert not world.is_there()


def test_a_transaction_is_throttled_because_of_one_item_or_all():
    world = World(only("throttled"))
    seen = set()

    def work():
        for _ in range(60):
            try:
                world.transact(["a", "b"])
            except ClientError as error:
                reasons = error.response.get("CancellationReasons", [])
                code = error.response["Error"]["Code"]
                seen.add((code, *sorted(reason["Code"] for reason in reasons)))

    world.invoke(work)
    assert seen >= {
        ("ThrottlingException",),
        ("TransactionCanceledException", "None", "ThrottlingError"),
        ("TransactionCanceledException", "None", "ProvisionedThroughputExceeded"),
    }


def test_a_transaction_that_is_in_progress_is_refused():
    world = World(only("in_progress"))
    with pytest.raises(world.client.exceptions.TransactionInProgressException):
        world.invoke(lambda: world.transact(["a"], token="t"))


def test_reads_are_throttled_where_writes_conflict():
    world = World(only("conflict"))
    with pytest.raises(ClientError, match=r"Throttling|Throughput|RequestLimit"):
        world.invoke(lambda: world.client.get_item(TableName="t", Key=KEY))


def test_a_caller_that_waits_too_long_gets_a_timeout_although_the_call_is_done():
    world = World(replace(CALM, stuck=0.99))
    seen = met(world, world.put, attempts=60)
    assert ("ReadTimeoutError", False, True) in seen
    assert seen <= {("ReadTimeoutError", False, True), ("answer", *DONE)}


def test_a_late_request_is_executed_after_a_newer_one():
    world = World(only("late"))

    def work():
        with pytest.raises(ReadTimeoutError):
            world.put(value=1)
        world.scheduler.rates = CALM
        world.put(value=2)

    world.invoke(work)
    world.scheduler.run()
    assert world.database.tables["t"].items["a",]["n"] == {"N": "1"}


def test_a_long_transaction_conflicts_with_others_and_may_be_half_visible():
    world = World(replace(CALM, slow=0.99, half_visible=0.99))
    outcomes, halves = Counter(), 0

    def read():
        nonlocal halves
        for _ in range(400):
            world.scheduler.sleep(0.02)
            items = world.database.tables["t"].items
            a, b = items.get(("a",), {}), items.get(("b",), {})
            halves += a.get("n") != b.get("n")

    def write(n):
        try:
            world.transact(["a", "b"], value=n)
            outcomes["done"] += 1
        except world.client.exceptions.TransactionCanceledException:
            outcomes["canceled"] += 1

    scheduler = world.scheduler
    tasks = [
        scheduler.spawn(lambda n=n: world.invoke(lambda: write(n)), "w", delay=n * 0.1)
        for n in range(12)
    ]
    scheduler.join([*tasks, scheduler.spawn(read, "reader")])
    assert outcomes["done"]
    assert outcomes["canceled"]
    assert halves


def test_a_repeated_token_changes_nothing():
    world = World(only("answer_lost"))

    def work():
        with pytest.raises((ConnectionClosedError, ReadTimeoutError)):
            world.transact(["a"], token="t-1")
        world.scheduler.rates = CALM
        world.transact(["a"], token="t-1")

    world.invoke(work)
    assert len(world.database.tables["t"].stream.entries) == 1


def test_a_batch_leaves_keys_unread():
    world = World(replace(CALM, unprocessed=0.99))
    for n in range(10):
        world.put(f"k{n}")
    keys = [{"id": {"S": f"k{n}"}} for n in range(10)]

    def read():
        wanted, found, calls = keys, [], 0
        while wanted:
            answer = world.client.batch_get_item(RequestItems={"t": {"Keys": wanted}})
            found += answer["Responses"]["t"]
            wanted = answer.get("UnprocessedKeys", {}).get("t", {}).get("Keys", [])
            calls += 1
        return calls, sorted(item["id"]["S"] for item in found)

    calls, found = world.invoke(read)
    assert calls > 1
    assert found == [f"k{n}" for n in range(10)]


def test_an_unsupported_call_ends_the_run():
    world = World()
    with pytest.raises(Unsupported):
        world.invoke(lambda: world.client.get_item(TableName="t", Key=KEY, AttributesToGet=["n"]))


def test_a_watch_over_commits_can_end_the_run():
    world = World()

    def watch(changes):
        raise Violation("too much")

    world.database.on_commit.append(watch)
    with pytest.raises(Violation, match="too much"):
        world.invoke(lambda: world.transact(["a"]))


# ---------------------------------------------------------------- other systems


@pytest.mark.parametrize("fault", PARTNER_FAULTS)
def test_each_fault_of_another_system_has_its_documented_effect(fault):
    scheduler = Scheduler("partner", CALM)
    rates = replace(PartnerRates.calm(), **{fault: 0.99})
    done, outcomes = [], set()

    def call(number):
        return scheduler.remote(
            "processor",
            lambda: done.append(number),
            rates,
            lambda: OSError("no response"),
            refused=lambda: OSError("refused"),
        )

    for number in range(30):
        try:
            scheduler.invoke("f", lambda number=number: call(number), seconds=60)
            outcome = "answer"
        except LambdaDied:
            outcome = "died"
        except OSError as error:
            outcome = str(error)
        at_once = number in done
        scheduler.run()
        outcomes.add((outcome, at_once, number in done))
    assert (
        outcomes - {("answer", *DONE)}
        == {
            "kill_before": {("died", *NOT)},
            "kill_after": {("died", *DONE)},
            "unreached": {("no response", *NOT)},
            "answer_lost": {("no response", *DONE)},
            "late": {("no response", False, True)},
            "refused": {("refused", *NOT)},
        }[fault]
    )


def test_an_error_of_another_system_reaches_the_caller_and_a_bug_ends_the_run():
    scheduler = Scheduler("partner", CALM)

    def ask(error):
        def act():
            raise error

        return scheduler.invoke(
            "f",
            lambda: scheduler.remote("p", act, PartnerRates.calm(), OSError, expected=KeyError),
            seconds=60,
        )

    with pytest.raises(KeyError, match="declined"):
        ask(KeyError("declined"))

    def caller():
        with pytest.raises(TypeError):
            ask(TypeError("a defect"))

    scheduler.spawn(caller, "caller")
    with pytest.raises(TypeError, match="a defect"):
        scheduler.run()


def test_client_timeouts_match_the_real_client():
    assert aws_clients.READ_TIMEOUT_SECONDS == READ_TIMEOUT_SECONDS


def test_calm_rates_are_zero_and_swarm_rates_differ_by_seed():
    assert set(vars(FaultRates.calm()).values()) == {0.0}
    swarms = {FaultRates.swarm(Random(n)) for n in range(20)}
    assert len(swarms) == 20
    for n in range(300):
        Scheduler(str(n), FaultRates.swarm(Random(n)))
        PartnerRates.swarm(Random(n))
