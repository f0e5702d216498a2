"""Strict parsing of the JSON object in a request body."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from runtime.core.echo import quoted
from runtime.core.errors import MalformedJson, PayloadTooLarge, UnsupportedMediaType
from runtime.http.event import HttpEvent
from runtime.http.field_errors import type_name

MAX_BODY_BYTES = 64 * 1024
"""Far above the largest valid request."""

MAX_JSON_DEPTH = 20
"""Requests need three levels; deeper nesting could exhaust recursive parsers."""

MAX_JSON_DIGITS = 4300
"""Digits of one integer: Python's own limit, because the conversion takes quadratic time."""

NOT_JSON: Final = "The request body is not valid JSON"


class _Unreadable(ValueError):
    """JSON that parsers interpret differently; the message gives the reason."""


def json_body(event: HttpEvent) -> tuple[dict[str, Any], bytes]:
    """The JSON object in the body, and its raw bytes.

    Raises PayloadTooLarge, UnsupportedMediaType, MalformedJson.
    """
    media_type = event.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = raw_body(event)
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLarge(
            f"The request body has {len(raw)} bytes; the limit is {MAX_BODY_BYTES}"
        )
    if media_type != "application/json":
        raise UnsupportedMediaType(_wrong_media_type(media_type, raw))
    if not raw.strip():
        raise MalformedJson("The request body is empty; send a JSON object")
    try:
        document = json.loads(
            raw,
            object_pairs_hook=_unambiguous,
            parse_int=_integer,
            parse_constant=_no_json_number,
        )
    except _Unreadable as error:
        raise MalformedJson(f"{NOT_JSON}: {error}") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedJson(f"{NOT_JSON}: see {place}") from error
    except (ValueError, RecursionError) as error:
        raise MalformedJson(NOT_JSON) from error
    if not isinstance(document, dict):
        raise MalformedJson(f"The request body must be a JSON object, not {type_name(document)}")
    if _is_deeper(document, MAX_JSON_DEPTH):
        raise MalformedJson(f"The request body is nested more than {MAX_JSON_DEPTH} levels deep")
    return document, raw


def _wrong_media_type(media_type: str, raw: bytes) -> str:
    if not media_type and not raw:
        return "The request body is empty; send a JSON object as application/json"
    if not media_type:
        return "Content-Type is missing; send application/json"
    return f"Content-Type is {quoted(media_type)}; send application/json"


def _is_deeper(document: Any, levels: int) -> bool:
    """Whether containers are nested more than `levels` deep; computed without recursion."""
    layer = [document]
    for _ in range(levels):
        inner = (v.values() if isinstance(v, dict) else v for v in layer)
        layer = [c for children in inner for c in children if isinstance(c, (dict, list))]
        if not layer:
            return False
    return True


def raw_body(event: HttpEvent) -> bytes:
    """The body's bytes. Raises MalformedJson if they are not UTF-8."""
    try:
        return event.body
    except ValueError as error:
        raise MalformedJson("The request body is not UTF-8") from error


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise _Unreadable("an object has the same field twice")
    return document


def _integer(digits: str) -> int:
    if len(digits) > MAX_JSON_DIGITS:
        raise _Unreadable(f"a number has {len(digits)} digits; the limit is {MAX_JSON_DIGITS}")
    return int(digits)


def _no_json_number(constant: str) -> NoReturn:
    raise _Unreadable(f"{constant} is not a JSON number")
