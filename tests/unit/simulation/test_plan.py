"""Plans: operations distributed over clients, and smaller plans made from them."""

from __future__ import annotations

import pytest

from simulation.platform.plan import MOST_CLIENTS, ClientKind, Plan


@pytest.mark.parametrize("operations", [1, 7, 100, 2_000, 20_001])
def test_a_plan_has_the_requested_number_of_operations(operations: int) -> None:
    plan = Plan.drawn("1", operations)
    assert plan.operations == operations
    assert 1 <= len(plan.clients) <= MOST_CLIENTS
    assert len({client.name for client in plan.clients}) == len(plan.clients)


def test_a_plan_is_determined_by_its_seed() -> None:
    assert Plan.drawn("1", 500) == Plan.drawn("1", 500)
    assert Plan.drawn("1", 500) != Plan.drawn("2", 500)


def test_a_smaller_plan_leaves_the_other_clients_as_they_are() -> None:
    plan = Plan.drawn("1", 500)
    first, second, *_ = plan.clients
    smaller = plan.without(first.name).limited(second.name, 3)
    assert smaller.clients[1:] == plan.clients[2:]
    assert (smaller.clients[0].seed, smaller.clients[0].operations) == (second.seed, 3)


def test_a_plan_of_some_kinds_of_clients_has_no_others() -> None:
    plan = Plan.drawn("1", 50, kinds=[ClientKind.CARDS, ClientKind.BANK])
    assert {client.kind for client in plan.clients} == {ClientKind.CARDS, ClientKind.BANK}


def test_a_long_run_pauses_twice_and_a_short_one_never() -> None:
    assert Plan.drawn("1", 700).pauses == ()
    assert Plan.drawn("1", 1_000).pauses == (500,)
    assert Plan.drawn("1", 2_500).pauses == (833, 1_666)
    assert Plan.drawn("1", 20_000).pauses == (6_666, 13_333)


def test_a_smaller_run_pauses_at_the_same_points() -> None:
    plan = Plan.drawn("1", 2_500)
    first = plan.clients[0].name
    assert plan.limited(first, 1).pauses == plan.without(first).pauses == plan.pauses
