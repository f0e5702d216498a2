"""Crashes, repetitions and concurrency: the same result whatever happens."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest

from runtime.core.errors import StaleWrite
from runtime.reconciliation.files.models import (
    FileStatus,
)
from runtime.reconciliation.settlements.models import (
    SettlementStatus,
)
from tests.support.platform import at_once
from tests.support.reconciliation.engine import SettlementEngine
from tests.support.reconciliation.fakes import Steps
from tests.support.reconciliation.settlement_files import (
    KEY,
    announced_upload,
    line,
    some_file,
    the_file,
)

# ---------------------------------------------------------------- crashes, repetitions, concurrency


def _calls_of_a_whole_run() -> tuple[int, Any]:
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.run()
    return engine.steps.made, engine.state()


@pytest.mark.parametrize("seed", range(20))
def test_processing_killed_at_a_random_call_gives_the_same_result(seed: int) -> None:
    calls, expected = _calls_of_a_whole_run()
    dice = Random(seed)
    engine = SettlementEngine(Steps(dice.randint(1, calls), after=dice.random() < 0.5))
    engine.drop(KEY, some_file())
    engine.run(crashes=1)
    assert engine.state() == expected
    assert len(engine.matcher.seen) >= 36


@pytest.mark.parametrize("after", [False, True])
def test_processing_killed_at_any_call_gives_the_same_result(after: bool) -> None:
    calls, expected = _calls_of_a_whole_run()
    for number in range(1, calls + 1):
        engine = SettlementEngine(Steps(number, after=after))
        engine.drop(KEY, some_file())
        engine.run(crashes=1)
        assert engine.state() == expected, f"killed at call {number}"


def test_repeating_every_message_changes_nothing() -> None:
    _, expected = _calls_of_a_whole_run()
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.run(each_twice=True)
    assert engine.state() == expected


def test_repeating_every_message_concurrently_changes_nothing() -> None:
    _, expected = _calls_of_a_whole_run()
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    while engine.queue.waiting:
        both = [engine.queue.waiting.popleft()] * 2
        results = at_once(*[partial(engine.handle, body) for body in both])
        assert {type(each) for each in results if each is not None} <= {StaleWrite}
        if any(isinstance(each, StaleWrite) for each in results):
            engine.queue.waiting.append(both[0])
    assert engine.state() == expected


def test_the_event_of_a_finished_file_changes_nothing() -> None:
    engine = SettlementEngine()
    version = engine.drop(KEY, some_file())
    engine.run()
    before = engine.state()
    engine.announce(KEY, version)
    engine.run()
    assert engine.state() == before


def test_the_event_of_a_file_in_progress_queues_what_is_not_done() -> None:
    engine = SettlementEngine()
    version = engine.drop(KEY, some_file())
    for _ in range(2):  # plan, and one chunk
        engine.handle(engine.queue.waiting.popleft())
    engine.queue.waiting.clear()
    engine.announce(KEY, version)
    engine.run()
    _, expected = _calls_of_a_whole_run()
    assert engine.state() == expected


def test_messages_that_sqs_refuses_are_sent_again() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.queue.refuse = 2
    engine.run()
    assert the_file(engine).status is FileStatus.COMPLETED_WITH_EXCEPTIONS


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_concurrent_files_of_one_settlement_are_both_in_its_sums(
    order: tuple[int, int],
) -> None:
    engine = SettlementEngine()
    announced_upload(engine, 1, [line(n) for n in range(15)])
    announced_upload(engine, 2, [line(n) for n in range(10, 30)])
    bodies = [engine.queue.waiting.popleft() for _ in range(2)]
    for position in order:
        engine.handle(bodies[position])
    while engine.queue.waiting:
        both = [engine.queue.waiting.popleft() for _ in range(2) if engine.queue.waiting]
        results = at_once(*[partial(engine.handle, body) for body in both])
        for body, result in zip(both, results, strict=True):
            assert result is None or isinstance(result, StaleWrite)
            if result is not None:
                engine.queue.waiting.append(body)
    (settlement,) = engine.tables.settlements.values()
    assert settlement.counts == {"matched": 30}
    assert settlement.by_type["capture"]["USD"].net == 30_000
    assert set(settlement.added_files) == set(engine.tables.files)
    assert settlement.status is SettlementStatus.COMPLETED
