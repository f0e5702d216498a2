"""Everything derived from the change streams, under a storm: nothing forgotten, nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest

from tests.support.derived_town import DerivedTown
from tests.support.derived_truth import audit_must_be_whole, webhooks_must_tell
from tests.support.engines import Engine
from tests.support.stage import Stage, running_stage

OPERATIONS = int(os.environ.get("OPERATIONS") or 400)


@pytest.fixture(scope="module")
def streaming_stage(ministack_engine: Engine, dynamodb_local_engine: Engine) -> Iterator[Stage]:
    """The deployed functions; tables and streams on AWS's own engine."""
    with running_stage(ministack_engine, dynamodb_local_engine, streams=True) as stage:
        yield stage


@pytest.fixture
def town(streaming_stage: Stage, dice: Random) -> DerivedTown:
    listening = {"webhook_url": "https://hooks.example.com/in"}
    shops = [
        streaming_stage.shop(index_buckets=buckets, **(listening if buckets > 1 else {}))
        for buckets in (1, 4, 16)
    ]
    return DerivedTown(streaming_stage, str(dice.random()), shops)


def test_what_is_derived_is_whole_after_any_storm(town: DerivedTown) -> None:
    town.run(OPERATIONS)
    town.come_to_rest()
    rows = audit_must_be_whole(town.stage)
    merchants = {shop.id for shop in town.shops[1:]}
    webhooks_must_tell(town.stage, town.records, merchants, town.open_webhook)
    print(town.told(), f"audit rows: {rows}")
