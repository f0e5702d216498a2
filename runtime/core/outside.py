"""A process's external dependencies in one object, passed to whatever uses them.

Nothing else in `runtime` reads a clock, sleeps, draws random values, starts a thread, creates a
lock or a client (tests/unit/core/test_outside.py). The whole platform can therefore run on one
thread, in virtual time, from one seed (`simulation/`). Lambda uses the real ones:
functions/composition/real_outside.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from runtime.core.ids import RANDOM_BYTES, id_at

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from runtime.dynamodb.client.port import DynamoDbClient
    from runtime.encryption.kms_port import DataKeyKms

Result = TypeVar("Result")


class Threads(Protocol):
    """A pool of threads; leaving the block waits for all submitted work."""

    def map(self, work: Callable[..., Result], /, *items: Iterable[Any]) -> Iterator[Result]:
        """The results of `work` on each item, in order; raises what it raises."""
        ...

    def submit(self, work: Callable[..., Result], /, *arguments: Any) -> Future[Result]:
        """Submit `work`."""
        ...

    def first_done(
        self, futures: Iterable[Future[Result]], seconds: float | None
    ) -> set[Future[Result]]:
        """Finished futures, as soon as there is one; empty after `seconds` (None: no limit)."""
        ...

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down: `wait` for running work, `cancel_futures` that have not started.

        As `concurrent.futures.Executor.shutdown`.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None: ...


class AwsClients(Protocol):
    """AWS clients, each created on demand with explicit timeouts."""

    def data_key_kms(self, *, lean: bool) -> DataKeyKms: ...  # noqa: D102
    def dynamodb(self, *, lean: bool) -> DynamoDbClient: ...  # noqa: D102
    def events(self) -> EventBridgeClient: ...  # noqa: D102
    def kms(self) -> KMSClient: ...  # noqa: D102
    def s3(self) -> S3Client: ...  # noqa: D102
    def secrets_manager(self) -> SecretsManagerClient: ...  # noqa: D102
    def signing_s3(self) -> S3Client: ...  # noqa: D102
    def sqs(self) -> SQSClient: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Outside:
    """A process's external dependencies.

    `now` is the wall clock in UTC; `monotonic` measures durations in seconds, as spent by `sleep`.
    `entropy` returns unpredictable bytes, for ids, nonces and secrets; `chance` is for jitter and
    sampling only. `threads` starts a pool with a maximum size, `lock` creates a non-reentrant lock.
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    chance: Random
    entropy: Callable[[int], bytes]
    threads: Callable[[int], Threads]
    lock: Callable[[], AbstractContextManager[Any]]
    aws: AwsClients

    def new_id(self, prefix: str, moment: datetime) -> str:
        """A new id such as `pay_01J…` whose time part is `moment`, to the millisecond."""
        return id_at(prefix, moment, self.entropy(RANDOM_BYTES))
