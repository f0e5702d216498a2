"""Every alarm has a name, a runbook and someone whom it calls."""

from __future__ import annotations

import copy
import re
from collections import Counter
from pathlib import Path

import pytest

from stacks.runbooks import PAGE, Runbook, Severity
from stacks.stage import StageConfig, StageError
from tests.infrastructure.synthesized import (
    CLOUD_STAGES,
    ROOT,
    Json,
    Resource,
    Synthesized,
    cdk_json_context,
    listed,
)

MAX_ALARM_NAME = 255
RUNBOOK = re.compile(r"^[A-Z][^.]*\. Runbook: (\S+)#(\S+)$")


def _alarms(stage: Synthesized) -> list[Resource]:
    return stage.all("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")


def _runbook(alarm: Resource) -> Runbook:
    found = RUNBOOK.match(alarm.properties["AlarmDescription"])
    assert found is not None, alarm.properties["AlarmDescription"]
    assert found[1] == PAGE
    (runbook,) = (each for each in Runbook if each.anchor == found[2])
    return runbook


def _settings(**changed: object) -> dict[str, Json]:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    stages["prod"].update(changed)
    return stages


def _name(alarm: Resource, stage: Synthesized) -> str:
    """Its name; for the alarms of a version, which the name ends with, N stands for the version."""
    return re.sub(r"-\$\{\w+\.Version\}$", "-N", stage.flat(alarm.properties["AlarmName"]))


def _is_of_a_version(alarm: Resource, stage: Synthesized) -> bool:
    return _name(alarm, stage).endswith("-N")


def test_the_name_of_an_alarm_says_its_stage_and_what_it_watches(stage: Synthesized) -> None:
    name = stage.stacks["data"].stack_name.removesuffix("-data")
    names = [_name(alarm, stage) for alarm in _alarms(stage)]
    assert len(set(names)) == len(names) > 50
    for each in names:
        assert re.fullmatch(rf"{name}(-[a-z0-9]+)+(-N)?", each), each
        assert len(each) <= MAX_ALARM_NAME


def test_every_alarm_links_to_a_runbook_and_every_runbook_has_an_alarm(
    stage: Synthesized, prod: Synthesized
) -> None:
    used = {_runbook(alarm) for alarm in _alarms(stage)}
    assert used <= set(Runbook)
    assert {_runbook(alarm) for alarm in _alarms(prod)} == set(Runbook)


def test_every_runbook_is_a_heading_of_the_operations_page() -> None:
    headings = {
        line.removeprefix("### ")
        for line in (ROOT / PAGE).read_text().splitlines()
        if line.startswith("### Alarm: ")
    }
    assert {each.heading for each in Runbook} == headings
    anchors = [each.anchor for each in Runbook]
    assert len(set(anchors)) == len(anchors)


def test_every_alarm_in_production_calls_someone(prod: Synthesized) -> None:
    topics = {f"${{{each.logical_id}}}" for each in prod.all("AWS::SNS::Topic")}
    assert len(topics) == 2
    called: Counter[str] = Counter()
    for alarm in _alarms(prod):
        if _is_of_a_version(alarm, prod):
            assert "AlarmActions" not in alarm.properties, "CodeDeploy reads it"
            continue
        (topic,) = alarm.properties["AlarmActions"]
        assert alarm.properties["OKActions"] == [topic]
        assert prod.flat(topic) in topics
        called[prod.flat(topic).removeprefix("${").partition("Alarms")[0]] += 1
    assert set(called) == {"Page", "Ticket"}
    addresses = {
        each.properties["Endpoint"]: prod.flat(each.properties["TopicArn"])
        for each in prod.all("AWS::SNS::Subscription")
    }
    assert addresses.keys() == {"on-call@payments.example", "payments-team@payments.example"}
    assert set(addresses.values()) == topics


def test_what_stops_payments_calls_at_any_hour(prod: Synthesized) -> None:
    paged = {
        alarm.properties["AlarmName"].removeprefix("payments-prod-")
        for alarm in _alarms(prod)
        if "PageAlarms" in str(alarm.properties.get("AlarmActions"))
    }
    assert {
        *("process-errors", "process-throttles", "query-errors", "authorizer-throttles"),
        *("server-errors", "streams-lag", "out-of-band-change", "serious-alerts"),
        *("ledger-verification-failed", "audit-tampered", "unreadable-fields", "unknown-too-old"),
        "file-arrived-invocations-failed-to-be-sent-to-dlq",
    } <= paged
    assert not {"export-errors", "totals-not-compacted", "latency"} & paged


def test_a_stage_without_addresses_has_alarms_without_actions(stage: Synthesized) -> None:
    if stage.name == "prod":
        return
    for alarm in _alarms(stage):
        assert "AlarmActions" not in alarm.properties, alarm.logical_id


def test_only_alarms_publish_to_the_topics_which_are_encrypted(stage: Synthesized) -> None:
    topics = stage.all("AWS::SNS::Topic")
    for topic in topics:
        assert stage.flat(topic.properties["KmsMasterKeyId"]).startswith("${TableKey")
    policies = stage.all("AWS::SNS::TopicPolicy")
    assert len(policies) == len(topics) == 2
    for policy in policies:
        by_effect = {
            each["Effect"]: each for each in policy.properties["PolicyDocument"]["Statement"]
        }
        assert set(by_effect) == {"Allow", "Deny"}
        allowed = by_effect["Allow"]
        assert listed(allowed["Action"]) == ["sns:Publish"]
        assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        condition = allowed["Condition"]["StringEquals"]
        assert condition == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_dynamodb_alarms_watch_every_table_and_index(stage: Synthesized) -> None:
    watched = set()
    for alarm in _alarms(stage):
        if "throttled" in alarm.properties["AlarmName"]:
            metrics = [each for each in alarm.properties["Metrics"] if "MetricStat" in each]
            assert len(metrics) <= 10, "CloudWatch's quota for an alarm"
            for each in metrics:
                metric = each["MetricStat"]["Metric"]
                of = {one["Name"]: stage.flat(one["Value"]) for one in metric["Dimensions"]}
                index = of.get("GlobalSecondaryIndexName")
                watched.add((metric["MetricName"], of["TableName"], index))
    assert watched == {
        (f"{kind}ThrottleEvents", f"${{{table.logical_id}}}", index)
        for table in stage.all("AWS::DynamoDB::Table")
        for index in (None, *_indexes(table))
        for kind in ("Read", "Write")
    }


def _indexes(table: Resource) -> list[str]:
    indexes = table.properties.get("GlobalSecondaryIndexes", ())
    return [each["IndexName"] for each in indexes]


def test_a_topic_of_ones_own_takes_the_place_of_addresses(asset: Path, tmp_path: Path) -> None:
    arn = "arn:aws:sns:eu-west-1:123456789012:on-call"
    context = {
        **cdk_json_context(),
        "stages": _settings(alarms={"page": {"topic_arn": arn}, "ticket": {"topic_arn": arn}}),
    }
    prod = Synthesized.make("prod", asset, tmp_path, context, judged=False)
    assert prod.all("AWS::SNS::Topic") == []
    called = [each for each in _alarms(prod) if not _is_of_a_version(each, prod)]
    assert {str(alarm.properties["AlarmActions"]) for alarm in called} == {f"['{arn}']"}


@pytest.mark.parametrize(
    "alarms",
    [
        {},
        {"page": {"email": ["a@b.c"]}},
        {"ticket": {"https": ["https://b.c/d"]}},
        {"page": {"email": []}, "ticket": {"email": ["a@b.c"]}},
    ],
)
def test_production_is_refused_without_someone_to_call(alarms: Json) -> None:
    with pytest.raises(StageError, match=r"prod must set alarms\.page and alarms\.ticket"):
        StageConfig.named("prod", _settings(alarms=alarms))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"email": ["on-call"]}, r"alarms\.page\.email"),
        ({"https": ["http://b.c/d"]}, r"alarms\.page\.https"),
        ({"topic_arn": "on-call"}, r"alarms\.page\.topic_arn"),
        (
            {"email": ["a@b.c"], "topic_arn": "arn:aws:sns:eu-west-1:123456789012:x"},
            "topic_arn has its own subscriptions",
        ),
    ],
)
def test_an_address_that_cannot_be_notified_is_refused(target: Json, said: str) -> None:
    alarms = {"page": target, "ticket": {"email": ["a@b.c"]}}
    with pytest.raises(StageError, match=said):
        StageConfig.named("prod", _settings(alarms=alarms))


def test_placeholders_of_addresses_are_not_deployed() -> None:
    auth = {"issuer": "https://a.b", "audience": "c", "jwks_url": "https://a.b/c"}
    stage = StageConfig.named("prod", _settings(auth=auth))
    with pytest.raises(StageError, match=r"set stages\.prod\.alarms\.page in cdk\.json"):
        stage.refuse_deploying_placeholders()


@pytest.mark.parametrize("name", CLOUD_STAGES)
def test_the_stages_of_cdk_json_notify_by_severity_or_not_at_all(name: str) -> None:
    alarms = StageConfig.named(name, cdk_json_context()["stages"]).alarms
    notified = {Severity.PAGE: alarms.page.notifies, Severity.TICKET: alarms.ticket.notifies}
    assert set(notified.values()) == {name == "prod"}
