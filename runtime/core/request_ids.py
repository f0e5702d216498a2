"""Ids of what causes a change: a request of the HTTP API, or one run of another function.

A row's `request_id` is one or the other, and log lines have it as `request_id` or `run_id`. So the
lines, rows and webhooks of a request are found by one id (decision 0086).
"""

from __future__ import annotations

from typing import Final

REQUEST: Final = "req_"
RUN: Final = "run_"


def request_id_of(gateway_id: str) -> str:
    """Id of the request to which the gateway gave `gateway_id` (its `$context.requestId`)."""
    return f"{REQUEST}{gateway_id}"


def run_id_of(invocation_id: str) -> str:
    """Id of a run of a function that no request invokes; `invocation_id` is Lambda's."""
    return f"{RUN}{invocation_id}"


def is_request_id(identifier: str) -> bool:
    """Whether it identifies a request, not a run."""
    return identifier.startswith(REQUEST)
