"""Every answer judged by the contract: a status that is documented, and no error of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Final

from runtime.api.endpoints import ENDPOINTS
from runtime.api.openapi import openapi_document
from runtime.core.errors import KeysUnavailable, Unavailable
from simulation.platform.history import Exchange
from simulation.platform.http import HttpResponse

_UNAVAILABLE: Final = int(HTTPStatus.SERVICE_UNAVAILABLE)
_GATEWAYS: Final = (500, 503, 504)
"""What API Gateway answers itself where a function died or took too long."""
_ANYWHERE: Final = (404, 405)
"""What is answered to a path or a method that is not in the contract."""
_AS_IT_STANDS: Final = ("revokeApiKey",)
"""A key that is revoked already is shown as it stands, and nothing is stored: nothing was done."""
_TRANSIENT: Final = (Unavailable.code, KeysUnavailable.code)
_EARLY: Final = "/v1/processor-events/"
"""An event may overtake the answer to what it is about. It is refused by 503 until that payment or
refund is known, so that the processor sends it again."""


def answer_faults(exchanges: Iterable[Exchange]) -> Iterator[str]:
    """Answers that the contract does not know, and 5xx other than "try again".

    While nothing goes wrong every 5xx is one, but for those of _EARLY. What began before faults
    ended may still end in a 5xx: its call may be stuck, or its environment may have died already.
    """
    for exchange in exchanges:
        response, request = exchange.response, exchange.request
        if response is None:
            continue
        fault = _fault(request.method, request.path, response)
        if fault is None and exchange.calm:
            fault = _calm_fault(request.path, response)
        if fault is not None:
            yield f"{exchange.request_id} {request.method} {request.path}: {fault}"


def _calm_fault(path: str, response: HttpResponse) -> str | None:
    if response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    if response.by_gateway:
        return f"the gateway answers {response.status} though nothing goes wrong"
    if path.startswith(_EARLY) and response.body["code"] == Unavailable.code:
        return None
    return f"{response.status} though nothing goes wrong: {response.text[:200]}"


def _fault(method: str, path: str, response: HttpResponse) -> str | None:
    status = response.status
    if response.by_gateway:
        return None if status in _GATEWAYS else f"the gateway answers {status}"
    if status not in documented(method, path):
        return f"{status} is not documented: {response.text[:200]}"
    if status < HTTPStatus.BAD_REQUEST:
        return None
    if not isinstance(response.body, dict) or "code" not in response.body:
        return f"{status} without a problem document: {response.text[:200]}"
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    if status == _UNAVAILABLE and response.body["code"] in _TRANSIENT:
        return None if "Retry-After" in response.headers else "503 without Retry-After"
    return f"{status}: {response.text[:200]}"


@cache
def documented(method: str, path: str) -> frozenset[int]:
    """The statuses that the OpenAPI document has for a concrete path."""
    for pattern, statuses in _routes(method.lower()):
        if pattern.fullmatch(path):
            return statuses
    return frozenset(_ANYWHERE)


@cache
def honours_keys(method: str, path: str) -> bool:
    """Whether the contract repeats answers of this concrete path under an Idempotency-Key."""
    return any(
        endpoint.method == method and endpoint.idempotent != "no"
        for endpoint in ENDPOINTS
        if endpoint.operation not in _AS_IT_STANDS and _pattern(endpoint.path).fullmatch(path)
    )


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{\w+}", "[^/]+", path))


@cache
def _routes(method: str) -> tuple[tuple[re.Pattern[str], frozenset[int]], ...]:
    """Routes of a method; those with fewer variable parts match first."""
    paths = openapi_document()["paths"]
    found = [
        (path, frozenset(int(status) for status in operations[method]["responses"]))
        for path, operations in paths.items()
        if method in operations
    ]
    found.sort(key=lambda each: each[0].count("{"))
    return tuple((_pattern(path), each) for path, each in found)
