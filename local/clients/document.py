"""The OpenAPI document as the Python generator gets it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

Schema = dict[str, Any]

_COMPONENTS: Final = "#/components/"
_FIRST_REFUSAL: Final = 300


def for_python(document: Schema) -> Schema:
    """A copy without refusals, and with open lists of values in answers.

    Refusals are raised as errors by the layer below the generated code, which would parse each of
    them as the problem document that is described, whatever came. And it would fail on a value
    that a later version of the API adds, such as a status, after the money has moved.
    """
    prepared: Schema = copy.deepcopy(document)
    answers: list[Any] = []
    for operation in _operations(prepared):
        responses: Schema = operation["responses"]
        operation["responses"] = {
            status: response
            for status, response in responses.items()
            if int(status) < _FIRST_REFUSAL
        }
        answers.append(operation["responses"])
    for node in _reachable(answers, prepared["components"]):
        if node.get("type") == "string":
            values = node.pop("enum", None)
            if values is not None:
                known = "Known values: " + ", ".join(f"`{each}`" for each in values) + "."
                node["description"] = "\n\n".join(filter(None, (node.get("description"), known)))
    return prepared


def _operations(document: Schema) -> Iterator[Schema]:
    for path in document["paths"].values():
        yield from (each for each in path.values() if "responses" in each)


def _reachable(roots: list[Any], components: Schema) -> Iterator[Schema]:
    """Every object below the roots, and below the components to which they refer, once."""
    seen: set[str] = set()
    waiting: list[Any] = list(roots)
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                kind, name = reference.removeprefix(_COMPONENTS).split("/")
                waiting.append(components[kind][name])
            waiting.extend(node.values())
            yield node
