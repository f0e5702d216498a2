"""Clients of simulated AWS: one method per operation that is used, with botocore's retries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, NoReturn

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from runtime.functions.composition.aws_clients import MAX_ATTEMPTS
from simulation.dynamodb.errors import Unsupported
from simulation.faults import PartnerRates, client_error, read_timeout
from simulation.scheduler import Scheduler

Refusal = tuple[str, int]
"""An error code and its HTTP status."""

THROTTLING: Final = frozenset(
    {"RequestThrottled", "SlowDown", "ThrottlingException", "LimitExceededException"}
)
"""Codes that botocore waits longer after (botocore.retries.standard)."""
_MAX_PAUSE_SECONDS: Final = 20.0


@dataclass
class Line:
    """The way to AWS's services other than DynamoDB, as every client has it."""

    scheduler: Scheduler
    rates: PartnerRates

    def call(
        self, service: str, operation: str, act: Callable[[], Any], refusals: Iterable[Refusal]
    ) -> Any:
        """Call an operation, again where botocore would (mode "standard").

        Raises ClientError for what the service answers, else what botocore raises.
        """
        scheduler, codes = self.scheduler, tuple(refusals)
        for attempt in range(MAX_ATTEMPTS):
            try:
                return scheduler.remote(
                    f"{service} {operation}",
                    act,
                    self.rates,
                    read_timeout,
                    refused=lambda: _refusal(scheduler, operation, codes),
                    expected=ClientError,
                )
            except (ConnectionError, HTTPClientError):
                if attempt == MAX_ATTEMPTS - 1:
                    raise
                scale = 0.05
            except ClientError as error:
                if attempt == MAX_ATTEMPTS - 1 or not _passes(error):
                    raise
                scale = 1.0 if _code(error) in THROTTLING else 0.05
            longest = min(scale * 2**attempt, _MAX_PAUSE_SECONDS)
            scheduler.sleep(scheduler.rng.random() * longest)
        raise AssertionError("the last attempt answers or raises")


class RemoteClient:
    """What `boto3.client(service)` is to the platform; `operations` are methods of `at_aws`."""

    _operations: tuple[str, ...] = ()
    _refusals: tuple[Refusal, ...] = ()

    def __init__(self, line: Line, service: str, at_aws: Any) -> None:
        self._line, self._service, self._at_aws = line, service, at_aws
        self.exceptions = SimpleNamespace(ClientError=ClientError)
        for operation in self._operations:
            setattr(self, operation, self._method(operation))

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        missing = Unsupported(f"{self._service} is not asked for {name}")
        self._line.scheduler.break_off(missing)
        raise missing

    def _method(self, operation: str) -> Callable[..., Any]:
        act = getattr(self._at_aws, operation)

        def call(**arguments: Any) -> Any:
            return self._call(operation, lambda: act(**arguments))

        return call

    def _call(self, operation: str, act: Callable[[], Any]) -> Any:
        return self._line.call(self._service, operation, act, self._refusals)


def _refusal(scheduler: Scheduler, operation: str, codes: tuple[Refusal, ...]) -> ClientError:
    code, status = scheduler.rng.choice(codes)
    return client_error(code, operation, status=status)


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _passes(error: ClientError) -> bool:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or _code(error) in THROTTLING
