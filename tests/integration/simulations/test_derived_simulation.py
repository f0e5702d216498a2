"""Everything derived from the change streams under faults: nothing is lost, nothing is repeated."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random

import pytest

from runtime.functions.compact_totals import compact_totals_services
from tests.support.engines.engine import Engine
from tests.support.oracles.derived_data import (
    AuditableChange,
    audit_must_be_whole,
    items,
    summary_must_be_exact,
    webhooks_must_tell,
)
from tests.support.simulation.derived_data import DerivedDataSimulation
from tests.support.stages.running_stage import Stage, running_stage
from tests.support.webhooks.worker import WebhookWorker

OPERATIONS = int(os.environ.get("OPERATIONS") or 250)


@pytest.fixture(scope="module")
def streaming_stage(ministack_engine: Engine, engine: Engine) -> Iterator[Stage]:
    """The deployed functions, their tables and streams on the engine that ENGINE names."""
    with running_stage(ministack_engine, engine) as stage:
        yield stage


@pytest.fixture
def simulation(streaming_stage: Stage, dice: Random) -> DerivedDataSimulation:
    listening = {"webhook_url": "https://hooks.example.com/in"}
    shops = [
        streaming_stage.shop(index_buckets=buckets, **(listening if buckets > 1 else {}))
        for buckets in (1, 4, 16)
    ]
    return DerivedDataSimulation(streaming_stage, str(dice.random()), shops)


def test_everything_derived_is_complete_after_any_faults(simulation: DerivedDataSimulation) -> None:
    simulation.run(OPERATIONS)
    simulation.come_to_rest()
    rows = audit_must_be_whole(simulation.stage)
    merchants = {shop.id for shop in simulation.shops[1:]}
    reported = webhooks_must_tell(
        simulation.stage, simulation.records, merchants, simulation.open_webhook
    )
    counted = sum(
        summary_must_be_exact(simulation.stage, shop.id, shop.who) for shop in simulation.shops
    )
    office = WebhookWorker(simulation.stage, simulation.seed)
    rounds = office.work_off()
    everything_was_taken(simulation, office, reported)
    fold_the_day(office)
    for shop in simulation.shops:
        summary_must_be_exact(simulation.stage, shop.id, shop.who)
    must_be_quiet(simulation)
    print(
        simulation.reported(),
        f"{rows} audit rows, {len(reported)} webhooks sent {office.receiver.sent} times "
        f"in {rounds} "
        f"rounds, {counted} payments counted",
    )


def everything_was_taken(
    simulation: DerivedDataSimulation,
    office: WebhookWorker,
    reported: Mapping[str, AuditableChange],
) -> None:
    """Each webhook arrived at least once, with one id and one body, and its row is consistent."""
    assert set(office.receiver.taken) == set(reported)
    assert all(len(bodies) == 1 for bodies in office.receiver.bodies.values())
    statuses = {
        item["status"]["S"] for item in items(simulation.stage, "webhooks") if "status" in item
    }
    assert statuses <= {"delivered"}


def fold_the_day(office: WebhookWorker) -> None:
    """The totals' schedule, on the day after."""
    totals = compact_totals_services()
    totals.deps = replace(totals.deps, outside=office.outside)
    report = office.stage.api.fold_totals()
    assert report["finished"], report


def must_be_quiet(simulation: DerivedDataSimulation) -> None:
    """Only alerts with a cause in the simulation, and no dropped records."""
    alerts = Counter(item["type"]["S"] for item in items(simulation.stage, "alerts"))
    assert set(alerts) <= {"large_transaction", "suspicious_velocity", "lock_out"}, alerts
    assert simulation.poller.sink == []
