"""Pauses within a run: the world comes to rest, is checked, and continues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runtime.ledger.hot_accounts import projection as folding_projection
from simulation.faults import FaultRates
from simulation.outcome import play
from simulation.platform.plan import ClientKind, Part, Plan
from simulation.platform.settling import is_open, settle
from simulation.platform.world import Platform
from simulation.shrinking import as_far_as
from simulation.tasks import Violation
from simulation.watch.settled.check import check_settled

MONEY = (ClientKind.CARDS, ClientKind.TRANSFERS)
PLAN = replace(
    Plan.drawn("pauses-3", 60, parts=(Part.FAULTS, Part.PAUSES), kinds=MONEY), pauses=(20, 40)
)
SMALL = Plan.drawn("schedules", 10, parts=(), kinds=MONEY)


def test_the_world_comes_to_rest_in_between_and_continues() -> None:
    platform = Platform(PLAN.seed, PLAN)
    seen: list[tuple[int, float]] = []

    def at_rest() -> None:
        assert platform.state.is_settling
        assert platform.scheduler.rates == FaultRates.calm()
        assert not is_open(platform)
        assert check_settled(platform) == []
        seen.append((sum(client.done for client in platform.clients), platform.scheduler.now))

    platform.run(at_rest)
    (first, first_at), (second, second_at) = seen
    assert 20 <= first < 40 <= second < 60
    assert 0.0 < first_at < second_at < platform.scheduler.now
    assert sum(client.done for client in platform.clients) >= 60
    assert not platform.state.is_settling
    assert platform.scheduler.rates != FaultRates.calm(), "faults are injected again"
    exchanges = [(each.calm, first_at <= each.began <= second_at) for each in platform.history]
    assert {(True, True), (False, True), (False, False)} <= set(exchanges)


def test_a_short_run_does_not_pause() -> None:
    platform = Platform(PLAN.seed, replace(PLAN, pauses=(10_000,)))
    platform.run(lambda: pytest.fail("it was brought to rest"))
    left_out = replace(PLAN, parts=frozenset({Part.FAULTS}))
    Platform(PLAN.seed, left_out).run(lambda: pytest.fail("pauses are left out"))


@pytest.mark.deep
def test_a_run_with_pauses_has_one_history() -> None:
    assert play(PLAN) == play(PLAN)


@pytest.fixture
def nothing_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credits of hot accounts are lost, which only checks at rest detect."""
    monkeypatch.setattr(folding_projection, "items_of", lambda _transfer: [])


@pytest.mark.deep
@pytest.mark.usefixtures("nothing_is_folded")
def test_a_violation_at_a_pause_ends_the_run_and_is_reproduced_by_a_smaller_one() -> None:
    outcome = play(PLAN)
    assert outcome.rule == "ledger at rest"
    assert outcome.operations < 40
    smaller = as_far_as(PLAN, outcome)
    assert smaller.operations == outcome.operations
    assert play(smaller).rule == "ledger at rest"


# ---------------------------------------------------------------- schedules


def without_end(platform: Platform, name: str) -> None:
    """Make a function always run into its timeout."""

    def build(_: Any) -> Any:
        return lambda _event, _context: platform.scheduler.sleep(10_000.0)

    platform.functions[name].deploy(build)


def test_a_schedule_that_fails_twice_without_faults_is_found() -> None:
    platform = Platform(SMALL.seed, SMALL)
    without_end(platform, "holds")
    with pytest.raises(Violation, match="holds failed twice though nothing goes wrong"):
        platform.scheduler.run(max_time=600.0)
    assert [finding.rule for finding in platform.watch.findings] == ["schedule"]


def test_a_schedule_may_fail_twice_under_faults() -> None:
    platform = Platform(SMALL.seed, SMALL)
    platform.state.calm_since = None
    without_end(platform, "holds")
    platform.scheduler.run(max_time=600.0)
    assert platform.sources.schedules["holds"].given_up
    assert platform.watch.findings == []


def test_an_attempt_that_began_under_faults_may_still_fail() -> None:
    platform = Platform(SMALL.seed, SMALL)
    platform.state.calm_since = None
    without_end(platform, "holds")
    schedule = platform.sources.schedules["holds"]
    platform.scheduler.run(until=lambda: schedule.runs > 0)
    platform.scheduler.run(max_time=platform.scheduler.now + 181.0)
    schedule.stop()
    platform.state.calm_since = platform.scheduler.now
    platform.scheduler.run(until=lambda: schedule.given_up > 0)
    assert platform.watch.findings == []


def test_a_schedule_that_fails_while_the_world_comes_to_rest_is_found() -> None:
    platform = Platform(SMALL.seed, SMALL)
    without_end(platform, "resolver")
    with pytest.raises(Violation, match="resolver failed at rest: LambdaDied"):
        settle(platform)
    assert [finding.rule for finding in platform.watch.findings] == ["schedule"]
