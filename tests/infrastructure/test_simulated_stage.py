"""The simulation's copies of the stacks' settings match the stacks."""

from __future__ import annotations

from simulation.platform import functions, sources, world
from simulation.platform.settings import DELIVERIES
from stacks import api, audit, data, ledger, payments_workers, webhooks
from stacks.constructs import queues, stream_source
from stacks.stage import Concurrency, StageConfig

TIMEOUTS = {
    "archive": audit.ARCHIVE_TIMEOUT_SECONDS,
    "authorizer": api.AUTHORIZER_TIMEOUT_SECONDS,
    "deliver": data.DELIVER_TIMEOUT_SECONDS,
    "export": data.EXPORT_TIMEOUT_SECONDS,
    "holds": ledger.HOLDS_TIMEOUT_SECONDS,
    "missing": payments_workers.MISSING_TIMEOUT_SECONDS,
    "poll": payments_workers.POLL_TIMEOUT_SECONDS,
    "process": StageConfig.model_fields["process_timeout_seconds"].default,
    "project": ledger.PROJECT_TIMEOUT_SECONDS,
    "proof": ledger.PROOF_TIMEOUT_SECONDS,
    "query": api.QUERY_TIMEOUT_SECONDS,
    "reconcile": payments_workers.RECONCILE_TIMEOUT_SECONDS,
    "resolver": payments_workers.RESOLVER_TIMEOUT_SECONDS,
    "retries": webhooks.RETRIES_TIMEOUT_SECONDS,
    "rotation": payments_workers.ROTATION_TIMEOUT_SECONDS,
    "totals": ledger.TOTALS_TIMEOUT_SECONDS,
}


def test_simulated_functions_have_the_timeouts_of_the_deployed_ones() -> None:
    assert {name: spec.seconds for name, spec in functions.FUNCTIONS.items()} == TIMEOUTS


def test_simulated_streams_are_configured_like_the_deployed_ones() -> None:
    assert dict(sources.PROJECTED) == dict(ledger.PROJECTED)
    assert sources.BATCH_RECORDS == stream_source.BATCH_RECORDS
    assert sources.SEGMENT_ROWS == audit.SEGMENT_ROWS
    window = StageConfig.model_fields["archive_window_seconds"].default
    assert window == sources.ARCHIVE_WINDOW_SECONDS


def test_simulated_queues_are_configured_like_the_deployed_ones() -> None:
    concurrency = Concurrency()
    assert dict(sources.CONCURRENCY) == {
        "deliveries": concurrency.deliver,
        "export-jobs": concurrency.export,
        "settlement-files": concurrency.reconcile,
    }
    assert sources.BATCH_SIZES[DELIVERIES] == webhooks.DELIVER_BATCH
    assert world.VISIBILITY_PER_TIMEOUT == queues.VISIBILITY_PER_TIMEOUT
