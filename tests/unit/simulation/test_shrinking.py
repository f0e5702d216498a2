"""Shrinking of violations, runs in parts, and the last line of the command."""

from __future__ import annotations

import re

import pytest

from simulation import __main__ as command
from simulation.outcome import Outcome
from simulation.parts import Choice, hash_over, parted
from simulation.platform.plan import ClientKind, Part, Plan
from simulation.shrinking import Shrinking

PLAN = Plan.drawn("s", 2_000)


def outcome(plan, *violations, rule="floor", done=None):
    begun = done or {client.name: client.operations for client in plan.clients}
    operations = sum(begun.values())
    return Outcome(
        plan.seed, operations, 10, 1.0, "a" * 64, violations, rule if violations else "", begun
    )


def needs(**wanted):
    """A run that violates a rule if each of these clients does this many operations."""

    def run(plan):
        run.plans.append(plan)
        enough = {
            client.name: client.operations >= wanted.get(client.name.replace("-", "_"), 0)
            for client in plan.clients
        }
        found = all(enough.get(name.replace("_", "-"), False) for name in wanted)
        return outcome(plan, "floor: broken") if found else outcome(plan)

    run.plans = []
    return run


def shrunk(run, plan=PLAN, tries=400):
    shrinking = Shrinking(plan, run(plan), run, tries)
    shrinking.shrink()
    return shrinking


def test_only_what_is_needed_remains():
    shrinking = shrunk(needs(cards_0=7, transfers_2=3))
    assert {c.name: c.operations for c in shrinking.plan.clients} == {
        "cards-0": 7,
        "transfers-2": 3,
    }
    assert shrinking.plan.parts == frozenset()
    assert shrinking.outcome.violations == ("floor: broken",)


def test_a_different_violation_is_not_the_same():
    def run(plan):
        if len(plan.clients) < len(PLAN.clients):
            return outcome(plan, "crash: something else", rule="crash")
        return outcome(plan, "floor: broken")

    assert len(shrunk(run).plan.clients) == len(PLAN.clients)


def test_attempts_are_bounded():
    run = needs(cards_0=7)
    shrunk(run, tries=5)
    assert len(run.plans) == 1 + 5


def test_operations_after_the_violation_are_dropped():
    def run(plan):
        done = {client.name: min(client.operations, 4) for client in plan.clients}
        return outcome(plan, "floor: broken", done=done)

    assert all(client.operations <= 4 for client in shrunk(run, tries=1).plan.clients)


# -------------------------------------------------------------------- parts


def test_parts_depend_only_on_the_number_of_operations():
    assert parted("7", 2_500) == (("7", 2_500),)
    parts = parted("7", 20_000)
    assert sum(operations for _, operations in parts) == 20_000
    assert [seed for seed, _ in parts] == [f"7.{number}" for number in range(1, 9)]


def test_one_hash_over_all_parts_in_order():
    one, two = (Outcome("s", 1, 1, 1.0, digit * 64) for digit in "ab")
    assert hash_over([one]) == "a" * 64
    assert len({hash_over([one, two]), hash_over([two, one]), hash_over([one])}) == 3
    assert re.fullmatch("[0-9a-f]{64}", hash_over([one, two]))


def test_a_selection_limits_a_plan():
    choice = Choice(frozenset({Part.FAULTS}), clients=(("cards-0", 3), ("powers-3", 1)))
    plan = choice.plan("s", 2_000)
    assert [(client.name, client.operations) for client in plan.clients] == [
        ("cards-0", 3),
        ("powers-3", 1),
    ]
    assert plan.parts == {Part.FAULTS}
    with pytest.raises(ValueError, match="cards-99"):
        Choice(clients=(("cards-99", 1),)).plan("s", 2_000)


# -------------------------------------------------------------------- the command

LAST_LINE = re.compile(
    r"history sha256:[0-9a-f]{64} seed (\S+) operations (\d+) commits (\d+) violations (\d+)"
)


@pytest.fixture
def played(monkeypatch, capsys, tmp_path):
    """Runs the command on invented outcomes: `run` gives the outcome of each plan."""

    def play(run, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(command, "play", run)
        monkeypatch.setattr(
            command, "play_parts", lambda plans, _: ((plan, run(plan)) for plan in plans)
        )
        status = command.main(arguments)
        printed = capsys.readouterr().out
        last = LAST_LINE.fullmatch(printed.splitlines()[-1])
        assert last, printed
        return status, last.groups(), printed

    return play


def test_a_successful_run_ends_with_its_hash(played):
    status, last, _ = played(outcome, "--seed", "7", "--operations", "6000")
    assert status == 0
    assert last == ("7", "6000", "30", "0")


def test_a_violation_prints_a_command_that_reproduces_it(played):
    run = needs(cards_0=7)
    status, last, printed = played(run, "--seed", "7", "--operations", "6000", "--tries", "300")
    assert (status, last[3]) == (1, "1")
    replay = re.search(r"^replay: make simulate-faults (.*)$", printed, re.MULTILINE)[1]
    assert replay == "SEED=7.1 OPERATIONS=2000 CLIENTS=cards-0:7 PARTS=none"
    words = dict(word.split("=") for word in replay.split())
    arguments = [part for name, value in words.items() for part in (f"--{name.lower()}", value)]
    assert played(run, *arguments, "--no-shrink")[1] == ("7.1", "7", "10", "1")


def test_kinds_are_part_of_the_command(played):
    _, _, printed = played(needs(cards_0=1), "--operations", "50", "--kinds", "cards,powers")
    assert "KINDS=cards,powers" in printed


def test_shrinking_can_be_disabled(played):
    run = needs(cards_0=7)
    played(run, "--operations", "2000", "--no-shrink")
    assert len(run.plans) == 1


def test_a_crashing_run_is_a_violation(played):
    def run(_plan):
        raise RuntimeError("the simulation itself")

    status, last, printed = played(run, "--seed", "7")
    assert (status, last) == (1, ("7", "0", "0", "1"))
    assert "crash: RuntimeError: the simulation itself" in printed


def test_an_invalid_selection_is_an_error_too(played):
    assert played(outcome, "--clients", "unknown-1:3")[0] == 1
    assert played(outcome, "--kinds", "unknown")[0] == 1


def test_kinds_and_parts_have_names():
    assert set(ClientKind) >= {"cards", "powers", "transfers"}
    assert set(Part) >= {"faults"}
