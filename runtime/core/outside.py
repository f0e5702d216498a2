"""Everything that a process takes from outside itself, in one object that is given to what uses it.

Nothing else in `runtime` reads a clock, waits, draws random values, starts a thread, makes a lock
or opens a client (tests/unit/core/test_outside.py). So a whole platform can run on one thread,
in virtual time, from one seed (`simulation/`). Lambda gets the real ones:
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
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

Result = TypeVar("Result")


class Threads(Protocol):
    """Some threads that work side by side; leaving the block waits for all they were given."""

    def map(self, work: Callable[..., Result], /, *items: Iterable[Any]) -> Iterator[Result]:
        """The results of `work` on each item, in the order of the items; raises what it raises."""
        ...

    def submit(self, work: Callable[..., Result], /, *arguments: Any) -> Future[Result]:
        """Have `work` done; its result is asked for later."""
        ...

    def first_done(
        self, futures: Iterable[Future[Result]], seconds: float | None
    ) -> set[Future[Result]]:
        """Those that have ended, as soon as one has; empty after `seconds`, None being forever."""
        ...

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End; with `wait` once all is done, with `cancel_futures` what has no thread yet is not.

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
    """AWS clients, each made when it is asked for, with every timeout named."""

    def dynamodb(self) -> DynamoDBClient: ...  # noqa: D102
    def events(self) -> EventBridgeClient: ...  # noqa: D102
    def kms(self) -> KMSClient: ...  # noqa: D102
    def s3(self) -> S3Client: ...  # noqa: D102
    def secrets_manager(self) -> SecretsManagerClient: ...  # noqa: D102
    def signing_s3(self) -> S3Client: ...  # noqa: D102
    def sqs(self) -> SQSClient: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Outside:
    """What a process takes from outside itself.

    `now` is the wall clock in UTC, `monotonic` the clock for durations, both in seconds that
    `sleep` spends. `entropy` gives unpredictable bytes, for ids, nonces and secrets; `chance` is
    for jitter and sampling only. `threads` starts a pool of at most so many threads, `lock` makes
    a lock that is not reentrant.
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
        """A fresh id such as `pay_01J…` whose time part is `moment`, to the millisecond."""
        return id_at(prefix, moment, self.entropy(RANDOM_BYTES))
