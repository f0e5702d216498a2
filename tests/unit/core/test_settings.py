"""Settings: the stack writes what the runtime reads, for every Lambda."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from runtime import settings
from runtime.settings import (
    AuthorizerSettings,
    HoldsSettings,
    PaymentTiming,
    ProcessSettings,
    Settings,
)
from runtime.tables import ALL_TABLES

EVERY = [
    each
    for each in vars(settings).values()
    if isinstance(each, type)
    and issubclass(each, Settings)
    and each not in (Settings, PaymentTiming)
]


def values(shape: type[Settings]) -> dict[str, Any]:
    given: dict[str, Any] = {
        name: f"some-{name}" for name, field in shape.model_fields.items() if field.is_required()
    }
    given["tables"] = {name: f"some-{name}" for name in shape.TABLE_USES}
    if shape is AuthorizerSettings:
        given["jwks_url"] = "https://issuer/jwks.json"
    return given


@pytest.mark.parametrize("shape", EVERY)
def test_the_written_environment_parses_to_the_same_settings(
    shape: type[Settings],
) -> None:
    written = shape(**values(shape))
    environment = written.environment()
    assert all(isinstance(value, str) for value in environment.values())
    assert all(name == name.upper() for name in environment)
    machine = {"PATH": "/bin", "AWS_REGION": "eu-west-1", "_HANDLER": "x", **environment}
    assert shape.from_environment(machine) == written


@pytest.mark.parametrize("allowed", [True, False])
def test_a_switch_survives_the_environment(allowed: bool) -> None:
    written = ProcessSettings(**values(ProcessSettings), allow_local_webhooks=allowed)
    read = ProcessSettings.from_environment(written.environment())
    assert read.allow_local_webhooks is allowed


@pytest.mark.parametrize(
    "base", ["https://api.stripe.com", "http://127.0.0.1:12111", "http://localhost:9"]
)
def test_stripe_is_reached_by_tls_or_on_this_machine(base: str) -> None:
    read = ProcessSettings(**values(ProcessSettings), stripe_api_base=base)
    assert read.stripe_api_base == base


@pytest.mark.parametrize(
    "base",
    [
        "http://api.stripe.com",
        "http://127.0.0.1.example:80",
        "https://",
        "https://api.stripe.com/",
        "https://api.stripe.com/v1",
        "https://someone@api.stripe.com",
        "https://api.stripe.com?x=1",
        "api.stripe.com",
        "",
    ],
)
def test_merchants_keys_are_sent_to_no_other_address(base: str) -> None:
    with pytest.raises(ValidationError, match="stripe_api_base"):
        ProcessSettings(**values(ProcessSettings), stripe_api_base=base)


def test_local_webhook_endpoints_are_refused_by_default() -> None:
    assert ProcessSettings(**values(ProcessSettings)).allow_local_webhooks is False


@pytest.mark.parametrize("shape", EVERY)
def test_a_missing_variable_is_named(shape: type[Settings]) -> None:
    environment = shape(**values(shape)).environment()
    for name in values(shape):
        if name == "jwks_url":
            continue
        without = {key: value for key, value in environment.items() if key != name.upper()}
        with pytest.raises(ValidationError, match=name):
            shape.from_environment(without)


@pytest.mark.parametrize("shape", EVERY)
def test_every_declared_use_is_of_a_table_and_of_indexes_that_exist(shape: type[Settings]) -> None:
    schemas = {schema.name: schema for schema in ALL_TABLES}
    assert set(shape.TABLE_USES) <= set(schemas)
    for name, use in shape.TABLE_USES.items():
        assert set(use.queried_indexes) <= {index.name for index in schemas[name].indexes}


@pytest.mark.parametrize("shape", [shape for shape in EVERY if shape.TABLE_USES])
def test_a_table_without_a_name_is_named_at_the_start(shape: type[Settings]) -> None:
    environment = shape(**values(shape)).environment()
    names = json.loads(environment["TABLES"])
    absent, *_ = names
    without = json.dumps({name: names[name] for name in names if name != absent})
    with pytest.raises(ValidationError, match=f"the physical name is missing for {absent}"):
        shape.from_environment({**environment, "TABLES": without})


def test_a_function_cannot_reach_a_table_that_it_does_not_declare() -> None:
    environment = HoldsSettings(**values(HoldsSettings)).environment()
    more = {**json.loads(environment["TABLES"]), "keys": "some-keys"}
    read = HoldsSettings.from_environment({**environment, "TABLES": json.dumps(more)})
    assert read.tables == {
        "accounts": "some-accounts",
        "scheduled_runs": "some-scheduled_runs",
        "transfers": "some-transfers",
    }


@pytest.mark.parametrize("text", ["", "accounts=some-accounts", "[]", '{"accounts": 1}'])
def test_names_of_tables_that_cannot_be_read_are_refused(text: str) -> None:
    environment = HoldsSettings(**values(HoldsSettings)).environment()
    with pytest.raises(ValidationError, match="tables"):
        HoldsSettings.from_environment({**environment, "TABLES": text})


@pytest.mark.parametrize(
    "wrong",
    [
        {"intent_lease_seconds": 4},
        {"intent_lease_seconds": 901},
        {"processor_timeout_seconds": 0},
        {"resolver_margin_seconds": 0},
        {"sandbox_fee_basis_points": 10_001},
        {"sandbox_fee_fixed_minor": -1},
        {"merchant_cache_seconds": 301},
        {"misspelt": 1},
    ],
)
def test_a_setting_out_of_range_or_unknown_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ProcessSettings(**values(ProcessSettings), **wrong)


@pytest.mark.parametrize("sources", [{}, {"jwks_url": "u", "jwks_secret_arn": "a"}])
def test_token_verification_needs_keys_from_one_source(sources: dict[str, str]) -> None:
    given = {**values(AuthorizerSettings), "jwks_url": None, **sources}
    with pytest.raises(ValidationError, match=r"jwks_url(, jwks_secret_arn| or jwks_secret_arn)"):
        AuthorizerSettings(**given)


@pytest.mark.parametrize("public", [{}, {"jwks_url": "u"}, {"jwks_secret_arn": "a"}])
def test_the_hs256_secret_can_be_combined_with_public_keys(public: dict[str, str]) -> None:
    given = {**values(AuthorizerSettings), "jwks_url": None, "hs256_secret_arn": "h", **public}
    written = AuthorizerSettings(**given)
    assert AuthorizerSettings.from_environment(written.environment()) == written


@pytest.mark.parametrize("name", ["issuer", "audience"])
def test_an_empty_issuer_or_audience_is_refused(name: str) -> None:
    given = {**values(AuthorizerSettings), name: ""}
    with pytest.raises(ValidationError, match=name):
        AuthorizerSettings(**given)
