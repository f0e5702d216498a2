"""docs/errors.md: every code that the API answers, from the tree of errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Final

from runtime.api.document.error_codes import catalogue
from runtime.core.errors import PlatformError, Retry
from runtime.http.responses import PROBLEM_TYPE_BASE

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
_INTRODUCTION: Final = """\
Every refusal is an RFC 9457 problem document (`application/problem+json`). Decide by `code`: codes
are stable, and new ones may be added. `detail` is one sentence for people with the values that
matter; `param` is the field at fault, and `errors` lists all invalid fields. `type` is
`{base}<code>`: an identifier, which is not fetched. Its last part is
the code's heading on this page.

A refusal by API Gateway itself is plain JSON, `{{"message": "…"}}`, with the content type of JSON:
401 without an Authorization header, 429 above the stage's rate, 413 above 10 MB, 500 and 503 where
a function fails or takes longer than 30 seconds. Treat it like a problem with the same status: send
a 429, 500 or 503 again with the same Idempotency-Key.

`failure_code` of a failed transfer is one of these codes. The decline codes of payments
(`decline_code`) are in [processors.md](processors.md)."""


def errors_page(notice: str) -> str:
    """The page."""
    lines = ["# Errors", "", notice, "", _INTRODUCTION.format(base=PROBLEM_TYPE_BASE), ""]
    lines += ["## May it be sent again?", "", "| | |", "|---|---|"]
    lines += [f"| **{retry}** | {said} |" for retry, said in RETRIES.items()]
    lines += [
        "",
        "## All codes",
        "",
        "| code | status | send it again | meaning |",
        "|---|---|---|---|",
    ]
    found = catalogue()
    lines += [
        f"| [{code}](#{code}) | {int(each.status)} | {each.retry} | {each.title} |"
        for code, each in found.items()
    ]
    for code, each in found.items():
        lines += ["", *_section(code, each)]
    return "\n".join(lines) + "\n"


def _section(code: str, error: type[PlatformError]) -> Iterator[str]:
    yield f"## {code}"
    yield ""
    yield f"**{int(error.status)}** · {error.title}"
    yield ""
    yield " ".join(inspect.cleandoc(error.__doc__ or "").split("\n\n")[0].split())
    yield ""
    yield f"**What to do:** {error.advice}"
    yield ""
    yield f"**Send it again:** {error.retry}."
