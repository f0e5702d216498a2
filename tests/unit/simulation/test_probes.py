"""Probes send requests that must be refused, and they are."""

from __future__ import annotations

from collections import Counter

import pytest

from simulation.platform.plan import ClientKind, Plan
from simulation.platform.world import Platform
from simulation.watch.settled.check import check_settled


@pytest.fixture(scope="module")
def probed() -> Platform:
    """A calm world with one probe."""
    platform = Platform("2", Plan.drawn("2", 150, parts=(), kinds=[ClientKind.PROBES]))
    platform.run()
    platform.settle()
    return platform


def test_every_probe_is_refused(probed: Platform) -> None:
    assert check_settled(probed) == []
    assert probed.watch.findings == []


def test_a_probe_makes_no_more_operations_than_are_planned(probed: Platform) -> None:
    assert sum(client.done for client in probed.clients) == 150


def test_every_kind_of_refusal_occurs(probed: Platform) -> None:
    codes = Counter(
        each.response.body.get("code")
        for each in probed.history
        if each.response is not None and isinstance(each.response.body, dict)
    )
    wanted = {
        *("not_found", "forbidden", "insufficient_funds", "currency_mismatch", "locked"),
        *("amount_too_large", "rate_limited", "invalid_state"),
    }
    assert wanted <= codes.keys(), codes
