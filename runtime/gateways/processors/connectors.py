"""Which connector a payment goes through: chosen per merchant, made with the merchant's secrets."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from runtime.errors import NotFound
from runtime.gateways.processors.port import Processor, ProcessorConfig
from runtime.models.merchant import ProcessorName
from runtime.models.scope import Scope

MAX_REMEMBERED: Final = 500
"""Connectors that one execution environment keeps at hand."""


class ConfigReader(Protocol):
    """Where merchants' processor configurations are read."""

    def processor_config(self, merchant_id: str, scope: Scope) -> ProcessorConfig | None:
        """The deciphered configuration; None for no such merchant."""
        ...


Factory = Callable[[str, Callable[[], ProcessorConfig]], Processor]
"""Makes a merchant's connector, of its id and what reads its configuration when it is called."""


@dataclass(frozen=True)
class StripeOptions:
    """Where Stripe is, and how long a call may take."""

    api_base: str
    timeout_seconds: int

    def connector(self, _merchant_id: str, config: Callable[[], ProcessorConfig]) -> Processor:
        """A connector with the merchant's own key."""
        # Imported here: Stripe's library takes a tenth of a second that only its merchants need.
        from runtime.gateways.processors.stripe import (  # noqa: PLC0415
            StripeProcessor,
            stripe_config,
        )

        return StripeProcessor.of(stripe_config(config()), self.api_base, self.timeout_seconds)

    @staticmethod
    def check(config: ProcessorConfig) -> None:
        """Raises InvalidValue for a configuration that the connector could not work with."""
        from runtime.gateways.processors.stripe import stripe_config  # noqa: PLC0415

        stripe_config(config)


def check_config(processor: ProcessorName, config: ProcessorConfig) -> None:
    """Raises InvalidValue (param `processor_config`) for what the processor cannot work with."""
    if processor == "stripe":
        StripeOptions.check(config)


class Connectors:
    """Connectors by merchant and processor, kept for `remember_seconds`."""

    def __init__(
        self,
        configs: ConfigReader,
        factories: Mapping[str, Factory],
        remember_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configs = configs
        self._factories = factories
        self._remember_seconds = remember_seconds
        self._monotonic = monotonic
        self._known: OrderedDict[tuple[str, str], tuple[float, Processor]] = OrderedDict()

    def knows(self, processor: str) -> bool:
        """Whether there is such a processor."""
        return processor in self._factories

    def of(self, merchant_id: str, processor: str) -> Processor:
        """The merchant's connector. Raises NotFound for a merchant that does not exist."""
        key = (merchant_id, processor)
        known = self._known.get(key)
        if known is not None and known[0] > self._monotonic():
            return known[1]

        def config() -> ProcessorConfig:
            found = self._configs.processor_config(merchant_id, Scope(merchant_id))
            if found is None:
                raise NotFound(f"no merchant {merchant_id}", param="merchant_id")
            return found

        connector = self._factories[processor](merchant_id, config)
        self._known[key] = (self._monotonic() + self._remember_seconds, connector)
        self._known.move_to_end(key)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return connector
