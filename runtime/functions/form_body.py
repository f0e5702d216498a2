"""Strict parsing of the form that one of our own pages sends."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from runtime.core.echo import quoted
from runtime.core.errors import MalformedJson, PayloadTooLarge, UnsupportedMediaType
from runtime.functions.json_body import raw_body
from runtime.http.event import HttpEvent

FORM: Final = "application/x-www-form-urlencoded"
MAX_FORM_BYTES: Final = 1_024
"""Far above the size of our forms, which have one short field."""
MAX_FORM_FIELDS: Final = 10


def form_body(event: HttpEvent) -> dict[str, str]:
    """The fields of the form. Raises PayloadTooLarge, UnsupportedMediaType, MalformedJson."""
    media_type = event.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = raw_body(event)
    if len(raw) > MAX_FORM_BYTES:
        raise PayloadTooLarge(
            f"The request body has {len(raw)} bytes; the limit is {MAX_FORM_BYTES}"
        )
    if media_type != FORM:
        raise UnsupportedMediaType(f"Content-Type is {quoted(media_type)}; send {FORM}")
    try:
        pairs = parse_qsl(
            raw.decode(),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as error:
        raise MalformedJson("The request body is not a valid form") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise MalformedJson("The form has the same field twice")
    return fields
