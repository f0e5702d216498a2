"""The copies of the stacks' settings in the simulation and the load model match the stacks."""

from __future__ import annotations

from benchmarks.capacity import limits
from simulation.platform import functions, sources, world
from simulation.platform.settings import DELIVERIES, MINUTES, STREAM_WINDOWS
from stacks import api, audit, data, ledger, payments_workers, webhooks
from stacks.constructs import queues, stream_source
from stacks.scheduled_workers import AUDIT, LEDGER, PAYMENTS, WEBHOOKS
from stacks.stage import StageConfig
from stacks.stage_parts import Streams
from stacks.stage_workload import Concurrency
from tests.infrastructure.synthesized import cdk_json_context, documented_large_stage

SCHEDULED = (*PAYMENTS, *LEDGER, *WEBHOOKS, *AUDIT)
TIMEOUTS = {
    **{worker.name: worker.timeout_seconds for worker in SCHEDULED},
    "authorizer": api.AUTHORIZER_TIMEOUT_SECONDS,
    "deliver": data.DELIVER_TIMEOUT_SECONDS,
    "export": data.EXPORT_TIMEOUT_SECONDS,
    "process": StageConfig.model_fields["process_timeout_seconds"].default,
    "project": ledger.PROJECT_TIMEOUT_SECONDS,
    "query": api.QUERY_TIMEOUT_SECONDS,
    "reconcile": payments_workers.RECONCILE_TIMEOUT_SECONDS,
}


def test_simulated_functions_have_the_timeouts_of_the_deployed_ones() -> None:
    assert {name: spec.seconds for name, spec in functions.FUNCTIONS.items()} == TIMEOUTS


def test_simulated_streams_are_configured_like_the_deployed_ones() -> None:
    assert dict(sources.PROJECTED) == dict(ledger.PROJECTED)
    assert sources.BATCH_RECORDS == stream_source.BATCH_RECORDS
    assert sources.SEGMENT_ROWS == audit.SEGMENT_ROWS
    window = StageConfig.model_fields["archive_window_seconds"].default
    assert window == sources.ARCHIVE_WINDOW_SECONDS == STREAM_WINDOWS["audit_log"]
    assert set(STREAM_WINDOWS) == {*ledger.PROJECTED, "audit_log"}
    assert not any(STREAM_WINDOWS[name] for name in ledger.PROJECTED)


def test_simulated_queues_are_configured_like_the_deployed_ones() -> None:
    concurrency = Concurrency()
    assert dict(sources.CONCURRENCY) == {
        "deliveries": concurrency.deliver,
        "export-jobs": concurrency.export,
        "settlement-files": concurrency.reconcile,
    }
    assert sources.BATCH_SIZES[DELIVERIES] == webhooks.DELIVER_BATCH
    assert world.VISIBILITY_PER_TIMEOUT == queues.VISIBILITY_PER_TIMEOUT


def test_simulated_schedules_run_the_deployed_ones() -> None:
    assert set(MINUTES) == {worker.name for worker in SCHEDULED}


def test_the_load_model_has_the_settings_of_the_deployed_stage() -> None:
    assert Streams().parallel_batches_of("payments") == limits.PARALLEL_BATCHES
    assert limits.PROJECT_MEMORY_MB == ledger.PROJECT_MEMORY_MB
    assert limits.HTTP_MEMORY_MB == api.HTTP_MEMORY_MB
    prod = StageConfig.named("prod", cdk_json_context()["stages"])
    assert prod.throttling.rate_per_second == limits.AS_PROD.requests_per_second
    assert prod.concurrency.deliver == limits.AS_PROD.deliveries_at_once
    assert prod.streams.parallel_batches == limits.AS_PROD.parallel_batches
    assert prod.streams.window_seconds == limits.AS_PROD.window_seconds
    assert prod.data.warm_write_units == limits.AS_PROD.warm_write_units


def test_the_load_model_has_the_settings_of_the_documented_large_stage() -> None:
    large = StageConfig.named("prod", {"prod": documented_large_stage()})
    assert large.throttling.rate_per_second == limits.FOR_20_000.requests_per_second
    assert large.concurrency.deliver == limits.FOR_20_000.deliveries_at_once
    assert large.streams.parallel_batches == limits.FOR_20_000.parallel_batches
    assert large.streams.window_seconds == limits.FOR_20_000.window_seconds
    assert large.data.warm_write_units == limits.FOR_20_000.warm_write_units
