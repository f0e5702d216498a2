"""The codes of the errors that callers see, and what is said about them.

docs/errors.md and the page of the API are made of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Final

from runtime.core import errors
from runtime.core.errors import PlatformError, Retry

INTRODUCTION: Final = """\
Every refusal is an RFC 9457 problem document (`application/problem+json`). Decide by `code`: codes
are stable, and new ones may be added. `detail` is one sentence for people with the values that
matter; `param` is the field at fault, and `errors` lists all invalid fields. `type` is a link to
the code's heading on the page `/v1/docs/errors` of the API, or in the documentation that the stage
has in its place. It ends with the code.

A refusal by API Gateway itself is plain JSON, `{"message": "…"}`, with the content type of JSON:
401 without an Authorization header, 429 above the stage's rate, 413 above 10 MB, 500 and 503 where
a function fails or takes longer than 30 seconds. Treat it like a problem with the same status: send
a 429, 500 or 503 again with the same Idempotency-Key.
"""
RETRIES: Final = {
    Retry.NO: "Never: the state that refused it is final.",
    Retry.CHANGED: "Once the request is corrected. A corrected request is another one: give it a "
    "new Idempotency-Key.",
    Retry.CHECK: "Once the state that `detail` names has changed: read the resource first, and "
    "use a new Idempotency-Key.",
    Retry.SAME_KEY: "Yes: the same request with the same Idempotency-Key, after Retry-After if the "
    "answer has it. Nothing is done twice.",
    Retry.NEW_KEY: "Yes, once the cause has gone, with a new Idempotency-Key: the answer is stored "
    "under the old one, which repeats it.",
}


def catalogue() -> dict[str, type[PlatformError]]:
    """The class of each code, sorted by status and code.

    A code that several classes share, such as a base's, is that of the first.
    """
    found: dict[str, type[PlatformError]] = {}
    for each in _below(PlatformError):
        if each.__module__.startswith(f"{errors.__name__}."):
            found.setdefault(each.code, each)
    return dict(sorted(found.items(), key=lambda item: (item[1].status, item[0])))


def meaning_of(error: type[PlatformError]) -> str:
    """When it is answered: the first paragraph of the class's docstring, on one line."""
    return " ".join(inspect.cleandoc(error.__doc__ or "").split("\n\n")[0].split())


def _below(parent: type[PlatformError]) -> Iterator[type[PlatformError]]:
    yield parent
    for each in parent.__subclasses__():
        yield from _below(each)
