"""A small simulated world with every fault; prints the hash of its history.

Run as a program, so that two processes with different hash seeds can be compared:
`python -m tests.support.simulation.busy_platform SEED CALLS`.
"""

from __future__ import annotations

import hashlib
import sys
import time
from random import Random

from botocore.exceptions import BotoCoreError, ClientError

from simulation.aws.account import AwsAccount
from simulation.aws.sources import QueueSource, Schedule
from simulation.aws.streams import StreamSettings, StreamSource
from simulation.dynamodb import InMemoryDynamoDB
from simulation.environments import Environment, LambdaFunction
from simulation.faults import FaultRates, PartnerRates
from simulation.outside import BEGINNING, outside_for
from simulation.scheduler import Scheduler
from simulation.tasks import LambdaDied, TimedOut

CALLERS = 6


class BusyPlatform:
    """Callers → function → rows → stream → copies; function → queue → function → objects."""

    def __init__(self, seed: str) -> None:
        rng = Random(f"{seed}-rates")
        self.seed = seed
        self.scheduler = scheduler = Scheduler(seed, FaultRates.swarm(rng))
        lag = Random(f"{seed}-lag")
        self.database = InMemoryDynamoDB(
            now=lambda: scheduler.now, epoch=BEGINNING.timestamp(), index_lag=lag.random
        )
        for name in ("counters", "copies"):
            self.database.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            )
        self.database.on_commit.append(self._changed)
        self.account = AwsAccount(scheduler, self.database, PartnerRates.aws(rng))
        self.account.s3.create("files")
        self.queue = self.account.sqs.create("jobs", visibility_seconds=60)
        self._trace = hashlib.sha256()
        self.process = LambdaFunction(scheduler, "process", self._process, seconds=20)
        project = LambdaFunction(scheduler, "project", self._project, seconds=60)
        deliver = LambdaFunction(scheduler, "deliver", self._deliver, seconds=30)
        count = LambdaFunction(scheduler, "count", self._count, seconds=30)
        self.streams = StreamSource(
            scheduler, self.database, {"counters": StreamSettings()}, project
        )
        self.messages = QueueSource(scheduler, self.queue, deliver, batch_size=1)
        self.schedule = Schedule(scheduler, 20, count, name="count")

    def run(self, calls: int) -> str:
        """The hash of all changes and answers, after this many calls and at rest."""
        scheduler = self.scheduler
        each = calls // CALLERS
        tasks = [
            scheduler.spawn(lambda n=n: self._call(n, each), f"caller {n}") for n in range(CALLERS)
        ]
        scheduler.run(until=lambda: all(task.done for task in tasks))
        scheduler.rates = FaultRates.calm()
        self.account.rates = PartnerRates.calm()
        self.schedule.stop()
        scheduler.run(until=lambda: self.streams.quiet() and self.messages.quiet())
        self._note(sorted(self.account.s3.buckets["files"].objects), dict(scheduler.calls))
        scheduler.close()
        return self._trace.hexdigest()

    def _call(self, number: int, times: int) -> None:
        dice = Random(f"{self.seed}-{number}")
        for n in range(times):
            patience = dice.uniform(0.01, 5.0) if dice.random() < 0.1 else None
            try:
                self._note(self.process.invoke(f"{number}-{n}", impatience=patience))
            except (LambdaDied, TimedOut, BotoCoreError, ClientError) as error:
                self._note(type(error).__name__)
            self.scheduler.sleep(dice.random())

    def _note(self, *what: object) -> None:
        self._trace.update(repr((self.scheduler.now, *what)).encode())

    def _changed(self, changes) -> None:
        for change in changes:
            self._note(change.table.name, change.key, change.new)

    # ------------------------------------------------------------ functions

    def _process(self, environment: Environment):
        outside = outside_for(self.scheduler, environment, self.account.clients(environment))
        client, sqs, lock = outside.aws.dynamodb(lean=False), outside.aws.sqs(), outside.lock()
        counted = [0]

        def write(name):
            with lock:
                counted[0] += 1
                outside.sleep(outside.chance.random() * 0.01)
            value = {"S": outside.entropy(8).hex()}
            put = {"TableName": "counters", "Item": {"id": {"S": name}, "v": value}}
            client.transact_write_items(
                TransactItems=[{"Put": put}], ClientRequestToken=outside.entropy(16).hex()
            )
            return name

        def handler(event, context):
            with outside.threads(3) as pool:
                written = list(pool.map(write, [f"{event}-{n}" for n in range(4)]))
            sqs.send_message(QueueUrl=self.queue.url, MessageBody=event, MessageGroupId="g")
            return f"{written} at {outside.now()} {counted}"

        return handler

    def _project(self, environment: Environment):
        client = self.account.clients(environment).dynamodb()

        def handler(event, context):
            for record in event["Records"]:
                client.put_item(TableName="copies", Item=dict(record["dynamodb"]["NewImage"]))
            return {"batchItemFailures": []}

        return handler

    def _deliver(self, environment: Environment):
        s3 = self.account.clients(environment).s3()

        def handler(event, context):
            for record in event["Records"]:
                s3.put_object(Bucket="files", Key=record["body"], Body=b"x")
            return {"batchItemFailures": []}

        return handler

    def _count(self, environment: Environment):
        client = self.account.clients(environment).dynamodb()

        def handler(event, context):
            self._note(len(client.scan(TableName="copies", ConsistentRead=True)["Items"]))

        return handler


if __name__ == "__main__":
    began = time.process_time()
    world = BusyPlatform(sys.argv[1])
    found = world.run(int(sys.argv[2]))
    spent = time.process_time() - began
    total = sum(world.scheduler.calls.values())
    print(f"{total} calls, {total / spent:.0f} a CPU second", file=sys.stderr)
    print(found)
