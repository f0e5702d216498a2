"""Which request values messages may repeat: one rule for errors and logs.

A value is repeated only if it is at most 32 characters long and contains nothing that looks like a
card number. Tokens, secrets, keys (including idempotency keys) and personal fields are never passed
to a message.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import unquote

from runtime.core.card_numbers import holds_card_number

MAX_ECHOED: Final = 32
"""The platform's ids have 30 characters; keys, bearer tokens and signed URLs are longer."""
MAX_SEGMENTS: Final = 8
"""Segments of a path; the longest route has six."""
NOT_REPEATED: Final = "…"


def echoed(value: str) -> str:
    """The value, or an ellipsis instead."""
    if len(value) > MAX_ECHOED or holds_card_number(value):
        return NOT_REPEATED
    return value


def quoted(value: str) -> str:
    """The value in double quotes with invisible characters escaped, or an ellipsis."""
    shown = echoed(value)
    return shown if shown is NOT_REPEATED else json.dumps(shown, ensure_ascii=False)


def echoed_path(path: str) -> str:
    """A path with each segment as `echoed`."""
    if holds_card_number(unquote(path)):
        return f"/{NOT_REPEATED}"
    segments = path.split("/")
    shown = [echoed(segment) for segment in segments[: MAX_SEGMENTS + 1]]
    if len(segments) > len(shown):
        shown.append(NOT_REPEATED)
    return "/".join(shown)


def safe(message: str) -> str:
    """The message, or an ellipsis if it contains something that looks like a card number."""
    return NOT_REPEATED if holds_card_number(message) else message
