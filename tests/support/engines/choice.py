"""The engine that stands in for DynamoDB: chosen by the variable ENGINE, requested as a fixture.

in-memory (the default), dynamodb-local, ministack, or all of them. A test that always needs
AWS's own engine uses the fixture `dynamodb_local_engine`.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.support.engines.engine import Engine

FIXTURES: Final = {
    "in-memory": "in_memory_engine",
    "dynamodb-local": "dynamodb_local_engine",
    "ministack": "ministack_engine",
}
EVERY: Final = tuple(FIXTURES)


def _chosen() -> tuple[str, ...]:
    wanted = os.environ.get("ENGINE") or EVERY[0]
    if wanted == "all":
        return EVERY
    if wanted not in EVERY:
        raise pytest.UsageError(f"ENGINE={wanted}: choose all, or one of {', '.join(EVERY)}")
    return (wanted,)


CHOSEN: Final = _chosen()
"""For tests that take any engine."""
ONE: Final = EVERY[0] if CHOSEN[0] == "ministack" else CHOSEN[0]
"""For tests that take one: never the embedded AWS, which accepts what AWS refuses."""


def engine_named(name: str, request: pytest.FixtureRequest) -> Engine:
    """The engine of that name, started if necessary."""
    engine: Engine = request.getfixturevalue(FIXTURES[name])
    return engine
