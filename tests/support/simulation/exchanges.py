"""HTTP exchanges made by hand, as a simulated platform records them."""

from __future__ import annotations

import itertools
import json

from simulation.platform.history import Exchange
from simulation.platform.http import HttpRequest, HttpResponse, token

WHO = token("mer_1", subject="user_1")
_numbers = itertools.count(1)


def exchange(
    began,
    ended,
    method,
    path,
    body=None,
    *,
    key=None,
    status=None,
    answer=None,
    replayed=False,
    by_gateway=False,
    headers=None,
):
    """One attempt; without a status the answer was lost."""
    sent = {} if key is None else {"idempotency-key": key}
    request = HttpRequest("client-1", method, path, body, headers=sent, credential=WHO)
    response = None
    if status is not None:
        heard = dict(headers or {})
        if replayed:
            heard["Idempotent-Replayed"] = "true"
        response = HttpResponse(status, answer or {}, heard, json.dumps(answer or {}), by_gateway)
    number = next(_numbers)
    return Exchange(number, f"req-{number}", request, began, response, ended)
