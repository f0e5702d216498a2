"""What of a request a message may repeat. The one rule, for errors and logs alike.

A value is repeated only if it is at most 32 characters long and nothing in it looks like a card
number. Values of tokens, secrets, keys (an idempotency key too) and personal fields are given to no
message at all.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import unquote

from runtime.core.card_numbers import holds_card_number

MAX_ECHOED: Final = 32
"""Our own ids have 30 characters; keys, bearer tokens and signed URLs have more."""
MAX_SEGMENTS: Final = 8
"""Of a path; the longest route has six."""
NOT_REPEATED: Final = "…"


def echoed(value: str) -> str:
    """The value, or an ellipsis in its place."""
    if len(value) > MAX_ECHOED or holds_card_number(value):
        return NOT_REPEATED
    return value


def quoted(value: str) -> str:
    """The value in double quotes, with what cannot be seen escaped; or an ellipsis."""
    shown = echoed(value)
    return shown if shown is NOT_REPEATED else json.dumps(shown, ensure_ascii=False)


def echoed_path(path: str) -> str:
    """A path with each segment as it may be repeated."""
    if holds_card_number(unquote(path)):
        return f"/{NOT_REPEATED}"
    segments = path.split("/")
    shown = [echoed(segment) for segment in segments[: MAX_SEGMENTS + 1]]
    if len(segments) > len(shown):
        shown.append(NOT_REPEATED)
    return "/".join(shown)


def safe(message: str) -> str:
    """A whole message, unless something that looks like a card number got into it all the same."""
    return NOT_REPEATED if holds_card_number(message) else message
