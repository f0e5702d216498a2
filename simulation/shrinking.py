"""A run that violates a rule made smaller, as long as it violates the same rule.

Clients are dropped, their operations are lowered, and parts are switched off. What a client does
depends on its own seed and on the answers that it gets, so what is left stays much as it was; who
goes on when does change, so not every smaller run shows the violation, and tries are bounded.
(Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", TSE 2002: ddmin.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from simulation.outcome import Outcome
from simulation.platform.plan import ClientPlan, Plan

MOST_TRIES: Final = 60
"""Runs of one shrinking: each is smaller than the last that failed, so most take seconds."""


@dataclass
class Shrinking:
    """The smallest run so far, and how many tries are left."""

    plan: Plan
    outcome: Outcome
    run: Callable[[Plan], Outcome]
    tries: int = MOST_TRIES

    def shrink(self) -> None:
        """Make the run as small as the tries allow. The first step costs no violation."""
        self._try(as_far_as(self.plan, self.outcome))
        while self.tries > 0 and self._smaller():
            pass

    def _smaller(self) -> bool:
        """One round through all ways to make it smaller; whether any did."""
        before = self.plan
        for candidates in (_fewer_clients, _fewer_operations, _fewer_parts):
            again = True
            while again and self.tries > 0:
                again = any(self._try(plan) for plan in self._untried(candidates))
        return self.plan != before

    def _untried(self, candidates: Callable[[Plan], Iterator[Plan]]) -> Iterator[Plan]:
        for plan in candidates(self.plan):
            if self.tries <= 0:
                return
            yield plan

    def _try(self, plan: Plan) -> bool:
        """Take the smaller run if it violates the same rule."""
        if plan == self.plan:
            return False
        self.tries -= 1
        outcome = self.run(plan)
        if outcome.rule != self.outcome.rule:
            return False
        self.plan, self.outcome = as_far_as(plan, outcome), outcome
        return True


def as_far_as(plan: Plan, outcome: Outcome) -> Plan:
    """The plan with what was begun until the violation, and nothing after it."""
    begun = (
        replace(client, operations=min(client.operations, outcome.done.get(client.name, 0)))
        for client in plan.clients
    )
    return replace(plan, clients=tuple(client for client in begun if client.operations))


def _fewer_clients(plan: Plan) -> Iterator[Plan]:
    """Without half of the clients, then a quarter, …, then without each one."""
    clients, size = plan.clients, len(plan.clients) // 2
    while size:
        for start in range(0, len(clients), size):
            left = clients[:start] + clients[start + size :]
            if left:
                yield replace(plan, clients=left)
        size //= 2


def _fewer_operations(plan: Plan) -> Iterator[Plan]:
    """Half of the operations of all clients, or of one; then a tenth less, then one less."""
    yield replace(plan, clients=tuple(_lowered(client, 2) for client in plan.clients))
    for portion in (2, 10):
        for client in plan.clients:
            lowered = _lowered(client, portion)
            if lowered.operations < client.operations:
                yield plan.limited(client.name, lowered.operations)


def _lowered(client: ClientPlan, portion: int) -> ClientPlan:
    less = max(1, client.operations // portion)
    return replace(client, operations=max(1, client.operations - less))


def _fewer_parts(plan: Plan) -> Iterator[Plan]:
    """Without all that can be left out, then without each part."""
    if len(plan.parts) > 1:
        yield replace(plan, parts=frozenset())
    for part in sorted(plan.parts):
        yield replace(plan, parts=plan.parts - {part})
