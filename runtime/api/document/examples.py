"""Examples of requests and answers, as they were recorded (simulation/api_examples)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

_OF_FORM: Final = ("invalid_value", "unknown_field", "card_data_refused")
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

    @property
    def is_malformed(self) -> bool:
        """Whether its body was refused for its form: its answer is an example, its body none."""
        return self.status >= HTTPStatus.BAD_REQUEST and self.answer["code"] in _OF_FORM


def examples_of(operation: str) -> list[Example]:
    """The examples of an operation, in the order in which they were recorded."""
    return [Example(**each) for each in _recorded()["requests"] if each["operation"] == operation]


def event_example(event_type: str) -> Any:
    """The body of a webhook of this type; None if none was recorded."""
    return _recorded()["events"].get(event_type)


def forget_examples() -> None:
    """Read the file again when it is next needed: it was written."""
    _recorded.cache_clear()


@cache
def _recorded() -> dict[str, Any]:
    text = files("runtime.api.document").joinpath(FILE).read_text("utf-8")
    recorded: dict[str, Any] = json.loads(text)
    return recorded
