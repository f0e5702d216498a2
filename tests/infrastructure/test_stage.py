"""Invalid stage settings are refused with a message that says what to change."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from stacks.stage import StageConfig, StageError
from tests.infrastructure.synthesized import CLOUD_STAGES, STAGES, cdk_json_context


def _stage(name: str, **changed: Any) -> StageConfig:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    stages[name].update(changed)
    return StageConfig.named(name, stages)


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_of_cdk_json_is_valid(name: str) -> None:
    assert _stage(name).name == name


def test_the_default_stage_is_dev() -> None:
    assert cdk_json_context()["stage"] == "dev"


def test_an_unknown_stage_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StageError, match=r"'production': cdk\.json knows dev, local, prod"):
        StageConfig.named("production", cdk_json_context()["stages"])


def test_a_misspelt_setting_is_refused_by_name() -> None:
    with pytest.raises(StageError, match="stage dev: log_retention: Extra inputs"):
        _stage("dev", log_retention=3)


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        ("streams", {"parallel_batches": {"payment": 3}}),
        ("data", {"warm_write_units": {"pay": 5_000}}),
    ],
)
def test_settings_by_table_name_tables_that_exist(part: str, setting: Any) -> None:
    before = cdk_json_context()["stages"]["prod"].get(part, {})
    with pytest.raises(StageError, match=rf"{part}.* names tables that do not exist: pay"):
        _stage("prod", **{part: {**before, **setting}})


def test_batches_at_once_are_two_unless_set() -> None:
    streams = _stage("prod", streams={"parallel_batches": {"payments": 10}}).streams
    assert streams.parallel_batches_of("payments") == 10
    assert streams.parallel_batches_of("transfers") == 2
    with pytest.raises(StageError, match="less than or equal to 10"):
        _stage("prod", streams={"parallel_batches": {"payments": 11}})


def test_one_merchant_cannot_use_all_workers_of_the_resolver() -> None:
    assert _stage("prod", resolver={"workers": 8, "workers_per_merchant": 7}).resolver.workers == 8
    with pytest.raises(StageError, match=r"workers_per_merchant \(8\) must be less than workers"):
        _stage("prod", resolver={"workers": 8, "workers_per_merchant": 8})


def test_a_dynamodb_client_that_does_not_exist_is_refused() -> None:
    assert _stage("dev", dynamodb_client="botocore").dynamodb_client == "botocore"
    with pytest.raises(StageError, match="dynamodb_client: Input should be 'lean' or 'botocore'"):
        _stage("dev", dynamodb_client="boto")


@pytest.mark.parametrize("runtime", ["this-machine", {"python_version": "3.11"}])
def test_snapshots_need_a_newer_python(runtime: Any) -> None:
    assert not _stage("dev").snap_start
    assert _stage("dev", snap_start=True).snap_start
    with pytest.raises(StageError, match=r"snap_start needs a lambda_runtime of Python 3\.12"):
        _stage("local", snap_start=True, lambda_runtime=runtime)


@pytest.mark.parametrize(
    "base", ["http://docs.example/errors/", "https://docs.example/errors", "https://{host}/errors#"]
)
def test_links_to_documentation_of_errors_end_where_the_code_follows(base: str) -> None:
    own = "https://docs.example.com/errors#"
    assert _stage("prod", error_types=own).error_types_sent == own
    assert _stage("prod").error_types_sent is None
    local = "http://{host}/_aws/execute-api/{api_id}/$default/v1/docs/errors#"
    assert _stage("local").error_types_sent == local
    with pytest.raises(StageError, match="error_types"):
        _stage("prod", error_types=base)


def test_a_stage_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        _stage("dev").log_level = "DEBUG"  # type: ignore[misc]


@pytest.mark.parametrize("name", CLOUD_STAGES)
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        (
            "intent_lease_seconds",
            10,
            "process_timeout_seconds .29. must be less than intent_lease_seconds .10.",
        ),
        ("lambda_runtime", "this-machine", 'only the stage local may use: lambda_runtime "this-'),
        ("cors_origins", ["http://localhost:3000"], "local may use: cors_origins over plain http"),
        ("allow_local_webhooks", True, "only the stage local may use: allow_local_webhooks"),
        ("stripe_api_base", "http://127.0.0.1:1", "local may use: stripe_api_base other than"),
        ("stripe_api_base", "https://else.example", "local may use: stripe_api_base other than"),
        ("auth", cdk_json_context()["stages"]["local"]["auth"], "may use: auth of a local stack"),
    ],
)
def test_settings_of_the_local_stage_are_refused_elsewhere(
    name: str, setting: str, value: object, said: str
) -> None:
    with pytest.raises(StageError, match=said):
        _stage(name, **{setting: value})


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("prod", {"processors": "test"}, 'prod must set processors "live"'),
        ("local", {"processors": "live"}, 'local must set processors "test"'),
        ("dev", {"processors": "live"}, "must set data.retain and data.deletion_protection"),
        ("dev", {"processors": "sandbox"}, "processors: Input should be 'test' or 'live'"),
    ],
)
def test_a_stage_is_for_test_or_live_payments_but_not_both(
    name: str, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(StageError, match=said):
        _stage(name, **changed)


def test_a_stage_names_its_mode() -> None:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    modes = {name: settings.pop("processors") for name, settings in stages.items()}
    assert modes == {"dev": "test", "staging": "test", "prod": "live", "local": "test"}
    with pytest.raises(StageError, match="stage dev: processors: Field required"):
        StageConfig.named("dev", stages)


def test_a_short_lease_is_refused_in_production_even_if_requests_are_shorter() -> None:
    with pytest.raises(StageError, match="local may use: intent_lease_seconds under 30"):
        _stage(
            "prod",
            intent_lease_seconds=10,
            process_timeout_seconds=9,
            processor_timeout_seconds=5,
        )


def test_roots_are_signed_at_least_as_often_as_verification_expects() -> None:
    with pytest.raises(StageError, match=r"archive_minutes: .* less than or equal to 1440"):
        _stage("dev", schedules={"archive_minutes": 1441})


def test_a_single_failure_cannot_lock_a_customer() -> None:
    with pytest.raises(StageError, match=r"lock_out\.after_failures: .* or equal to 2"):
        _stage("dev", lock_out={"after_failures": 1})


@pytest.mark.parametrize("kept", ["retain", "deletion_protection"])
def test_production_must_keep_its_data(kept: str) -> None:
    data = {"retain": True, "deletion_protection": True, kept: False}
    with pytest.raises(StageError, match=r"prod must set data\.retain and data\.deletion"):
        _stage("prod", data=data)


TWO_SOURCES = {"jwks_url": "https://a.b/c", "jwks_secret_name": "d"}


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({}, "give jwks_url or jwks_secret_name, or hs256_secret_name"),
        (TWO_SOURCES, "at most one of jwks_url and jwks_secret_name"),
        ({**TWO_SOURCES, "hs256_secret_name": "e"}, "at most one of jwks_url"),
    ],
)
def test_token_verification_needs_keys_from_one_source(sources: dict[str, str], said: str) -> None:
    with pytest.raises(StageError, match=said):
        _stage("dev", auth={"issuer": "https://a.b", "audience": "c", **sources})


@pytest.mark.parametrize("public", [{}, {"jwks_url": "https://a.b/c"}, {"jwks_secret_name": "d"}])
def test_the_hs256_secret_can_be_combined_with_public_keys(public: dict[str, str]) -> None:
    auth = {"issuer": "https://a.b", "audience": "c", "hs256_secret_name": "e", **public}
    assert _stage("dev", auth=auth).auth.hs256_secret_name == "e"


JWT = {"mode": "jwt", "issuer": "https://a.b", "audience": "c"}


def test_jwt_mode_needs_no_keys() -> None:
    assert _stage("dev", auth=JWT).auth.mode == "jwt"
    assert _stage("dev").auth.mode == "lambda"


@pytest.mark.parametrize(
    "vain",
    [
        {"jwks_url": "https://a.b/c"},
        {"jwks_secret_name": "d"},
        {"hs256_secret_name": "e"},
        {"cache_seconds": 60},
    ],
)
def test_authorizer_settings_are_refused_in_jwt_mode(vain: dict[str, Any]) -> None:
    with pytest.raises(StageError, match=f'mode "jwt" has no use for {next(iter(vain))}'):
        _stage("dev", auth={**JWT, **vain})


def test_the_local_stage_verifies_its_own_tokens() -> None:
    with pytest.raises(StageError, match=r'auth\.mode "jwt" needs an issuer'):
        _stage("local", auth=JWT)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(StageError, match=r"auth\.mode"):
        _stage("dev", auth={**JWT, "mode": "none"})


def test_a_local_secret_is_refused_in_other_stages() -> None:
    auth = {"issuer": "https://a.b", "audience": "c", "hs256_secret_name": "payments/local/hs256"}
    with pytest.raises(StageError, match="local may use: auth of a local stack"):
        _stage("dev", auth=auth)


def test_an_issuer_without_tls_is_refused() -> None:
    auth = {"issuer": "http://a.b", "audience": "c", "jwks_url": "https://a.b/c"}
    with pytest.raises(StageError, match=r"auth\.issuer"):
        _stage("dev", auth=auth)


@pytest.mark.parametrize("name", CLOUD_STAGES)
def test_a_placeholder_can_be_synthesized_but_not_deployed(name: str) -> None:
    with pytest.raises(StageError, match=rf"set stages\.{name}\.auth in cdk\.json"):
        _stage(name).refuse_deploying_placeholders()


def test_a_stage_with_a_real_issuer_can_be_deployed() -> None:
    auth = {"issuer": "https://a.b", "audience": "c", "jwks_url": "https://a.b/c"}
    target = {"email": ["on-call@a.b"]}
    stage = _stage("prod", auth=auth, alarms={"page": target, "ticket": target})
    stage.refuse_deploying_placeholders()
    assert not stage.auth.is_placeholder


def test_the_limits_of_public_routes_cannot_exceed_the_whole() -> None:
    for setting in ("public_rate_per_second", "events_rate_per_second"):
        with pytest.raises(
            StageError, match=rf"{setting} \(1001\) must not exceed rate_per_second"
        ):
            _stage("dev", throttling={setting: 1001})
