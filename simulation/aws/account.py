"""One AWS account: everything that all environments share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from simulation.aws.buckets import Version
from simulation.aws.calls import Line
from simulation.aws.dynamodb import DynamoDBClient
from simulation.aws.events import EventBus, EventsClient, Secrets, SecretsClient
from simulation.aws.kms import KeyManagement, KmsClient
from simulation.aws.objects import ObjectStore
from simulation.aws.s3 import S3Client
from simulation.aws.sqs import Queue, Queues, SqsClient
from simulation.environments import Environment
from simulation.faults import PartnerRates
from simulation.outside import clock
from simulation.scheduler import Scheduler

ANNOUNCED_WITHIN_SECONDS: Final = 2.0
"""How long EventBridge takes to put the event of an object into a queue, mostly."""


class AwsAccount:
    """The services, and the rates at which calls of all but DynamoDB go wrong."""

    def __init__(
        self, scheduler: Scheduler, database: Any, rates: PartnerRates | None = None
    ) -> None:
        self.scheduler, self.database = scheduler, database
        self.line = Line(scheduler, PartnerRates.calm())
        self.kms = KeyManagement(scheduler.seed)
        self.s3 = ObjectStore(scheduler.seed, clock(scheduler))
        self.sqs = Queues(scheduler)
        self.events = EventBus(scheduler.seed)
        self.secrets = Secrets()
        self.rates = rates or PartnerRates.aws()

    @property
    def rates(self) -> PartnerRates:
        """How often calls go wrong; single messages and events are refused as often as calls."""
        return self.line.rates

    @rates.setter
    def rates(self, rates: PartnerRates) -> None:
        self.line.rates = rates
        self.sqs.failing = self.events.failing = rates.refused

    def clients(self, environment: Environment | None) -> SimulatedAws:
        """The clients of one environment."""
        return SimulatedAws(self, environment)

    def announce(self, bucket: str, queue: Queue) -> None:
        """Put an event into `queue` for each object that is created in `bucket`, as a rule does.

        EventBridge delivers at least once, and in no order.
        """

        def created(name: str, key: str, version: Version, reason: str) -> None:
            if name != bucket:
                return
            rng, scheduler = self.scheduler.rng, self.scheduler
            body = json.dumps(_object_created(bucket, key, version, reason))
            twice = rng.random() < scheduler.rates.schedule_doubled
            for _ in range(2 if twice else 1):
                within = ANNOUNCED_WITHIN_SECONDS * (20 if rng.random() < 0.02 else 1)
                scheduler.at(scheduler.now + rng.uniform(0.05, within), queue.send, body)

        self.s3.on_created.append(created)


class SimulatedAws:
    """AWS clients of one environment (runtime.core.outside.AwsClients)."""

    def __init__(self, account: AwsAccount, environment: Environment | None) -> None:
        skew = 0.0 if environment is None else environment.skew_seconds
        self._account = account
        self._now = clock(account.scheduler, skew)
        self._made: dict[str, Any] = {}

    def data_key_kms(self, *, lean: bool = False) -> Any:
        """KMS; one client stands for both."""
        return self.kms()

    def dynamodb(self, *, lean: bool = False) -> Any:
        """DynamoDB, without retries; one client stands for both."""
        account = self._account
        return self._once("dynamodb", lambda: DynamoDBClient(account.scheduler, account.database))

    def events(self) -> Any:
        """EventBridge."""
        account = self._account
        return self._once("events", lambda: EventsClient(account.line, "events", account.events))

    def kms(self) -> Any:
        """KMS."""
        account = self._account
        return self._once("kms", lambda: KmsClient(account.line, "kms", account.kms))

    def s3(self) -> Any:
        """S3."""
        account = self._account
        return self._once("s3", lambda: S3Client(account.line, account.s3, self._now))

    def secrets_manager(self) -> Any:
        """Secrets Manager."""
        account = self._account
        return self._once(
            "secrets", lambda: SecretsClient(account.line, "secrets", account.secrets)
        )

    def signing_s3(self) -> Any:
        """S3 for signed links."""
        return self.s3()

    def sqs(self) -> Any:
        """SQS."""
        account = self._account
        return self._once("sqs", lambda: SqsClient(account.line, "sqs", account.sqs))

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def _object_created(bucket: str, key: str, version: Version, reason: str) -> dict[str, Any]:
    """The event "Object Created" (S3 User Guide, "EventBridge event message structure")."""
    return {
        "version": "0",
        "id": version.id,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": version.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "eu-west-1",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {
                "key": key,
                "size": len(version.body or b""),
                "etag": version.etag.strip('"'),
                "version-id": version.id,
            },
            "request-id": version.id,
            "reason": reason,
        },
    }
