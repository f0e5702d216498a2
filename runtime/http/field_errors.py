"""From pydantic's errors to sentences about the fields of a request.

The validator's own texts use types, constraints and regular expressions, and its paths contain
the alternatives of a union. Callers get the path in their own document and a sentence in the terms
of the API (decision 0073).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from runtime.core.currency import DECIMALS
from runtime.core.echo import NOT_REPEATED, echoed, quoted
from runtime.core.errors import FieldError
from runtime.core.fields import MAX_AMOUNT_MINOR
from runtime.http.forms import form_of

MAX_FIELD_ERRORS: Final = 20
"""Fields that one problem document lists."""

MONEY_FIELDS: Final = frozenset(
    {
        "amount",
        "opening_balance",
        "credit_limit",
        "min_amount",
        "max_amount",
        "max_payment_amount",
        "tolerance_minor",
    }
)
"""Fields in minor units, by name."""

_EXAMPLE_MINOR: Final = 500
_EXAMPLE_CURRENCY: Final = "USD"
_UNKNOWN: Final = "extra_forbidden"
_TOO_LARGE: Final = "less_than_equal"
_OTHER_ALTERNATIVE: Final = "none_required"
"""That a value is not null either adds nothing: the other alternative has its own error."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """The explanation of one type of error: a template, and what of the value to add."""

    template: str
    shows_value: bool = False
    shows_type: bool = False
    is_text: bool = True
    """Whether a quoted value has the right type, as in `"late"`."""


_WHOLE: Final = _Rule("must be a whole number", shows_value=True, is_text=False)
_BOOLEAN: Final = _Rule("must be true or false", shows_value=True, is_text=False)
_CHOICE: Final = _Rule("must be {expected}", shows_value=True)
_OBJECT: Final = _Rule("must be a JSON object", shows_type=True)
_LIST: Final = _Rule("must be a list", shows_type=True)

RULES: Final[Mapping[str, _Rule]] = {
    "missing": _Rule("is required"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "string_type": _Rule("must be text", shows_type=True),
    "string_too_short": _Rule("must have at least {min_length} characters"),
    "string_too_long": _Rule("must have at most {max_length} characters"),
    "literal_error": _CHOICE,
    "enum": _CHOICE,
    "greater_than_equal": _Rule("must be at least {ge}", shows_value=True),
    "less_than_equal": _Rule("must be at most {le}", shows_value=True),
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "too_short": _Rule("must have at least {min_length} items"),
    "too_long": _Rule("must have at most {max_length} items"),
}
"""Sentences by pydantic's type of error; the first word follows the field's path.

Not here, because their words come from elsewhere: string_pattern_mismatch (`forms`), value_error
(the contract's own validators) and extra_forbidden.
"""
OTHERWISE: Final = _Rule("is not valid")
"""For types of error that no field of the contract can have; a test checks that there are none."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One error of one field of a request."""

    kind: str
    field: FieldError

    @property
    def is_unknown_field(self) -> bool:
        """Whether the request has a field that the route does not know."""
        return self.kind == _UNKNOWN

    @property
    def is_too_large_amount(self) -> bool:
        """Whether an operation's amount is above the maximum."""
        return self.kind == _TOO_LARGE and self.field.param.rpartition(".")[2] == "amount"


def flaws_of(
    error: ValidationError,
    document: Mapping[str, Any],
    shape: type[BaseModel],
    *,
    in_query: bool = False,
) -> tuple[Flaw, ...]:
    """The errors of a document that does not match `shape`: at most one per field.

    They are in the order of the document, with missing fields last. `in_query`: every
    value is text by nature.
    """
    found: dict[tuple[int | str, ...], tuple[_Place, Flaw]] = {}
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"] == _OTHER_ALTERNATIVE:
            continue
        place = _Place.of(problem["loc"], problem["type"], document)
        context = problem.get("ctx", {})
        if problem["type"] == "too_short" and len(place.value) >= context["min_length"]:
            # Items that are invalid themselves were not counted; they have errors of their own.
            continue
        if problem["type"] == _UNKNOWN:
            detail = _unknown(place, shape, in_query=in_query)
        else:
            detail = _sentence(problem["type"], context, place, document, in_query=in_query)
        flaw = Flaw(problem["type"], FieldError(place.param, detail))
        found.setdefault(place.path, (place, flaw))
    ordered = sorted(found.values(), key=lambda each: each[0].order)
    return tuple(flaw for _, flaw in ordered)


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of an error in a document, and the value there.

    `is_key`: the error is in the name of the last member, not in its value.
    """

    path: tuple[int | str, ...]
    order: tuple[float, ...]
    value: Any
    is_key: bool

    @property
    def param(self) -> str:
        return path_text(self.path)

    @classmethod
    def of(cls, location: tuple[int | str, ...], kind: str, document: Mapping[str, Any]) -> _Place:
        """Follow pydantic's location through the document; unknown labels are a union's."""
        path: list[int | str] = []
        order: list[float] = []
        here: Any = document
        for position, part in enumerate(location):
            is_last = position == len(location) - 1
            if isinstance(here, Mapping) and part in here:
                order.append(list(here).index(part))
                here = here[part]
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                order.append(part)
                here = here[part]
            elif is_last and isinstance(here, Mapping) and kind in ("missing", "value_error"):
                order.append(inf)
                here = None
            else:
                continue
            path.append(part)
        return cls(tuple(path), tuple(order), here, location[-1:] == ("[key]",))


def first_field(error: ValidationError) -> str:
    """Path of the first invalid field, for documents that do not come from a client of the API."""
    return path_text(error.errors(include_url=False, include_input=False)[0]["loc"])


def path_text(path: Iterable[int | str]) -> str:
    """A field's path as in `param`; a caller's own names are repeated like any value."""
    return ".".join(echoed(str(part)) for part in path) or "body"


def _sentence(
    kind: str,
    context: Mapping[str, Any],
    place: _Place,
    document: Mapping[str, Any],
    *,
    in_query: bool,
) -> str:
    if kind == "value_error":
        text = str(context["error"])
        # A validator gives the end of a sentence about its field, or a whole sentence.
        return text if text[:1].isupper() else f"{place.param} {text}"
    if kind == "string_pattern_mismatch":
        form = form_of(context["pattern"])
        return f"{place.param} {form.expected}{_got(place.value) if form.echoes else ''}"
    rule = RULES.get(kind, OTHERWISE)
    # In a query every value is text, so its type is not an explanation.
    got = _got(place.value, is_text=rule.is_text or in_query)
    if rule is _WHOLE and place.path[-1:] and place.path[-1] in MONEY_FIELDS:
        return f"{place.param} {_in_minor_units(place.value, document, got)}"
    if rule.shows_type:
        got = f", not {type_name(place.value)}"
    elif not rule.shows_value:
        got = ""
    subject = f"{place.param}: the key" if place.is_key else place.param
    return f"{subject} {_filled(kind, rule, context)}{got}"


def _unknown(place: _Place, shape: type[BaseModel], *, in_query: bool) -> str:
    if in_query:
        return f"Unknown query parameter {place.param}"
    if len(place.path) == 1 and "metadata" in shape.model_fields:
        return f"Unknown field {place.param}; put your own references in metadata"
    return f"Unknown field {place.param}"


def _filled(kind: str, rule: _Rule, context: Mapping[str, Any]) -> str:
    if context.get("min_length") == 1:
        return "must not be empty"
    said = rule.template.format_map(context)
    if kind in ("literal_error", "enum"):
        return said.replace("'", "")
    return said


def _in_minor_units(value: Any, document: Mapping[str, Any], got: str) -> str:
    given = document.get("currency")
    currency = given.upper() if isinstance(given, str) and given.upper() in DECIMALS else None
    if currency is not None and isinstance(value, float):
        minor = Decimal(repr(value)).scaleb(DECIMALS[currency])
        if minor == minor.to_integral_value() and 1 <= minor <= MAX_AMOUNT_MINOR:
            return f"is in minor units: send {int(minor)} for {_amount(int(minor), currency)}"
    example = _amount(_EXAMPLE_MINOR, currency or _EXAMPLE_CURRENCY)
    return f"must be a whole number of minor units ({_EXAMPLE_MINOR} = {example}){got}"


def _amount(minor: int, currency: str) -> str:
    return f"{Decimal(minor).scaleb(-DECIMALS[currency]):f} {currency}"


def _got(value: Any, *, is_text: bool = True) -> str:
    """The value as the end of a sentence; empty if it must not be repeated."""
    if isinstance(value, str):
        shown = quoted(value)
        if shown is NOT_REPEATED:
            return ""
        return f"; got {shown}" if is_text else f"; got the text {shown}"
    if isinstance(value, (int, float)):
        shown = echoed(json.dumps(value))
        return "" if shown == NOT_REPEATED else f"; got {shown}"
    return f"; got {type_name(value)}"


def type_name(value: Any) -> str:
    """The type of a JSON value, for a sentence: "text", "a list", "null"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
