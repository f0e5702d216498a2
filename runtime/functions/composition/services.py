"""Clients and services that every function needs, built when they are first asked for."""

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
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.encryption.field_encryption import FieldEncryption
from runtime.encryption.key_ring import KeyPurpose, KeyRing
from runtime.encryption.repository import DataKeyRepository
from runtime.functions.composition.real_outside import real_outside
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

REPORT_SECONDS: Final = 1.5
"""How long a function tries to raise an alert about a trouble of its own, its answer waiting."""

_own_end: ContextVar[float] = ContextVar("own_end", default=inf)
"""When what this thread does must have ended. Other threads, and other greenlets, have their own:
neither a thread nor a greenlet begins with the context of the one that started it."""


@dataclass
class Invocation:
    """How long the running invocation may still take. Lambda runs one at a time per environment."""

    monotonic: Callable[[], float]
    _ends: float = field(default=0.0)

    def begin(self, context: LambdaContext) -> None:
        """A new invocation has begun."""
        self._ends = self.monotonic() + context.get_remaining_time_in_millis() / 1000

    def remaining_seconds(self) -> float:
        """Seconds until Lambda stops us, or until what this thread does must have ended."""
        return min(_own_end.get(), self._ends) - self.monotonic()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What this thread does meanwhile has only so many seconds."""
        before = _own_end.set(self.monotonic() + seconds)
        try:
            yield
        finally:
            _own_end.reset(before)


class FunctionServices:
    """What every function needs: its settings, its tables, its time."""

    def __init__(
        self,
        settings: Settings,
        key_arns: Mapping[KeyPurpose, str] | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.outside = outside or real_outside()
        self.stage = settings.stage
        self.invocation = Invocation(self.outside.monotonic)
        self._tables = settings.table_names()
        self.names_by_table = {physical: name for name, physical in self._tables.items()}
        self._key_arns = key_arns or {}

    def begin(self, context: LambdaContext) -> None:
        """Start the invocation's clock and counts."""
        self.invocation.begin(context)
        self.store.usage.restart()

    @cached_property
    def client(self) -> DynamoDBClient:
        """The one DynamoDB client."""
        return self.outside.aws.dynamodb()

    @cached_property
    def kms(self) -> KMSClient:
        """The one KMS client."""
        return self.outside.aws.kms()

    @cached_property
    def key_ring(self) -> KeyRing:
        """Data keys; the keys table itself holds nothing that we encipher."""
        plain = self._store_of(Codec(NoCipher()), self.invocation.remaining_seconds)
        return KeyRing(self.kms, DataKeyRepository(plain), self._key_arns, self.outside)

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
        """Alerts about what this function stumbles over; its settings name the alerts table."""
        return OperationalAlerts(self._alerts_in_brief, self.outside.now)

    def _alerts_in_brief(self) -> AlertRepository:
        monotonic = self.outside.monotonic
        ends = monotonic() + REPORT_SECONDS

        def remaining_seconds() -> float:
            return min(ends - monotonic(), self.invocation.remaining_seconds())

        return AlertRepository(self._store_of(Codec(NoCipher()), remaining_seconds))

    def profiles_for(self, remember_seconds: float) -> MerchantProfiles:
        """Merchants' settings, remembered for so long."""
        return MerchantProfiles(MerchantRepository(self.store), remember_seconds, self.outside)

    def _store_of(self, codec: Codec, remaining_seconds: Callable[[], float]) -> Store:
        return Store(self.client, self._tables, codec, remaining_seconds, self.outside)
