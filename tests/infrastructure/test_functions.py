"""All functions have the same construction, and the environment that their settings model reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.bill.sale_bill import MEMORY_MEGABYTES
from operations.redrive import LIVE
from runtime.core.errors import IntegrityError, KeyForgotten
from runtime.settings import PaymentTiming, ProcessSettings, Settings
from simulation.platform.functions import FUNCTIONS
from stacks.constructs.alarms import MANY_REFUSALS
from tests.infrastructure.synthesized import Resource, Synthesized, cdk_json_context

SETTINGS: dict[str, type[Settings]] = {
    service: function.settings for service, function in FUNCTIONS.items()
}
HANDLERS = {
    "archive": "runtime.functions.start.archive",
    "authorizer": "runtime.functions.start.authorize",
    "deliver": "runtime.functions.start.deliver",
    "export": "runtime.functions.start.export",
    "holds": "runtime.functions.start.expire_holds",
    "process": "runtime.functions.start.process",
    "project": "runtime.functions.start.project",
    "proof": "runtime.functions.start.verify_ledger",
    "query": "runtime.functions.start.query",
    "reconcile": "runtime.functions.start.reconcile",
    "resolver": "runtime.functions.start.resolve",
    "missing": "runtime.functions.start.find_unsettled",
    "poll": "runtime.functions.start.poll_processors",
    "retries": "runtime.functions.start.queue_due_webhooks",
    "rotation": "runtime.functions.start.rotate_keys",
    "totals": "runtime.functions.start.compact_totals",
}
NOT_SETTINGS = {"LOG_LEVEL", "POWERTOOLS_SERVICE_NAME"}
every_function = pytest.mark.parametrize("service", SETTINGS)


def _environment(stage: Synthesized, function: Resource) -> dict[str, str]:
    variables = function.properties["Environment"]["Variables"]
    return {name: stage.flat(value) for name, value in variables.items()}


def test_each_stage_has_all_functions(stage: Synthesized) -> None:
    """Canary and console, clients of the API, have their own tests: not every stage has them."""
    assert set(stage.functions()) - {"canary", "console"} == set(SETTINGS)


def test_the_bill_of_a_sale_has_the_memory_of_its_functions(cloud_stage: Synthesized) -> None:
    functions = cloud_stage.functions()
    memory = {name: functions[name].properties["MemorySize"] for name in MEMORY_MEGABYTES}
    assert memory == MEMORY_MEGABYTES


@every_function
def test_a_function_runs_traced_python_on_arm(service: str, cloud_stage: Synthesized) -> None:
    properties = cloud_stage.functions()[service].properties
    assert properties["Architectures"] == ["arm64"]
    assert properties["Runtime"] == "python3.13"
    assert properties["TracingConfig"] == {"Mode": "Active"}
    assert properties["Handler"] == HANDLERS[service]


@every_function
def test_a_function_writes_to_an_encrypted_log_group_with_retention(
    service: str, stage: Synthesized
) -> None:
    function = stage.functions()[service]
    group_id = function.properties["LoggingConfig"]["LogGroup"]["Ref"]
    group = stage.templates[function.stack]["Resources"][group_id]["Properties"]
    name = stage.name
    assert group["RetentionInDays"] == cdk_json_context()["stages"][name]["log_retention_days"]
    assert stage.flat(group["KmsKeyId"]).startswith("${TableKey")


@every_function
def test_the_environment_parses_to_the_settings_that_wrote_it(
    service: str, stage: Synthesized
) -> None:
    environment = _environment(stage, stage.functions()[service])
    settings = SETTINGS[service].from_environment(environment)
    written = {name: value for name, value in environment.items() if name not in NOT_SETTINGS}
    assert settings.environment() == written
    assert environment["POWERTOOLS_SERVICE_NAME"] == settings.service == service


@every_function
def test_a_function_is_invoked_by_its_alias_only(service: str, stage: Synthesized) -> None:
    function = stage.functions()[service]
    aliases = [
        alias
        for alias in stage.all("AWS::Lambda::Alias")
        if alias.properties["FunctionName"] == {"Ref": function.logical_id}
    ]
    assert [alias.properties["Name"] for alias in aliases] == [LIVE]
    for permission in stage.all("AWS::Lambda::Permission"):
        assert permission.properties["FunctionName"] != {"Ref": function.logical_id}


@pytest.mark.parametrize("service", ["process", "resolver"])
def test_an_intents_lease_outlives_every_request_that_can_hold_it(
    service: str, stage: Synthesized
) -> None:
    environment = _environment(stage, stage.functions()[service])
    settings = SETTINGS[service].from_environment(environment)
    assert isinstance(settings, PaymentTiming)
    request_seconds = stage.functions()["process"].properties["Timeout"]
    assert settings.processor_timeout_seconds < request_seconds < settings.intent_lease_seconds


@pytest.mark.parametrize("service", ["process", "resolver"])
def test_only_production_processes_live_payments(service: str, stage: Synthesized) -> None:
    environment = _environment(stage, stage.functions()[service])
    assert environment["PROCESSORS"] == ("live" if environment["STAGE"] == "prod" else "test")


@pytest.mark.parametrize("service", ["process", "resolver"])
def test_all_functions_that_record_declines_have_the_same_lockout_settings(
    service: str, stage: Synthesized
) -> None:
    environment = _environment(stage, stage.functions()[service])
    settings = SETTINGS[service].from_environment(environment)
    assert isinstance(settings, PaymentTiming)
    assert {"LOCK_AFTER_FAILURES", "LOCK_SECONDS"} <= set(environment)
    assert (settings.lock_after_failures, settings.lock_seconds) == (3, 30 * 60)


def test_production_keeps_the_versions_that_an_alias_can_go_back_to(prod: Synthesized) -> None:
    versions = prod.all("AWS::Lambda::Version")
    assert len(versions) == len(prod.functions())
    for version in versions:
        assert version.body["DeletionPolicy"] == "RetainExceptOnCreate", version.logical_id


@every_function
def test_a_crash_of_a_function_triggers_an_alarm(service: str, stage: Synthesized) -> None:
    function = stage.functions()[service]
    watched = [
        alarm
        for alarm in stage.all("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == "Errors"
        and alarm.properties["Dimensions"]
        == [{"Name": "FunctionName", "Value": {"Ref": function.logical_id}}]
    ]
    assert len(watched) == 1


def _dimensions(metric: Mapping[str, Any]) -> set[str]:
    return {each["Key"] for each in metric.get("Dimensions", ())}


def test_refused_tokens_are_counted_by_reason_and_many_trigger_an_alarm(stage: Synthesized) -> None:
    group = stage.functions()["authorizer"].properties["LoggingConfig"]["LogGroup"]
    counted = {}
    for found in stage.all("AWS::Logs::MetricFilter"):
        (metric,) = found.properties["MetricTransformations"]
        # Failures of a new version are counted in the same log (test_deployments.py).
        if found.properties["LogGroupName"] == group and "Version" not in _dimensions(metric):
            assert found.properties["FilterPattern"] == '{ $.message = "token refused" }'
            name = stage.name
            assert metric["MetricNamespace"] == f"payments/{name}", "another stage has its own"
            assert metric["MetricValue"] == "1"
            counted[metric["MetricName"]] = metric.get("Dimensions")
    assert counted == {
        "TokensRefused": [{"Key": "Reason", "Value": "$.reason"}],
        "TokensRefusedInAll": None,
    }
    (alarm,) = (
        alarm
        for alarm in stage.all("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == "TokensRefusedInAll"
    )
    assert alarm.properties["Threshold"] == MANY_REFUSALS == 100
    assert alarm.properties["Period"] == 300


def test_lists_of_payments_in_processing_know_the_lease_of_requests(stage: Synthesized) -> None:
    functions = stage.functions()
    leases = {
        functions[name].properties["Environment"]["Variables"]["INTENT_LEASE_SECONDS"]
        for name in ("process", "query", "export")
    }
    assert len(leases) == 1, "they find them by the end of the lease"


def test_only_the_local_stage_allows_local_webhook_endpoints(stage: Synthesized) -> None:
    environment = _environment(stage, stage.functions()["process"])
    settings = ProcessSettings.from_environment(environment)
    assert settings.allow_local_webhooks is (settings.stage == "local")


def test_no_custom_resource_is_used(stage: Synthesized) -> None:
    types = {body["Type"] for t in stage.templates.values() for body in t["Resources"].values()}
    assert not [kind for kind in types if "Custom" in kind]


def test_a_decryption_failure_triggers_an_alarm(stage: Synthesized) -> None:
    filters = [
        each
        for each in stage.all("AWS::Logs::MetricFilter")
        if each.properties["MetricTransformations"][0]["MetricName"] == "UnreadableFields"
    ]
    assert len(filters) == 7, "process, query, resolver, rotation, poll, deliver, project"
    (_alarm,) = (
        alarm
        for alarm in stage.all("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == "UnreadableFields"
    )
    for each in filters:
        for code in (IntegrityError.code, KeyForgotten.code):
            assert f'"{code}"' in each.properties["FilterPattern"]


def _reserved(stage: Synthesized) -> dict[str, int]:
    return {
        service: function.properties["ReservedConcurrentExecutions"]
        for service, function in stage.functions().items()
        if "ReservedConcurrentExecutions" in function.properties
    }


def test_concurrency_and_the_dynamodb_client_are_set_only_where_a_stage_sets_them(
    stage: Synthesized, with_options: Synthesized
) -> None:
    assert not {"authorizer", "process", "query"} & set(_reserved(stage)), (
        "an account with a concurrency of 10 could not deploy"
    )
    assert _clients(stage) == {None}
    assert _reserved(with_options).items() >= {"authorizer": 50, "process": 400}.items()
    assert _clients(with_options) == {"botocore"}


def _clients(stage: Synthesized) -> set[str | None]:
    functions = stage.functions().values()
    return {_environment(stage, each).get("DYNAMODB_CLIENT") for each in functions}


def test_a_function_that_queues_work_for_itself_is_not_stopped_as_a_loop(
    stage: Synthesized,
) -> None:
    allowed = {
        name
        for name, function in stage.functions().items()
        if function.properties.get("RecursiveLoop") == "Allow"
    }
    assert allowed == {name for name in stage.functions() if _feeds_itself(name, stage)}


def _feeds_itself(name: str, stage: Synthesized) -> bool:
    """Whether a function may receive from a queue and send to it."""
    queues: dict[str, set[str]] = {}
    for statement in stage.statements_of(name):
        for action in statement["Action"]:
            queues.setdefault(action, set()).update(map(stage.flat, statement["Resource"]))
    received = queues.get("sqs:ReceiveMessage", set())
    return not received.isdisjoint(queues.get("sqs:SendMessage", set()))


def test_functions_of_the_api_start_from_snapshots_where_the_stage_says_so(
    with_options: Synthesized, prod: Synthesized
) -> None:
    """Of published versions, which the alias names: the functions themselves are never invoked."""
    started = {
        name: function.properties["SnapStart"]
        for name, function in with_options.functions().items()
        if "SnapStart" in function.properties
    }
    applied = {"ApplyOn": "PublishedVersions"}
    assert started == {"authorizer": applied, "process": applied, "query": applied}
    for name, function in with_options.functions().items():
        # SnapStart excludes all of them (Lambda Developer Guide).
        assert not {"EphemeralStorage", "FileSystemConfigs"} & function.properties.keys()
        variables = function.properties["Environment"]["Variables"]
        mode = variables.get("AWS_ACCOUNT_ID_ENDPOINT_MODE")
        assert (mode == "disabled") == (name in started)
    assert with_options.all("AWS::Lambda::Alias")
    for alias in with_options.all("AWS::Lambda::Alias"):
        assert "ProvisionedConcurrencyConfig" not in alias.properties
    assert not any("SnapStart" in each.properties for each in prod.functions().values())
