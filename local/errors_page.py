"""docs/errors.md: every code that the API answers, from the tree of errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runtime.api.document.error_codes import INTRODUCTION, RETRIES, catalogue, meaning_of
from runtime.core.errors import PlatformError

_ELSEWHERE: Final = """\
`failure_code` of a failed transfer is one of these codes. The decline codes of payments
(`decline_code`) are in [processors.md](processors.md)."""


def errors_page(notice: str) -> str:
    """The page."""
    lines = ["# Errors", "", notice, "", INTRODUCTION, _ELSEWHERE, ""]
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
    yield meaning_of(error)
    yield ""
    yield f"**What to do:** {error.advice}"
    yield ""
    yield f"**Send it again:** {error.retry}."
