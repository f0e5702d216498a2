"""Connectors are chosen per merchant and processor, with the merchant's own configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from runtime.errors import InvalidValue, NotFound
from runtime.gateways.processors.connectors import MAX_REMEMBERED, Connectors, check_config
from runtime.models.scope import Scope


@dataclass
class Configs:
    """Configurations by merchant, and who asked for them."""

    known: dict[str, dict[str, Any]]
    asked: list[tuple[str, Scope]] = field(default_factory=list)

    def processor_config(self, merchant_id: str, scope: Scope) -> dict[str, Any] | None:
        self.asked.append((merchant_id, scope))
        return self.known.get(merchant_id)


def eager(_merchant_id: str, config: Callable[[], Any]) -> Any:
    """A connector that needs the configuration to be made."""
    return ("eager", config())


def lazy(merchant_id: str, config: Callable[[], Any]) -> Any:
    """A connector that reads the configuration when it needs it."""
    return ("lazy", merchant_id, config)


def some(configs: Configs, seconds: float = 5.0) -> tuple[Connectors, list[float]]:
    clock = [0.0]
    factories = {"eager": eager, "lazy": lazy}
    return Connectors(configs, factories, seconds, lambda: clock[0]), clock


def test_each_merchant_gets_a_connector_with_its_own_configuration() -> None:
    configs = Configs({"mer_1": {"key": 1}, "mer_2": {"key": 2}})
    connectors, _ = some(configs)
    assert connectors.of("mer_1", "eager") == ("eager", {"key": 1})
    assert connectors.of("mer_2", "eager") == ("eager", {"key": 2})
    assert configs.asked == [("mer_1", Scope("mer_1")), ("mer_2", Scope("mer_2"))]


def test_a_connector_is_kept_for_seconds_and_then_made_anew() -> None:
    configs = Configs({"mer_1": {"key": "old"}})
    connectors, clock = some(configs)
    connectors.of("mer_1", "eager")
    configs.known["mer_1"] = {"key": "new"}
    clock[0] = 4.9
    assert connectors.of("mer_1", "eager") == ("eager", {"key": "old"})
    clock[0] = 5.1
    assert connectors.of("mer_1", "eager") == ("eager", {"key": "new"})
    assert len(configs.asked) == 2


def test_a_processor_that_needs_no_configuration_costs_no_read() -> None:
    configs = Configs({})
    connectors, _ = some(configs)
    assert connectors.of("mer_1", "lazy")[:2] == ("lazy", "mer_1")  # type: ignore[index]
    assert configs.asked == []


def test_a_merchant_that_does_not_exist_has_no_connector_and_is_not_remembered() -> None:
    configs = Configs({})
    connectors, _ = some(configs)
    for _ in range(2):
        with pytest.raises(NotFound, match="mer_1"):
            connectors.of("mer_1", "eager")
    assert len(configs.asked) == 2


def test_no_more_connectors_are_kept_than_there_is_room_for() -> None:
    configs = Configs({f"mer_{n}": {} for n in range(MAX_REMEMBERED + 1)})
    connectors, _ = some(configs)
    for n in range(MAX_REMEMBERED + 1):
        connectors.of(f"mer_{n}", "eager")
    asked = len(configs.asked)
    connectors.of(f"mer_{MAX_REMEMBERED}", "eager")
    assert len(configs.asked) == asked
    connectors.of("mer_0", "eager")
    assert len(configs.asked) == asked + 1


def test_only_processors_that_there_are_are_known() -> None:
    connectors, _ = some(Configs({}))
    assert connectors.knows("lazy")
    assert not connectors.knows("nobody")


def test_a_merchant_of_stripe_needs_stripes_key_and_one_of_the_sandbox_nothing() -> None:
    check_config("sandbox", {"anything": "goes"})
    check_config("stripe", {"api_key": "sk_test_0123456789abcdef"})
    for wrong in ({}, {"api_key": "pk_test_x"}, {"api_key": 7}):
        with pytest.raises(InvalidValue) as refused:
            check_config("stripe", wrong)
        assert refused.value.param == "processor_config"
        assert "pk_test_x" not in refused.value.detail
