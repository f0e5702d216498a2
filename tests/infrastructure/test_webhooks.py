"""Deliveries reach the sender in batches of ten, with limited concurrency; none is dropped."""

from __future__ import annotations

from tests.infrastructure.synthesized import Synthesized, cdk_json_context


def test_the_queue_of_deliveries_feeds_the_sender(stage: Synthesized) -> None:
    (source,) = (
        each for each in stage.all("AWS::Lambda::EventSourceMapping") if each.stack == "webhooks"
    )
    properties = source.properties
    assert stage.flat(properties["EventSourceArn"]).startswith("${DeliveriesQueue")
    assert "DeliverLive" in str(properties["FunctionName"])
    assert properties["BatchSize"] == 10
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["ScalingConfig"]["MaximumConcurrency"] >= 2
    (queue,) = (
        each
        for each in stage.all("AWS::SQS::Queue")
        if each.logical_id.startswith("DeliveriesQueue")
    )
    timeout = stage.functions()["deliver"].properties["Timeout"]
    assert queue.properties["VisibilityTimeout"] >= 6 * timeout
    assert "FifoQueue" not in queue.properties  # message groups are those of fair queues


def test_the_stages_retry_schedule_reaches_the_functions_that_use_it(stage: Synthesized) -> None:
    def reported(service: str, name: str) -> str:
        return str(stage.functions()[service].properties["Environment"]["Variables"][name])

    assert reported("deliver", "RETRY_DELAYS_SECONDS") == "5,300,1800,7200,18000,36000,50400"
    for service in ("project", "process"):
        assert reported(service, "WEBHOOK_DEADLINE_SECONDS") == str(3 * 24 * 3600)
    name = stage.name
    is_local = cdk_json_context()["stages"][name].get("allow_local_webhooks", False)
    assert reported("deliver", "ALLOW_LOCAL_WEBHOOKS") == str(is_local)


def test_a_payload_that_cannot_be_decrypted_triggers_an_alarm(stage: Synthesized) -> None:
    group = stage.functions()["deliver"].properties["LoggingConfig"]["LogGroup"]
    patterns = [
        each.properties["FilterPattern"]
        for each in stage.all("AWS::Logs::MetricFilter")
        if each.properties["LogGroupName"] == group
    ]
    assert any("integrity_error" in pattern for pattern in patterns)


def test_the_outputs_name_the_functions_to_run_by_hand(stage: Synthesized) -> None:
    functions = stage.output("webhooks", "Functions")
    assert set(functions) == {"deliver", "retries"}
    assert stage.output("webhooks", "Schedules") == {
        "retries": {"function": functions["retries"], "event": {"schedule": "retries"}}
    }
