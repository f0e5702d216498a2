"""Which engine stands in for DynamoDB: the variable ENGINE says it, tests ask for it by name.

in-memory (what is meant when ENGINE is not set), dynamodb-local, ministack, or all of them. What
must be known of AWS's own engine in any case asks for the fixture `dynamodb_local_engine`.
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
"""For tests that take one: the embedded AWS accepts what AWS refuses, so it is never that."""


def engine_named(name: str, request: pytest.FixtureRequest) -> Engine:
    """The engine of that name, started if need be."""
    engine: Engine = request.getfixturevalue(FIXTURES[name])
    return engine
