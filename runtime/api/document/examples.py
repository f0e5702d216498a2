"""Examples of requests and answers, as they were recorded (local/api_examples)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

FILE: Final = "examples.json"


@dataclass(frozen=True)
class Example:
    """One request and its answer. `body` None: no body; `answer` None: an answer without one."""

    operation: str
    key: str
    """Its name in the document, unique within the operation."""
    title: str
    status: int
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    answer: Any = None


def examples_of(operation: str) -> list[Example]:
    """The examples of an operation, in the order in which they were recorded."""
    return [Example(**each) for each in _recorded()["requests"] if each["operation"] == operation]


def event_example(event_type: str) -> Any:
    """The body of a webhook of this type; None if none was recorded."""
    return _recorded()["events"].get(event_type)


@cache
def _recorded() -> dict[str, Any]:
    text = files("runtime.api.document").joinpath(FILE).read_text("utf-8")
    recorded: dict[str, Any] = json.loads(text)
    return recorded
