"""A small stage and small uses, whose bill can be calculated by hand."""

from __future__ import annotations

from typing import Any

from stacks.costs.resources import FunctionResource, StageResources
from stacks.costs.uses import CanaryRun, Operation, Run, Stored, Use, Uses, Verification
from stacks.costs.workload import Workload

SALES_ONLY = {
    "customers": 0.0,
    "holds": 0.0,
    "declines": 0.0,
    "refunds": 0.0,
    "reads": 0.0,
    "lists": 0.0,
    "webhooks": 0.0,
    "merchants": 1,
    "months": 1,
    "busy": 0.0,
}


def sales(payments: float, **changes: Any) -> Workload:
    """A month of plain sales, each derived by itself."""
    return Workload.model_validate({"payments": payments, **SALES_ONLY, **changes})


CANARY_PAYS = CanaryRun(
    alone={
        "canary": Use(invocations=1.0, secrets=1.0, waited_seconds=2.0),
        "process": Use(invocations=2.0, requests=2.0, write_units=48.0),
    },
    stored=(Stored(table="payments", item_bytes=1_000.0, entry_bytes=500.0),),
    archived_bytes=4_000.0,
    routes=("POST /v1/payments", "POST /v1/payments/{id}/refund"),
)
CANARY_READS = CanaryRun(
    alone={"canary": Use(invocations=1.0, secrets=1.0)},
    routes=("GET /v1/accounts/{id}", "GET /v1/health"),
)


def uses(**operations: Operation) -> Uses:
    """What these operations use; all others use nothing, and so do schedules."""
    nothing = Operation(alone={}, together={})
    names = Workload(payments=1.0).operations()
    by_name = {name: operations.get(name.replace(" ", "_"), nothing) for name in names}
    return Uses(
        measured="by hand",
        operations=by_name,
        runs={"resolver": Run(fixed=Use(invocations=1.0, read_units=256.0), merchant=Use())},
        canary={"test": CANARY_PAYS, "live": CANARY_READS},
        full_verification=Verification(fixed=Use(), sale=Use()),
        incremental_verification=Verification(fixed=Use(), sale=Use()),
        tables={},
        go_example_sale=Operation(
            alone={"process": Use(invocations=1.0, write_units=33.0, calls=11.0)},
            together={"process": Use(invocations=1.0, write_units=33.0, calls=11.0)},
        ),
    )


SALE_USE = Use(
    invocations=1.0,
    requests=1.0,
    calls=2.0,
    write_units=20.0,
    log_bytes=50.0,
    waited_seconds=0.020,
)
SALE = Operation(
    alone={"process": SALE_USE},
    together={"process": SALE_USE},
    stored=(
        Stored(table="payments", item_bytes=1_000.0, entry_bytes=500.0),
        Stored(table="idempotency", item_bytes=600.0, entry_bytes=0.0, days=1.0),
    ),
    archived_bytes=2_000.0,
)


def resources(**changes: Any) -> StageResources:
    """A stage with one function and nothing else."""
    nothing: dict[str, Any] = {
        "types": {},
        "functions": {"process": FunctionResource(1_024, "arm64")},
        "runs": {},
        "windows": {},
        "polled_queues": 0,
        "stream_mappings_with_metrics": 0,
        "routes_with_metrics": 0,
        "alarm_metrics": 0,
        "dashboards": 0,
        "own_metrics": 0,
        "keys": 0,
        "signing_keys": 0,
        "log_days": 30.0,
        "has_recovery": False,
        "records_functions": False,
        "backups": (),
        "announced_buckets": 0,
    }
    return StageResources(**{**nothing, **changes})
