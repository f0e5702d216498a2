"""Connectors for payments, each built with the keys of the account the payment was sent to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from runtime.core.cache import Cache
from runtime.core.echo import echoed
from runtime.core.errors import NotFound, ProcessorAccountRemoved
from runtime.core.outside import Outside
from runtime.core.scope import Scope
from runtime.merchants.models import MerchantProfile, ProcessorConnection
from runtime.payments.models import Payment
from runtime.payments.processors.port import Processor, ProcessorConfig

if TYPE_CHECKING:
    import stripe

MAX_REMEMBERED: Final = 500
"""Connectors cached by one execution environment."""
KEPT_SECONDS: Final = 300
"""How long a connector, and with it a processor's key, is kept: as long as data keys are.

A change of the row without a new version, which only happens out of band, is seen after this time.
"""


class ConnectionReader(Protocol):
    """Reads merchants' processor configurations."""

    def connection(self, merchant_id: str, scope: Scope) -> ProcessorConnection | None:
        """The decrypted configurations; None if the merchant does not exist."""
        ...


class ProfileReader(Protocol):
    """Reads merchants' profiles, from a cache."""

    def require(self, merchant_id: str) -> MerchantProfile:
        """The merchant. Raises NotFound."""
        ...


Factory = Callable[[str, Callable[[], ProcessorConfig]], Processor]
"""Builds a merchant's connector from its id and a function that reads its configuration."""

StripeHttp = Callable[[float], "stripe.HTTPClient"]
"""Builds Stripe's HTTP client from the timeout in seconds."""


@dataclass(frozen=True)
class StripeOptions:
    """Stripe's address, the timeout of a call, and an HTTP client to use instead of the default."""

    api_base: str
    timeout_seconds: float
    http: StripeHttp | None = None

    def connector(self, _merchant_id: str, config: Callable[[], ProcessorConfig]) -> Processor:
        """A connector with the merchant's own key."""
        # Imported here, because Stripe's library takes a tenth of a second to load.
        from runtime.payments.processors.stripe.connector import (  # noqa: PLC0415
            StripeProcessor,
            stripe_config,
        )

        network = None if self.http is None else self.http(self.timeout_seconds)
        return StripeProcessor.of(
            stripe_config(config()), self.api_base, self.timeout_seconds, network
        )


class Connectors:
    """Connectors by merchant, processor and account, and by the version of the merchant's row.

    So a connector with replaced or removed keys is used as long as the old profile is cached, and
    the row is not read twice: for the profile, and for keys that have not changed.

    An account's connector is only ever built with that account's own keys. Another account does
    not know the payment, and its "never seen" would be taken for "not charged".
    """

    def __init__(
        self,
        connections: ConnectionReader,
        factories: Mapping[str, Factory],
        profiles: ProfileReader,
        outside: Outside,
    ) -> None:
        self._connections = connections
        self._factories = factories
        self._profiles = profiles
        self._known: Cache[tuple[str, str, str | None, int], Processor] = Cache(
            MAX_REMEMBERED, outside, seconds=KEPT_SECONDS
        )

    @property
    def processors(self) -> tuple[str, ...]:
        """The names of all available processors."""
        return tuple(self._factories)

    def knows(self, processor: str) -> bool:
        """Whether the processor is available."""
        return processor in self._factories

    def of_payment(self, payment: Payment) -> Processor:
        """The connector of the account to which the payment was sent. Raises as `of` does."""
        return self.of(payment.merchant_id, payment.processor, payment.processor_account)

    def of(self, merchant_id: str, processor: str, account: str | None) -> Processor:
        """The connector of a merchant's account.

        `account` None: the account of payments that do not name one. Raises NotFound for a
        merchant that does not exist, ProcessorAccountRemoved if no key of the account is kept.
        """
        key = (merchant_id, processor, account, self._profiles.require(merchant_id).version)
        known = self._known.get(key)
        if known is not None:
            return known

        def config() -> ProcessorConfig:
            found = self._connection(merchant_id).config_of(processor, account)
            if found is None:
                raise ProcessorAccountRemoved(
                    f"The key of the {processor} account {account} of {merchant_id} was removed; "
                    "an operator must configure one before its payments can be changed"
                )
            return found

        return self._known.keep(key, self._factories[processor](merchant_id, config))

    def with_config(self, merchant_id: str, processor: str, config: ProcessorConfig) -> Processor:
        """A connector for a configuration that is not stored; the connector is not cached.

        Raises InvalidValue (param `processor_config`) for an unusable configuration.
        """
        return self._factories[processor](merchant_id, lambda: config)

    def kept(self, merchant_id: str, processor: str) -> dict[str | None, Processor]:
        """The connectors of all of a merchant's accounts at a processor, by account.

        A notification does not name its account; the secret that signed it identifies the account.
        Raises NotFound for a merchant that does not exist.
        """
        configs = self._connection(merchant_id).configs_of(processor)
        return {account: self.of(merchant_id, processor, account) for account in configs}

    def _connection(self, merchant_id: str) -> ProcessorConnection:
        found = self._connections.connection(merchant_id, Scope(merchant_id))
        if found is None:
            raise NotFound(f"No such merchant: {echoed(merchant_id)}", param="merchant_id")
        return found
