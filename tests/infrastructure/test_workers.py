"""Settlement files reach their function, the resolver runs, and failures are kept for operators."""

from __future__ import annotations

import json

from runtime.alerts.models import AlertType
from runtime.core.change_context import NOT_VOIDED, UNKNOWN_TOO_OLD
from tests.infrastructure.synthesized import Resource, Synthesized, cdk_json_context

DAY_SECONDS = 24 * 3600


def _queues(stage: Synthesized) -> dict[str, Resource]:
    return {queue.logical_id: queue for queue in stage.all("AWS::SQS::Queue")}


def _dead_letter_queues(stage: Synthesized) -> set[str]:
    redriven = {
        queue.properties["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in _queues(stage).values()
        if "RedrivePolicy" in queue.properties
    }
    of_rules = {
        target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        for rule in stage.all("AWS::Events::Rule")
        for target in rule.properties["Targets"]
    }
    return redriven | of_rules


def _sources(stage: Synthesized, stack: str) -> list[Resource]:
    return [s for s in stage.all("AWS::Lambda::EventSourceMapping") if s.stack == stack]


def _rules(stage: Synthesized, kind: str) -> list[Resource]:
    return [rule for rule in stage.all("AWS::Events::Rule") if kind in rule.properties]


def test_only_the_settlement_bucket_announces_its_objects(
    stage: Synthesized,
) -> None:
    (rule,) = (
        each
        for each in _rules(stage, "EventPattern")
        if each.properties["EventPattern"]["source"] == ["aws.s3"]
    )
    pattern = rule.properties["EventPattern"]
    (bucket,) = pattern["detail"]["bucket"]["name"]
    assert stage.flat(bucket).startswith("${SettlementBucket")
    assert pattern["detail-type"] == ["Object Created"]
    assert set(pattern["detail"]) == {"bucket"}
    (target,) = rule.properties["Targets"]
    assert target["Arn"]["Fn::GetAtt"][0].startswith("SettlementFilesQueue")


def test_the_reconcile_function_has_minimal_write_and_delete_permissions(
    stage: Synthesized,
) -> None:
    rights: dict[str, set[str]] = {}
    for statement in stage.statements_of("reconcile"):
        for resource in map(stage.flat, statement["Resource"]):
            if "SettlementBucket" in resource:
                rights.setdefault(resource.partition("/")[2], set()).update(statement["Action"])
    assert rights == {
        "": {"s3:ListBucket"},
        "*": {"s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectVersion"},
        "converted/*": {"s3:AbortMultipartUpload", "s3:PutObject"},
        "rejected/*": {"s3:PutObject"},
    }


def test_files_are_processed_one_at_a_time_and_hidden_for_six_timeouts(stage: Synthesized) -> None:
    (source,) = _sources(stage, "workers")
    assert source.properties["BatchSize"] == 1
    assert source.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source.properties["ScalingConfig"]["MaximumConcurrency"] >= 2
    queue = _queues(stage)[source.properties["EventSourceArn"]["Fn::GetAtt"][0]]
    timeout = stage.functions()["reconcile"].properties["Timeout"]
    assert queue.properties["VisibilityTimeout"] >= 6 * timeout
    assert queue.properties["RedrivePolicy"]["maxReceiveCount"] == 5


def test_every_schedule_runs_its_function_by_the_alias(stage: Synthesized) -> None:
    found = {}
    for rule in _rules(stage, "ScheduleExpression"):
        assert rule.properties["State"] == "ENABLED"
        (target,) = rule.properties["Targets"]
        timed = target.get("InputTransformer", {}).get("InputTemplate", "{}").replace("<", '"<')
        event = json.loads(target.get("Input") or timed.replace(">", '>"'))
        name = event["schedule"]
        assert ("time" in event) == (name == "canary")
        assert target["Arn"]["Ref"].startswith(f"{name.capitalize()}Live")
        found[name] = rule.properties["ScheduleExpression"]
    of_stage = cdk_json_context()["stages"][stage.name]
    local = stage.stacks["data"].stack_name.startswith("payments-local")
    canary = of_stage.get("schedules", {}).get("canary_minutes")
    canaries = {15: "rate(15 minutes)", 240: "rate(4 hours)"}
    assert found == {
        **({"canary": canaries[canary]} if canary else {}),
        "resolver": "rate(1 minute)",
        "holds": "rate(1 minute)",
        "retries": "rate(1 minute)",
        "rotation": "rate(1 day)",
        "poll": "rate(1 day)",
        "missing": "rate(1 day)",
        "totals": "rate(1 hour)",
        "proof": "rate(1 hour)" if local else "rate(1 day)",
        "archive": "rate(1 day)",
    }


def test_a_run_of_the_resolver_ends_before_the_next_one_begins(stage: Synthesized) -> None:
    resolver = stage.functions()["resolver"].properties
    environment = resolver["Environment"]["Variables"]
    begins, asks = int(environment["BEGIN_SECONDS"]), int(environment["PROCESSOR_TIMEOUT_SECONDS"])
    assert begins + 2 * asks <= 60
    assert begins + 2 * asks < resolver["Timeout"]
    assert resolver["MemorySize"] >= 1769, "one whole virtual processor"
    assert int(environment["WORKERS_PER_MERCHANT"]) < int(environment["WORKERS"])


def test_a_failed_run_of_a_schedule_is_kept(stage: Synthesized) -> None:
    configs = stage.all("AWS::Lambda::EventInvokeConfig")
    assert len(configs) == len(_rules(stage, "ScheduleExpression"))
    kept = set()
    for config in configs:
        destination = config.properties["DestinationConfig"]["OnFailure"]["Destination"]
        assert destination["Fn::GetAtt"][0] in _dead_letter_queues(stage)
        kept.add(stage.flat(destination))
    scheduled = ("resolver", "rotation", "poll", "missing", "holds", "totals", "proof", "retries")
    for service in scheduled:
        rights = [s for s in stage.statements_of(service) if s["Action"] == ["sqs:SendMessage"]]
        assert kept & {resource for statement in rights for resource in statement["Resource"]}


PROJECTED = (
    "Accounts",
    "Alerts",
    "Customers",
    "Exports",
    "Merchants",
    "Payments",
    "Settlements",
    "Transactions",
    "Transfers",
)


def test_the_streams_are_projected_and_no_record_is_dropped(stage: Synthesized) -> None:
    sources = _sources(stage, "ledger")
    tables = {stage.flat(source.properties["EventSourceArn"]) for source in sources}
    assert tables == {f"${{{name}Table.StreamArn}}" for name in PROJECTED}
    for source in sources:
        properties = source.properties
        assert properties["StartingPosition"] == "TRIM_HORIZON"
        assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert properties["BisectBatchOnFunctionError"] is True
        assert properties["MaximumRetryAttempts"] > 0
        assert properties["MaximumRecordAgeInSeconds"] < DAY_SECONDS
        destination = stage.flat(properties["DestinationConfig"]["OnFailure"]["Destination"])
        assert destination.startswith("${FailedBatchesBucket")
    metrics = [
        alarm.properties.get("MetricName")
        for alarm in stage.all("AWS::CloudWatch::Alarm")
        if alarm.stack == "ledger"
    ]
    assert metrics.count("OnFailureDestinationDeliveredEventCount") == len(sources)
    assert metrics.count("IteratorAge") == 1


EVENT_FILTER_OPERATORS = {
    *("prefix", "suffix", "anything-but", "numeric", "exists", "equals-ignore-case")
}
"""Lambda Developer Guide, "Filter rule syntax". `anything-but` takes plain values: a prefix in it
is for event buses only (EventBridge User Guide, "Comparison operators", the column of pipes)."""


def _unsupported(pattern: object) -> list[str]:
    """The conditions of an event filter that Lambda does not document."""
    if isinstance(pattern, dict):
        return [found for part in pattern.values() for found in _unsupported(part)]
    assert isinstance(pattern, list), pattern
    found = []
    for condition in pattern:
        if not isinstance(condition, dict):
            continue
        (operator,) = condition
        plain = operator != "anything-but" or not isinstance(condition[operator], dict)
        if operator not in EVENT_FILTER_OPERATORS or not plain:
            found.append(json.dumps(condition))
    return found


def test_event_filters_have_only_operators_that_lambda_documents(stage: Synthesized) -> None:
    filtered = 0
    for source in stage.all("AWS::Lambda::EventSourceMapping"):
        for each in source.properties.get("FilterCriteria", {}).get("Filters", []):
            filtered += 1
            assert _unsupported(json.loads(each["Pattern"])) == [], source.logical_id
    assert filtered == 2
    assert _unsupported({"id": [{"anything-but": {"prefix": "a"}}]}) != []
    assert _unsupported({"id": [{"wildcard": "a*"}]}) != []


def test_every_rule_has_a_dead_letter_queue(stage: Synthesized) -> None:
    for rule in stage.all("AWS::Events::Rule"):
        for target in rule.properties["Targets"]:
            assert "DeadLetterConfig" in target, rule.logical_id
            assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0


def test_an_event_that_a_rule_cannot_deliver_triggers_an_alarm(stage: Synthesized) -> None:
    rules = {rule.logical_id for rule in stage.all("AWS::Events::Rule")}
    watched: dict[str, set[str]] = {}
    for alarm in stage.all("AWS::CloudWatch::Alarm"):
        if alarm.properties.get("Namespace") == "AWS/Events":
            (dimension,) = alarm.properties["Dimensions"]
            watched.setdefault(alarm.properties.get("MetricName"), set()).add(
                dimension["Value"]["Ref"]
            )
            assert alarm.properties["Threshold"] == 1
    assert watched == {"FailedInvocations": rules, "InvocationsFailedToBeSentToDlq": rules}


def test_every_dead_letter_triggers_an_alarm_and_is_kept_for_two_weeks(stage: Synthesized) -> None:
    watched = {
        alarm.properties["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for alarm in stage.all("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == "ApproximateNumberOfMessagesVisible"
    }
    assert watched == _dead_letter_queues(stage)
    for logical_id in watched:
        retention = _queues(stage)[logical_id].properties["MessageRetentionPeriod"]
        assert retention == 14 * DAY_SECONDS


def test_a_processor_outage_triggers_an_alarm(stage: Synthesized) -> None:
    group = stage.functions()["resolver"].properties["LoggingConfig"]["LogGroup"]
    (lines,) = (
        each
        for each in stage.all("AWS::Logs::MetricFilter")
        if each.properties["LogGroupName"] == group
        and each.properties["MetricTransformations"][0]["MetricName"] == "UnknownTooOld"
    )
    for message in (UNKNOWN_TOO_OLD, NOT_VOIDED):
        assert f'"{message}"' in lines.properties["FilterPattern"]
    (metric,) = lines.properties["MetricTransformations"]
    (alarm,) = (
        alarm
        for alarm in stage.all("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == metric["MetricName"]
    )
    assert alarm.properties["Threshold"] == 1


def test_alerts_are_counted_by_type_and_serious_ones_trigger_an_alarm(stage: Synthesized) -> None:
    group = stage.functions()["project"].properties["LoggingConfig"]["LogGroup"]
    filters = {
        each.properties["MetricTransformations"][0]["MetricName"]: each.properties
        for each in stage.all("AWS::Logs::MetricFilter")
        if each.properties["LogGroupName"] == group
    }
    (counted,) = filters["Alerts"]["MetricTransformations"]
    assert filters["Alerts"]["FilterPattern"] == '{ $.message = "alert_raised" }'
    assert counted["Dimensions"] == [{"Key": "Type", "Value": "$.alert_type"}]
    pattern = filters["SeriousAlerts"]["FilterPattern"]
    named = {each for each in AlertType if f'"{each}"' in pattern}
    assert named == {
        AlertType.OUT_OF_BAND,
        AlertType.DECRYPTION_FAILURE,
        AlertType.UNKNOWN_TOO_OLD,
        AlertType.PROCESSOR_EVENT_UNAPPLIED,
    }
    assert '"alert_raised"' in pattern
    (alarm,) = (
        alarm
        for alarm in stage.all("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == "SeriousAlerts"
    )
    assert alarm.properties["Threshold"] == 1


def test_only_the_projector_publishes_to_the_default_bus_under_its_own_source(
    stage: Synthesized,
) -> None:
    for service in stage.functions():
        reported = [s for s in stage.statements_of(service) if "events:PutEvents" in s["Action"]]
        assert bool(reported) == (service == "project")
        for statement in reported:
            assert statement["Action"] == ["events:PutEvents"]
            (bus,) = statement["Resource"]
            assert bus.endswith(":${AWS::AccountId}:event-bus/default")
            assert statement["Condition"] == {
                "ForAllValues:StringEquals": {"events:source": "payments"},
                "Null": {"events:source": "false"},
            }


def test_every_queue_is_encrypted_with_our_key(stage: Synthesized) -> None:
    for queue in _queues(stage).values():
        assert stage.flat(queue.properties["KmsMasterKeyId"]).startswith("${TableKey")


def test_the_outputs_name_the_functions_behind_schedules(stage: Synthesized) -> None:
    functions = stage.output("workers", "Functions")
    canary = {"canary"} & set(stage.functions())
    assert set(functions) == {"reconcile", "missing", "resolver", "rotation", "poll", *canary}
    assert stage.output("workers", "Schedules") == {
        name: {"function": functions[name], "event": {"schedule": name}}
        for name in ("resolver", "rotation", "poll", "missing", *canary)
    }
    functions = stage.output("ledger", "Functions")
    assert set(functions) == {"project", "holds", "totals", "proof"}
    assert stage.output("ledger", "Schedules") == {
        name: {"function": functions[name], "event": {"schedule": name}}
        for name in ("holds", "totals", "proof")
    }
