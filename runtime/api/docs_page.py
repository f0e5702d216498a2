"""The documentation page: Swagger UI and the OpenAPI document in one page, no outside host.

Clients that do not accept gzip get a list of the operations: Swagger UI is served compressed only.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Final

from runtime.api.endpoints import ENDPOINTS
from runtime.api.openapi import openapi_document
from runtime.api.public_text import PublicText

_ASSETS = files("aws_lambda_powertools") / "event_handler/openapi/swagger_ui"
"""Not as the package that this is: importing it would load Powertools' router."""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Payments API</title>
<link rel="icon" href="data:,"><style>{css}</style></head>
<body><div id="swagger-ui"></div><script>{script}</script>
<script>const spec = {document};
spec.servers[0].url = new URL(spec.servers[0].url, location.href).href.replace(/\\/$/, "");
SwaggerUIBundle({{dom_id: "#swagger-ui", spec, deepLinking: true, validatorUrl: null}});</script>
</body></html>"""
"""The document is in the page, so Swagger UI would not know relative to what its server is."""
_LIST = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Payments API</title></head>
<body><h1>Payments API</h1><p>The OpenAPI document is at <code>/v1/openapi.json</code>. Clients that
accept gzip get this page with Swagger UI.</p>
<table><tr><th>method</th><th>path</th><th>operation</th><th>permission</th><th></th></tr>
{rows}</table></body></html>"""
_ROW = "<tr><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>"
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _page() -> str:
    document = json.dumps(openapi_document()).replace("</", "<\\/")
    return _PAGE.format(
        css=(_ASSETS / "swagger-ui.min.css").read_text("utf-8"),
        script=(_ASSETS / "swagger-ui-bundle.min.js").read_text("utf-8"),
        document=document,
    )


def _list() -> str:
    listed = (
        (e.method, e.path, e.operation, str(e.permission or ""), e.summary) for e in ENDPOINTS
    )
    return _LIST.format(rows="\n".join(_ROW.format(*map(escape, each)) for each in listed))


DOCS_PAGE: Final = PublicText(
    content_type="text/html; charset=utf-8",
    content=_page,
    plain=_list,
    headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"},
)
