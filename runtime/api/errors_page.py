"""The page of all error codes, to which `type` of a problem leads; its text is docs/errors.md's."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from runtime.api.document.error_codes import INTRODUCTION, RETRIES, catalogue, meaning_of
from runtime.api.public_text import PublicText
from runtime.core.errors import PlatformError

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Errors of the Payments API</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}}
td,th{{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}}
h2:target{{background:#fe9}}
</style></head><body><h1>Errors</h1>
{introduction}
<h2>May it be sent again?</h2>
<table>
{retries}
</table>
<h2>All codes</h2>
<table><tr><th>code</th><th>status</th><th>send it again</th><th>meaning</th></tr>
{rows}
</table>
{sections}
</body></html>"""
_RETRY: Final = "<tr><th>{}</th><td>{}</td></tr>"
_ROW: Final = '<tr><td><a href="#{0}">{0}</a></td><td>{1}</td><td>{2}</td><td>{3}</td></tr>'
_SECTION: Final = """<h2 id="{code}">{code}</h2>
<p><b>{status}</b> · {title}</p>
<p>{meaning}</p>
<p><b>What to do:</b> {advice}</p>
<p><b>Send it again:</b> {retry}.</p>"""
_CODE: Final = re.compile(r"`([^`]+)`")
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def _page() -> str:
    found = catalogue()
    return _PAGE.format(
        introduction="\n".join(f"<p>{_html(each)}</p>" for each in INTRODUCTION.split("\n\n")),
        retries="\n".join(_RETRY.format(each, _html(said)) for each, said in RETRIES.items()),
        rows="\n".join(
            _ROW.format(code, int(each.status), each.retry, _html(each.title))
            for code, each in found.items()
        ),
        sections="\n".join(_section(code, each) for code, each in found.items()),
    )


def _section(code: str, error: type[PlatformError]) -> str:
    return _SECTION.format(
        code=code,
        status=int(error.status),
        title=_html(error.title),
        meaning=_html(meaning_of(error)),
        advice=_html(error.advice),
        retry=error.retry,
    )


def _html(text: str) -> str:
    """The text with what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text.strip(), quote=False))


ERRORS_PAGE: Final = PublicText(
    content_type="text/html; charset=utf-8",
    content=_page,
    plain=_page,
    headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"},
)
