"""A connector is chosen by merchant, processor and account, with that account's own keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe

from runtime.core.errors import InvalidValue, NotFound, ProcessorAccountRemoved
from runtime.core.scope import Scope
from runtime.merchants.models import MerchantProfile, ProcessorAccount, ProcessorConnection
from runtime.payments.processors.connectors import (
    KEPT_SECONDS,
    MAX_REMEMBERED,
    Connectors,
    StripeOptions,
)
from tests.support.outside import outside

LEFT = "2026-11-30T00:00:00.000Z"


def connected(
    account: str | None, config: Any, *earlier: tuple[ProcessorAccount, Any]
) -> ProcessorConnection:
    return ProcessorConnection(
        id="mer_1",
        merchant_id="mer_1",
        processor="stripe",
        processor_account=account,
        processor_config=config,
        earlier_accounts=tuple(each for each, _ in earlier),
        earlier_configs={each.config_key: keys for each, keys in earlier},
    )


def left(
    account: str | None, config: Any, processor: Any = "stripe"
) -> tuple[ProcessorAccount, Any]:
    return ProcessorAccount(processor=processor, account=account, left_at=LEFT), config


@dataclass
class Connections:
    """Connections by merchant, and a log of requests for them."""

    known: dict[str, ProcessorConnection]
    asked: list[tuple[str, Scope]] = field(default_factory=list)

    def connection(self, merchant_id: str, scope: Scope) -> ProcessorConnection | None:
        self.asked.append((merchant_id, scope))
        return self.known.get(merchant_id)


def eager(_merchant_id: str, config: Callable[[], Any]) -> Any:
    """A connector that needs the configuration at construction."""
    return ("eager", config())


def lazy(merchant_id: str, config: Callable[[], Any]) -> Any:
    """A connector that reads the configuration when needed."""
    return ("lazy", merchant_id, config)


@dataclass
class Profiles:
    """Cached profiles, of one version."""

    version: int = 1

    def require(self, merchant_id: str) -> MerchantProfile:
        return MerchantProfile.model_construct(id=merchant_id, version=self.version)


def some(connections: Connections) -> tuple[Connectors, list[float], Profiles]:
    clock, profiles = [0.0], Profiles()
    factories = {"stripe": eager, "sandbox": lazy}
    connectors = Connectors(connections, factories, profiles, outside(monotonic=lambda: clock[0]))
    return connectors, clock, profiles


def test_each_merchant_gets_a_connector_with_its_own_configuration() -> None:
    connections = Connections(
        {"mer_1": connected("acct_1", {"key": 1}), "mer_2": connected("acct_1", {"key": 2})}
    )
    connectors, _, _ = some(connections)
    assert connectors.of("mer_1", "stripe", "acct_1") == ("eager", {"key": 1})
    assert connectors.of("mer_2", "stripe", "acct_1") == ("eager", {"key": 2})
    assert connections.asked == [("mer_1", Scope("mer_1")), ("mer_2", Scope("mer_2"))]


def test_an_account_is_queried_about_its_payments_whatever_the_merchant_uses_now() -> None:
    moved = connected("acct_new", {"key": "new"}, left("acct_old", {"key": "old"}))
    connectors, _, _ = some(Connections({"mer_1": moved}))
    assert connectors.of("mer_1", "stripe", "acct_new") == ("eager", {"key": "new"})
    assert connectors.of("mer_1", "stripe", "acct_old") == ("eager", {"key": "old"})
    assert connectors.kept("mer_1", "stripe") == {
        "acct_new": ("eager", {"key": "new"}),
        "acct_old": ("eager", {"key": "old"}),
    }


@pytest.mark.parametrize(
    ("stored", "account"),
    [
        (connected("acct_new", {"key": "new"}), "acct_old"),
        (connected("acct_new", {"key": "new"}), None),
        (connected("acct_1", {"key": "1"}, left(None, {}, "sandbox")), None),
        (connected(None, {"key": "nameless"}), "acct_old"),
    ],
    ids=["another account", "one that names none", "another processor", "unknown"],
)
def test_no_connector_is_made_from_the_keys_of_another_account(
    stored: ProcessorConnection, account: str | None
) -> None:
    connectors, _, _ = some(Connections({"mer_1": stored}))
    with pytest.raises(ProcessorAccountRemoved):
        connectors.of("mer_1", "stripe", account)


def test_payments_without_an_account_are_asked_about_where_they_were_sent() -> None:
    connections = Connections({"mer_1": connected(None, {"key": "first"})})
    connectors, _, profiles = some(connections)
    assert connectors.of("mer_1", "stripe", None) == ("eager", {"key": "first"})
    connections.known["mer_1"] = connected("acct_2", {"key": "2"}, left(None, {"key": "first"}))
    profiles.version = 2
    assert connectors.of("mer_1", "stripe", None) == ("eager", {"key": "first"})


def test_a_connector_is_cached_until_its_merchants_profile_has_another_version() -> None:
    connections = Connections({"mer_1": connected("acct_1", {"key": "old"})})
    connectors, clock, profiles = some(connections)
    connectors.of("mer_1", "stripe", "acct_1")
    connections.known["mer_1"] = connected("acct_1", {"key": "new"})
    clock[0] = 100.0
    assert connectors.of("mer_1", "stripe", "acct_1") == ("eager", {"key": "old"})
    assert len(connections.asked) == 1, "the same version is not read twice"
    profiles.version = 2
    assert connectors.of("mer_1", "stripe", "acct_1") == ("eager", {"key": "new"})
    assert len(connections.asked) == 2


def test_a_key_changed_without_a_new_version_is_used_after_five_minutes() -> None:
    connections = Connections({"mer_1": connected("acct_1", {"key": "old"})})
    connectors, clock, _ = some(connections)
    connectors.of("mer_1", "stripe", "acct_1")
    connections.known["mer_1"] = connected("acct_1", {"key": "new"})
    clock[0] = KEPT_SECONDS - 0.1
    assert connectors.of("mer_1", "stripe", "acct_1") == ("eager", {"key": "old"})
    clock[0] = KEPT_SECONDS + 0.1
    assert connectors.of("mer_1", "stripe", "acct_1") == ("eager", {"key": "new"})


def test_a_processor_that_needs_no_configuration_costs_no_read() -> None:
    connections = Connections({})
    connectors, _, _ = some(connections)
    assert connectors.of("mer_1", "sandbox", "sandbox")[:2] == ("lazy", "mer_1")  # type: ignore[index]
    assert connections.asked == []


def test_an_unknown_merchant_has_no_connector_and_is_not_cached() -> None:
    connections = Connections({})
    connectors, _, _ = some(connections)
    for _ in range(2):
        with pytest.raises(NotFound, match="mer_1"):
            connectors.of("mer_1", "stripe", "acct_1")
    assert len(connections.asked) == 2


def test_the_cache_of_connectors_is_bounded() -> None:
    known = {f"mer_{n}": connected("acct_1", {}) for n in range(MAX_REMEMBERED + 1)}
    connections = Connections(known)
    connectors, _, _ = some(connections)
    for n in range(MAX_REMEMBERED + 1):
        connectors.of(f"mer_{n}", "stripe", "acct_1")
    asked = len(connections.asked)
    connectors.of(f"mer_{MAX_REMEMBERED}", "stripe", "acct_1")
    assert len(connections.asked) == asked
    connectors.of("mer_0", "stripe", "acct_1")
    assert len(connections.asked) == asked + 1


def test_only_existing_processors_are_known() -> None:
    connectors, _, _ = some(Connections({}))
    assert connectors.knows("sandbox")
    assert not connectors.knows("unknown")


def test_a_connector_of_keys_that_are_not_stored_is_not_cached() -> None:
    connections = Connections({"mer_1": connected("acct_1", {"key": "stored"})})
    connectors, _, _ = some(connections)
    assert connectors.with_config("mer_1", "stripe", {"key": "new"}) == ("eager", {"key": "new"})
    assert connectors.of("mer_1", "stripe", "acct_1") == ("eager", {"key": "stored"})


def test_a_merchant_on_stripe_needs_a_stripe_key() -> None:
    options = StripeOptions("https://stripe.invalid", 1)
    for right, mode in (("sk_test_0123456789abcdef", "test"), ("rk_live_0123", "live")):
        assert options.connector("mer_1", lambda key=right: {"api_key": key}).mode == mode  # type: ignore[misc]
    for wrong in ({}, {"api_key": "pk_test_x"}, {"api_key": 7}):
        with pytest.raises(InvalidValue) as refused:
            options.connector("mer_1", lambda config=wrong: config)  # type: ignore[misc]
        assert refused.value.param == "processor_config"
        assert "pk_test_x" not in refused.value.detail


def test_the_http_client_of_stripe_can_be_replaced_with_its_timeout() -> None:
    class Network(stripe.HTTPClient):
        name = "network"

        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds = seconds

    options = StripeOptions("https://stripe.invalid", 2.5, Network)
    made: Any = options.connector("mer_1", lambda: {"api_key": "sk_test_0123456789abcdef"})
    network = made.api.client._requestor._client
    assert (type(network), network.seconds) == (Network, 2.5)
