"""The identity of a key as Stripe reports it, on answers from Stripe's API reference."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.errors import InvalidValue, ProcessorUnknown
from runtime.payments.processors.port import ProcessorIdentity
from runtime.payments.processors.stripe.connector import StripeProcessor, stripe_config
from tests.support.processors.stripe_shapes import Recorded, error

ACCOUNT = 200, {"id": "acct_1", "object": "account"}


def balance(*, live: bool) -> tuple[int, Any]:
    return 200, {"object": "balance", "livemode": live, "available": []}


def connector(key: str, *answers: Any) -> tuple[StripeProcessor, Recorded]:
    network = Recorded(*answers)
    config = stripe_config({"api_key": key})
    return StripeProcessor.of(config, "https://stripe.invalid", 10, network), network


@pytest.mark.parametrize("key", ["sk_test_marked", "rk_test_marked"])
def test_a_key_has_the_account_and_mode_that_stripe_reports(key: str) -> None:
    stripe, network = connector(key, ACCOUNT, balance(live=False))
    assert stripe.mode == "test"
    assert stripe.identify() == ProcessorIdentity("acct_1", "test")
    asked = [(sent.method.upper(), sent.path) for sent in network.sent]
    assert asked == [("GET", "/v1/account"), ("GET", "/v1/balance")]


@pytest.mark.parametrize(("key", "live"), [("sk_test_marked", True), ("rk_live_marked", False)])
def test_a_key_of_another_mode_than_its_prefix_is_refused(key: str, live: bool) -> None:
    stripe, _ = connector(key, ACCOUNT, balance(live=live))
    with pytest.raises(InvalidValue, match=f"a {stripe.mode} key, but Stripe reports") as refused:
        stripe.identify()
    assert refused.value.param == "processor_config"
    assert "marked" not in refused.value.detail


@pytest.mark.parametrize(
    "answers",
    [
        [(401, error())],
        [(403, error())],
        [ACCOUNT, (403, error())],
        [(400, error(code="secret_key_required"))],
    ],
    ids=["wrong", "may not read the account", "may not read the balance", "not a secret key"],
)
def test_a_key_that_stripe_refuses_is_refused(answers: list[Any]) -> None:
    stripe, _ = connector("rk_test_marked", *answers)
    with pytest.raises(
        InvalidValue, match="allowed to read the account and its balance"
    ) as refused:
        stripe.identify()
    assert refused.value.param == "processor_config"
    assert "marked" not in refused.value.detail


@pytest.mark.parametrize(
    "answers",
    [
        [(500, error())],
        [(429, error())],
        [(200, {"object": "account"})],
        [ACCOUNT, (200, {"object": "balance"})],
    ],
    ids=["5xx", "too many", "an account without an id", "a balance without a mode"],
)
def test_an_unclear_answer_of_stripe_is_an_unknown_identity(answers: list[Any]) -> None:
    stripe, _ = connector("sk_test_marked", *answers)
    with pytest.raises(ProcessorUnknown):
        stripe.identify()
