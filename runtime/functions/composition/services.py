"""Clients and services shared by all functions, created on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Final

from runtime.alerts.operational_alerts import OperationalAlerts
from runtime.alerts.repository import AlertRepository
from runtime.core.outside import Outside
from runtime.core.request_ids import run_id_of
from runtime.dynamodb.client.port import DynamoDbClient
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.encryption.field_encryption import FieldEncryption
from runtime.encryption.key_ring import KeyPurpose, KeyRing
from runtime.encryption.repository import DataKeyRepository
from runtime.functions.composition.real_outside import real_outside
from runtime.http.event import API_ADDRESS
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_kms import KMSClient

    from runtime.operations.stream_progress import ProgressNotes

REPORT_SECONDS: Final = 1.5
"""Time limit for raising an operational alert while the response waits, and for recording a run or
the progress of a stream."""

_own_end: ContextVar[float] = ContextVar("own_end", default=inf)
"""Deadline of the current thread or greenlet; neither inherits the context of its creator."""


@dataclass
class Invocation:
    """Time limit of the current invocation. Lambda runs one at a time per environment."""

    monotonic: Callable[[], float]
    _ends: float = field(default=0.0)

    def begin(self, context: LambdaContext) -> None:
        """Start a new invocation."""
        self._ends = self.monotonic() + context.get_remaining_time_in_millis() / 1000

    def remaining_seconds(self) -> float:
        """Seconds until the Lambda timeout or the current thread's deadline."""
        return min(_own_end.get(), self._ends) - self.monotonic()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit the current thread's work to `seconds`."""
        before = _own_end.set(self.monotonic() + seconds)
        try:
            yield
        finally:
            _own_end.reset(before)


class FunctionServices:
    """Shared by all functions: settings, tables, clients and the invocation's time."""

    def __init__(
        self,
        settings: Settings,
        key_arns: Mapping[KeyPurpose, str] | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.outside = outside or real_outside()
        self.stage = settings.stage
        self.invocation = Invocation(self.outside.monotonic)
        self._tables = settings.tables
        self._lean_client = settings.uses_lean_client
        self.names_by_table = {physical: name for name, physical in self._tables.items()}
        self._key_arns = key_arns or {}
        self.api_address = API_ADDRESS
        """The form of the API's address, of functions that serve it."""
        self.run_id = ""
        """Id of the current invocation, for changes that no request causes."""

    def begin(self, context: LambdaContext) -> None:
        """Start an invocation: its id, its time and its counts."""
        self.run_id = run_id_of(context.aws_request_id)
        self.invocation.begin(context)
        self.store.usage.restart()

    @cached_property
    def client(self) -> DynamoDbClient:
        """The DynamoDB client."""
        return self.outside.aws.dynamodb(lean=self._lean_client)

    @cached_property
    def kms(self) -> KMSClient:
        """The KMS client, with every operation."""
        return self.outside.aws.kms()

    @cached_property
    def key_ring(self) -> KeyRing:
        """Data keys; the keys table itself has no encrypted fields."""
        plain = self._store_of(Codec(NoCipher()), self.invocation.remaining_seconds)
        kms = self.outside.aws.data_key_kms(lean=self._lean_client)
        return KeyRing(kms, DataKeyRepository(plain), self._key_arns, self.outside)

    @cached_property
    def encryption(self) -> FieldEncryption:
        """Field encryption with this function's keys."""
        return FieldEncryption(self.key_ring, self.outside.entropy)

    @cached_property
    def store(self) -> Store:
        """The tables of this function."""
        codec = Codec(self.encryption if self._key_arns else NoCipher())
        return self._store_of(codec, self.invocation.remaining_seconds)

    @cached_property
    def operational_alerts(self) -> OperationalAlerts:
        """Operational alerts; requires the alerts table in the settings."""
        return OperationalAlerts(
            lambda: AlertRepository(self._store_with_short_timeout()), self.outside.now
        )

    def recorded_run(self, schedule: str) -> AbstractContextManager[None]:
        """Record how the run in the block ends; requires the scheduled_runs table."""
        # Only schedules need it: a request starts without its code (decision 0077).
        from runtime.operations.recording import recorded_run  # noqa: PLC0415
        from runtime.operations.repository import ScheduledRunRepository  # noqa: PLC0415

        return recorded_run(
            schedule,
            self.run_id,
            lambda: ScheduledRunRepository(self._store_with_short_timeout()),
            self.outside.now,
        )

    @cached_property
    def stream_progress(self) -> ProgressNotes:
        """Notes how far change streams are processed; requires the stream_progress table."""
        # Only consumers of streams need it, at the end of their first batch (decision 0077).
        from runtime.operations.repository import StreamProgressRepository  # noqa: PLC0415
        from runtime.operations.stream_progress import ProgressNotes  # noqa: PLC0415

        return ProgressNotes(
            lambda: StreamProgressRepository(self._store_with_short_timeout()), self.outside.now
        )

    def _store_with_short_timeout(self) -> Store:
        monotonic = self.outside.monotonic
        ends = monotonic() + REPORT_SECONDS

        def remaining_seconds() -> float:
            return min(ends - monotonic(), self.invocation.remaining_seconds())

        return self._store_of(Codec(NoCipher()), remaining_seconds)

    def stop_before_timeout(self, margin_seconds: float) -> Callable[[], bool]:
        """A function that returns whether less than `margin_seconds` remain."""
        return lambda: self.invocation.remaining_seconds() < margin_seconds

    def profiles_for(self, cache_seconds: float) -> MerchantProfiles:
        """Merchants' settings, cached for `cache_seconds`."""
        return MerchantProfiles(MerchantRepository(self.store), cache_seconds, self.outside)

    def _store_of(self, codec: Codec, remaining_seconds: Callable[[], float]) -> Store:
        return Store(self.client, self._tables, codec, remaining_seconds, self.outside)
