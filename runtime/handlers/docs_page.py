"""The documentation page: Swagger UI and the OpenAPI document in one page, no outside host."""

from __future__ import annotations

import json
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from aws_lambda_powertools.event_handler import Response

from runtime.contract.openapi import openapi_document

_ASSETS = "aws_lambda_powertools.event_handler.openapi.swagger_ui"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Payments API</title>
<link rel="icon" href="data:,"><style>{css}</style></head>
<body><div id="swagger-ui"></div><script>{script}</script>
<script>SwaggerUIBundle({{dom_id: "#swagger-ui", spec: {document}, deepLinking: true,
validatorUrl: null}});</script></body></html>"""
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_page() -> Response[str]:
    """The page, with Swagger UI as Powertools ships it."""
    headers: dict[str, Any] = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "public, max-age=300",
    }
    return Response(HTTPStatus.OK, "text/html; charset=utf-8", _page(), headers)


@cache
def _page() -> str:
    assets = files(_ASSETS)
    document = json.dumps(openapi_document()).replace("</", "<\\/")
    return _PAGE.format(
        css=(assets / "swagger-ui.min.css").read_text("utf-8"),
        script=(assets / "swagger-ui-bundle.min.js").read_text("utf-8"),
        document=document,
    )
