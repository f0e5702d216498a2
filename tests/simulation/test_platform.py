"""The platform's own functions in one simulated world."""

from __future__ import annotations

from collections import Counter

import pytest

from simulation.outcome import history_hash
from simulation.platform.plan import Plan
from simulation.platform.world import Platform


def test_clients_pay_and_transfer_without_faults() -> None:
    platform = Platform("calm", Plan.drawn("calm", 100, parts=()))
    platform.run()
    platform.settle()
    answers = (exchange.response for exchange in platform.history)
    statuses = Counter(answer.status if answer is not None else None for answer in answers)
    assert statuses[201] > 60
    assert (statuses[500], statuses[503], statuses[None]) == (0, 0, 0)
    assert platform.log.defects == []
    assert platform.proof["holds"], platform.proof
    assert platform.deliveries, "merchants receive webhooks"


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_world_with_every_fault_comes_to_rest(seed: str) -> None:
    platform = Platform(seed, Plan.drawn(seed, 80))
    platform.run()
    assert platform.scheduler.injected, "faults were injected"
    platform.settle()
    assert platform.log.defects == []
    assert platform.proof["holds"], platform.proof
    assert platform.tamper() == [], "every edit is found and reported"


def test_one_seed_has_one_history() -> None:
    hashes = set()
    for _ in range(2):
        platform = Platform("again", Plan.drawn("again", 40))
        platform.run()
        hashes.add(history_hash(platform))
    assert len(hashes) == 1
