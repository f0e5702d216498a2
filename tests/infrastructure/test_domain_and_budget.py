"""A stage's own domain is the only way to its API, and its budget notifies people."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from stacks.stage import StageConfig, StageError
from tests.infrastructure.synthesized import Json, Synthesized, cdk_json_context, listed

DOMAIN = {
    "name": "api.payments.test",
    "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/5a-b",
}


def _stage(name: str, **changed: Any) -> StageConfig:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    stages[name].update(changed)
    return StageConfig.named(name, stages)


def _one(stage: Synthesized, kind: str) -> Json:
    (found,) = stage.all(kind)
    return found.properties


def test_the_api_answers_at_its_domain_only_and_with_new_tls_only(
    with_domain: Synthesized,
) -> None:
    domain = _one(with_domain, "AWS::ApiGatewayV2::DomainName")
    assert domain["DomainName"] == "api.payments.test"
    (configuration,) = domain["DomainNameConfigurations"]
    assert configuration["SecurityPolicy"] == "TLS_1_2"
    assert configuration["EndpointType"] == "REGIONAL"
    assert _one(with_domain, "AWS::ApiGatewayV2::Api")["DisableExecuteApiEndpoint"] is True
    mapping = _one(with_domain, "AWS::ApiGatewayV2::ApiMapping")
    assert "ApiMappingKey" not in mapping
    outputs = with_domain.templates["api"]["Outputs"]
    url = outputs["ApiUrl"]["Value"]
    (resource,) = with_domain.all("AWS::ApiGatewayV2::DomainName")
    assert with_domain.flat(url) == f"https://${{{resource.logical_id}}}"
    assert "RegionalDomainName" in str(outputs["DomainTarget"]["Value"])


def test_the_record_of_the_domain_points_to_it(with_domain: Synthesized) -> None:
    record = _one(with_domain, "AWS::Route53::RecordSet")
    (domain,) = with_domain.all("AWS::ApiGatewayV2::DomainName")
    assert (record["Name"], record["Type"]) == ("api.payments.test", "A")
    assert record["HostedZoneId"] == "Z0123456789"
    assert record["AliasTarget"] == {
        "DNSName": {"Fn::GetAtt": [domain.logical_id, "RegionalDomainName"]},
        "HostedZoneId": {"Fn::GetAtt": [domain.logical_id, "RegionalHostedZoneId"]},
    }


def test_without_a_domain_the_gateways_own_address_stays_open(stage: Synthesized) -> None:
    assert stage.all("AWS::ApiGatewayV2::DomainName", "AWS::Route53::RecordSet") == []
    api = _one(stage, "AWS::ApiGatewayV2::Api")
    assert not api.get("DisableExecuteApiEndpoint", False)
    url = stage.flat(stage.templates["api"]["Outputs"]["ApiUrl"]["Value"])
    assert url.endswith(".ApiEndpoint}")


def test_a_budget_notifies_of_what_was_spent_and_of_what_is_forecast(
    with_domain: Synthesized,
) -> None:
    budget = _one(with_domain, "AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 500, "Unit": "USD"}
    assert budget["Budget"]["BudgetName"] == "payments-dev"
    assert "CostFilters" not in budget["Budget"]
    notified = [
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"])
        for each in budget["NotificationsWithSubscribers"]
    ]
    assert notified == [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]


def test_aws_budgets_may_publish_to_the_encrypted_topic(with_domain: Synthesized) -> None:
    subscribers = [
        subscriber
        for each in _one(with_domain, "AWS::Budgets::Budget")["NotificationsWithSubscribers"]
        for subscriber in each["Subscribers"]
    ]
    (topic,) = {subscriber["Address"]["Ref"] for subscriber in subscribers}
    policies = [
        policy
        for policy in with_domain.all("AWS::SNS::TopicPolicy")
        if policy.properties["Topics"] == [{"Ref": topic}]
    ]
    allowed = _allowed(policies[0].properties["PolicyDocument"])
    assert allowed["Action"] == "sns:Publish"
    (key,) = (
        each for each in with_domain.all("AWS::KMS::Key") if each.logical_id.startswith("TableKey")
    )
    on_key = _allowed(key.properties["KeyPolicy"])
    assert set(listed(on_key["Action"])) == {"kms:Decrypt", "kms:GenerateDataKey"}
    for statement in (allowed, on_key):
        assert statement["Condition"]["StringEquals"] == {
            "aws:SourceAccount": {"Ref": "AWS::AccountId"}
        }
        assert "budgets::" in str(statement["Condition"]["ArnLike"]["aws:SourceArn"])


def _allowed(document: Json) -> Json:
    (statement,) = (
        each
        for each in document["Statement"]
        if each["Principal"] == {"Service": "budgets.amazonaws.com"}
    )
    found: Json = statement
    return found


def test_a_stage_without_a_budget_lets_budgets_publish_nothing(stage: Synthesized) -> None:
    assert stage.all("AWS::Budgets::Budget") == []
    assert "budgets.amazonaws.com" not in str(stage.templates["data"])


def test_a_budget_without_anyone_to_notify_is_refused() -> None:
    with pytest.raises(StageError, match=r"budget needs email, or alarms\.ticket"):
        _stage("dev", budget={"monthly_usd": 10})
    assert _stage("dev", budget={"monthly_usd": 10, "email": ["a@b.test"]}).budget is not None


def test_the_local_stage_has_neither_domain_nor_budget() -> None:
    for changed in ({"domain": DOMAIN}, {"budget": {"monthly_usd": 1, "email": ["a@b.test"]}}):
        with pytest.raises(StageError, match="local must set neither domain nor budget"):
            _stage("local", **changed)


@pytest.mark.parametrize("name", ["payments", "https://api.payments.test", "Api.Payments.test"])
def test_what_is_not_a_domain_name_is_refused(name: str) -> None:
    with pytest.raises(StageError, match=r"domain\.name"):
        _stage("dev", domain={**DOMAIN, "name": name})


def test_a_placeholder_for_the_domain_is_not_deployed() -> None:
    auth = {"issuer": "https://i.test", "audience": "a", "jwks_url": "https://i.test/jwks"}
    stage = _stage("dev", auth=auth, domain={**DOMAIN, "name": "api.payments.example"})
    with pytest.raises(StageError, match=r"domain still names api\.payments\.example"):
        stage.refuse_deploying_placeholders()
