"""What the clients of a load test ask the API for, and how they read its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final


class Operation(StrEnum):
    """The kinds of requests, as the report names them."""

    PAYMENT = "payment"
    DECLINED = "declined payment"
    AUTHORIZATION = "authorization"
    CAPTURE = "capture"
    CANCELLATION = "cancellation"
    REFUND = "refund"
    TRANSFER = "transfer"
    READ_PAYMENT = "read payment"
    READ_ACCOUNT = "read account"
    LIST_PAYMENTS = "list payments"
    LIST_TRANSFERS = "list transfers"
    STATEMENT = "statement"
    SUMMARY = "summary"


EXPECTED: Final[Mapping[Operation, frozenset[int]]] = {
    Operation.PAYMENT: frozenset({201}),
    Operation.DECLINED: frozenset({402}),
    Operation.AUTHORIZATION: frozenset({201}),
    Operation.TRANSFER: frozenset({201}),
}
"""Statuses of an answer that does what was asked; 200 for all other operations."""
IN_FLIGHT: Final = "idempotency_in_flight"
INSUFFICIENT_FUNDS: Final = "insufficient_funds"


@dataclass
class Payment:
    """What the answers so far say about a payment. Amounts in minor units.

    One client at a time operates on it, so its amounts are known at each moment.
    """

    id: str
    key: str
    amount: int
    currency: str
    status: str
    captured: int = 0
    refunded: int = 0


@dataclass(frozen=True)
class Request:
    """One request, with all of its repetitions. `key`: its Idempotency-Key; None for reads.

    `amount`: the minor units that it moves. `payment`: the one that it reads or operates on.
    """

    operation: Operation
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    key: str | None = None
    query: Mapping[str, str | int] = field(default_factory=dict)
    amount: int = 0
    payment: Payment | None = None

    def __str__(self) -> str:
        named = "" if self.key is None else f", key {self.key}"
        return f"{self.method} {self.path} ({self.operation}{named})"


@dataclass(frozen=True)
class Reply:
    """One answer: its status, its exact text, and whether it was marked as a repetition."""

    status: int
    text: str
    replayed: bool = False

    @property
    def body(self) -> Any:
        """The JSON document; an empty one where a proxy answered something else."""
        try:
            return json.loads(self.text)
        except ValueError:
            return {}

    @property
    def code(self) -> str:
        """The stable code of a problem; empty if it has none."""
        body = self.body
        return str(body.get("code", "")) if isinstance(body, dict) else ""

    @property
    def said(self) -> str:
        """Status and code, for people."""
        return f"{self.status} {self.code}".rstrip()


def is_final(reply: Reply | None) -> bool:
    """Whether the answer says what became of the request; if not, the client repeats it."""
    if reply is None or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return False
    if reply.status in (HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS):
        return False
    return not (reply.status == HTTPStatus.CONFLICT and reply.code == IN_FLIGHT)


def did_as_asked(request: Request, reply: Reply) -> bool:
    """Whether a final answer is the one that this kind of request is for."""
    return reply.status in EXPECTED.get(request.operation, frozenset({200}))
