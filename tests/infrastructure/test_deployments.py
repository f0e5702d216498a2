"""The API's functions are replaced in two steps, and taken back when the new version fails."""

from __future__ import annotations

import pytest

from runtime.core.observability import VERSION_FIELD
from stacks.constructs.api_alarms import SLOW_MILLISECONDS
from stacks.constructs.canary_deployment import FAILED_ANSWERS
from tests.infrastructure.synthesized import Json, Resource, Synthesized, listed

SHIFTED = {"authorizer", "process", "query"}
MAX_ALARMS = 10
"""Of one deployment group (CodeDeploy quotas)."""


def _groups(stage: Synthesized) -> dict[str, Resource]:
    """Deployment groups by the service whose alias they move."""
    groups = {each.logical_id: each for each in stage.all("AWS::CodeDeploy::DeploymentGroup")}
    services = {each.logical_id: name for name, each in stage.functions().items()}
    found = {}
    for alias in stage.all("AWS::Lambda::Alias"):
        policy = alias.body.get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate")
        if policy is not None:
            service = services[alias.properties["FunctionName"]["Ref"]]
            found[service] = groups[policy["DeploymentGroupName"]["Ref"]]
    return found


def _alarms(stage: Synthesized, group: Resource) -> list[Resource]:
    alarms = {each.logical_id: each for each in stage.all("AWS::CloudWatch::Alarm")}
    configured = group.properties["AlarmConfiguration"]
    assert configured["Enabled"] is True
    return [alarms[each["Name"]["Ref"]] for each in configured["Alarms"]]


def _dimensions(alarm: Resource, stage: Synthesized) -> dict[str, str]:
    return {each["Name"]: stage.flat(each["Value"]) for each in alarm.properties["Dimensions"]}


def test_only_the_functions_that_serve_requests_are_shifted_and_only_where_a_stage_says_so(
    stage: Synthesized,
) -> None:
    canary = stage.stacks["data"].stack_name in {"payments-staging-data", "payments-prod-data"}
    assert set(_groups(stage)) == (SHIFTED if canary else set())
    if not canary:
        types = {each["Type"] for t in stage.templates.values() for each in t["Resources"].values()}
        assert not [kind for kind in types if kind.startswith("AWS::CodeDeploy")]


@pytest.mark.parametrize("service", sorted(SHIFTED))
def test_a_new_version_gets_a_tenth_for_five_minutes_and_goes_back_on_an_alarm(
    service: str, prod: Synthesized
) -> None:
    group = _groups(prod)[service]
    assert (
        group.properties["DeploymentConfigName"]
        == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    )
    assert group.properties["DeploymentStyle"] == {
        "DeploymentOption": "WITH_TRAFFIC_CONTROL",
        "DeploymentType": "BLUE_GREEN",
    }
    rollback = group.properties["AutoRollbackConfiguration"]
    assert rollback["Enabled"] is True
    assert set(rollback["Events"]) == {
        "DEPLOYMENT_FAILURE",
        "DEPLOYMENT_STOP_ON_ALARM",
        "DEPLOYMENT_STOP_ON_REQUEST",
    }


@pytest.mark.parametrize("service", sorted(SHIFTED))
def test_what_stops_a_deployment_is_measured_on_the_new_version_alone(
    service: str, prod: Synthesized
) -> None:
    """An alarm on all versions would stop the deployment that ends an incident."""
    function = prod.functions()[service]
    (alias,) = (
        each
        for each in prod.all("AWS::Lambda::Alias")
        if each.properties["FunctionName"] == {"Ref": function.logical_id}
    )
    version = prod.flat(alias.properties["FunctionVersion"])
    alarms = _alarms(prod, _groups(prod)[service])
    assert len(alarms) <= MAX_ALARMS
    thresholds = {}
    for alarm in alarms:
        assert version in _dimensions(alarm, prod).values(), alarm.logical_id
        assert prod.flat(alarm.properties["AlarmName"]).endswith(f"-{version}"), (
            "another version has another alarm, which is not on yet"
        )
        assert alarm.properties["TreatMissingData"] == "notBreaching"
        thresholds[alarm.properties["MetricName"]] = alarm.properties["Threshold"]
    assert thresholds == {
        "Errors": 1,
        f"{service.capitalize()}Failures": FAILED_ANSWERS,
        "Duration": SLOW_MILLISECONDS,
    }


@pytest.mark.parametrize("service", sorted(SHIFTED))
def test_failed_answers_are_counted_by_the_version_that_gave_them(
    service: str, prod: Synthesized
) -> None:
    group = prod.functions()[service].properties["LoggingConfig"]["LogGroup"]
    (counted,) = (
        each
        for each in prod.all("AWS::Logs::MetricFilter")
        if each.properties["LogGroupName"] == group
        and each.properties["MetricTransformations"][0]["MetricName"].endswith("Failures")
    )
    (metric,) = counted.properties["MetricTransformations"]
    assert metric["Dimensions"] == [{"Key": "Version", "Value": f"$.{VERSION_FIELD}"}]
    assert counted.properties["FilterPattern"] == (
        '{ ($.status >= 500) || ($.reason = "failure") }'
    )


def test_codedeploy_may_move_only_the_aliases_of_these_functions(prod: Synthesized) -> None:
    resources: Json = prod.templates["api"]["Resources"]
    roles = {prod.flat(each.properties["ServiceRoleArn"]) for each in _groups(prod).values()}
    assert len(roles) == 1
    role = resources[roles.pop().removeprefix("${").removesuffix(".Arn}")]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "codedeploy.amazonaws.com"}
    assert trust["Condition"].keys() == {"StringEquals", "ArnLike"}
    (policy,) = role["ManagedPolicyArns"]
    statements = resources[policy["Ref"]]["Properties"]["PolicyDocument"]["Statement"]
    allowed = {
        each["Sid"]: (set(listed(each["Action"])), {prod.flat(r) for r in listed(each["Resource"])})
        for each in statements
    }
    functions = {f"${{{prod.functions()[name].logical_id}.Arn}}" for name in SHIFTED}
    actions = {"lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"}
    assert allowed == {
        "Aliases": (actions, functions | {f"{arn}:live" for arn in functions}),
        "Alarms": ({"cloudwatch:DescribeAlarms"}, {"*"}),
    }
