"""Judges a stage: every need is allowed, and every right is needed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from permissions.actions import Call
from permissions.evaluation import Decision, Policy, Request, Statement, decide
from permissions.needs import Need, needs_of
from permissions.policies import RANDOM, Stage

_PHYSICAL: Final = re.compile(rf"payments-[a-z0-9]+-[a-z]+-(\w+?)(?:[0-9A-F]{{8}})?-{RANDOM}")
_STREAM: Final = re.compile(r"/stream/[\dT:.-]+")


@dataclass(frozen=True)
class Right:
    """One action on one resource that one statement of a function's role allows."""

    function: str
    action: str
    resource: str
    statement: Statement


@dataclass(frozen=True)
class Refusal:
    """A need that the stage's policies do not allow."""

    need: Need
    decision: Decision

    def __str__(self) -> str:
        request = self.need.request
        conditions = {
            key: values
            for key, values in request.context.items()
            if key not in ("aws:PrincipalArn", "aws:SecureTransport", "s3:TlsVersion")
        }
        return (
            f"{self.need.function} ({self.need.use}): {request.action} on {request.resource} is "
            f"{self.decision}; conditions: {conditions}"
        )


class Judgement:
    """One stage with the calls that its functions make."""

    def __init__(self, stage: Stage, calls: Iterable[Call]) -> None:
        self.stage = stage
        self.needs = tuple(_once(needs_of(stage, calls)))

    @cached_property
    def rights(self) -> tuple[Right, ...]:
        """All rights of all functions."""
        return tuple(
            Right(function.service, action, resource, statement)
            for function in self.stage.functions.values()
            for statement in function.identity
            for action in statement.actions
            for resource in statement.resources
        )

    def refusals(self) -> list[Refusal]:
        """Needs that are not allowed."""
        judged = ((need, self._decision(need, self._rights_of(need))) for need in self.needs)
        return [Refusal(need, said) for need, said in judged if said is not Decision.ALLOWED]

    def fails_without(self, right: Right) -> bool:
        """Whether some need is refused once this one right is taken away."""
        left = [each for each in self._by_function[right.function] if each is not right]
        return any(
            self._decision(need, left) is not Decision.ALLOWED
            for need in self._needs_by_action[right.function, right.action]
        )

    def uses_of(self, right: Right) -> list[str]:
        """What needs the right: operations, and what services do."""
        statement = _alone(right)
        return sorted(
            {
                need.use
                for need in self._needs_by_action[right.function, right.action]
                if statement.applies_to(need.request)
            }
        )

    def superfluous(self) -> list[Right]:
        """Rights without which nothing fails."""
        return [right for right in self.rights if not self.fails_without(right)]

    def _rights_of(self, need: Need) -> Iterable[Right]:
        return self._by_function[need.function]

    def _decision(self, need: Need, rights: Iterable[Right]) -> Decision:
        request = need.request
        identity = [_alone(right) for right in rights if right.action == request.action]
        return decide(request, identity, self._resource_policy(request))

    def _resource_policy(self, request: Request) -> Policy | None:
        policies = self.stage.resource_policies
        if request.resource.startswith("arn:aws:s3:::"):
            return policies.get(request.resource.partition("/")[0])
        return policies.get(request.resource)

    @cached_property
    def _by_function(self) -> Mapping[str, list[Right]]:
        found: dict[str, list[Right]] = defaultdict(list)
        for right in self.rights:
            found[right.function].append(right)
        return found

    @cached_property
    def _needs_by_action(self) -> Mapping[tuple[str, str], list[Need]]:
        found: dict[tuple[str, str], list[Need]] = defaultdict(list)
        for need in self.needs:
            found[need.function, need.request.action].append(need)
        return found


def place_of(right: Right) -> str:
    """A resource in short: `PaymentsTable/index/gsi-open`, `TableKey through s3`."""
    short = _PHYSICAL.sub(r"\1", right.resource.split(":", 5)[-1])
    short = _STREAM.sub("/stream", short)
    for prefix in ("table/", "key/", "log-group:"):
        short = short.removeprefix(prefix)
    via = right.statement.conditions.get("StringEquals", {}).get("kms:ViaService")
    return f"{short} through {via.partition('.')[0]}" if via else short


def name_of(right: Right) -> str:
    """The right in one line, the same in all stages."""
    return f"{right.function} {right.action} {place_of(right)}"


def _alone(right: Right) -> Statement:
    """The statement with this right only: an Allow of several is as good as one Allow of each."""
    return replace(right.statement, actions=(right.action,), resources=(right.resource,))


def _once(needs: Iterable[Need]) -> Iterator[Need]:
    """Each need once."""
    seen = set()
    for need in needs:
        request = need.request
        key = (
            need.function,
            need.use,
            request.action,
            request.resource,
            tuple(sorted(request.context.items())),
            request.unknown,
        )
        if key not in seen:
            seen.add(key)
            yield need
