"""Everything that clients sent and heard, and everything that merchants' endpoints received."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from runtime.core.request_ids import request_id_of
from simulation.platform.http import HttpRequest, HttpResponse


@dataclass(slots=True)
class Exchange:
    """One attempt at a request, in virtual seconds. `response` None: the client heard nothing.

    `ended` is when the client heard the answer or gave up; what it asked for may still be done
    later. None: it is still waiting.
    """

    number: int
    request_id: str
    """Its id as in the answer's `x-request-id` and in the `request_id` of rows."""
    request: HttpRequest
    began: float
    response: HttpResponse | None = None
    ended: float | None = None
    calm: bool = False
    """Whether nothing could go wrong any more when it began."""


def gateway_id(number: int) -> str:
    """API Gateway's id of the exchange with this number."""
    return f"{number:06d}"


@dataclass
class History:
    """All exchanges, in the order in which they began."""

    exchanges: list[Exchange] = field(default_factory=list)

    def begin(self, request: HttpRequest, now: float, *, calm: bool = False) -> Exchange:
        """A client has sent a request; `calm`: while nothing goes wrong."""
        number = len(self.exchanges)
        exchange = Exchange(number, request_id_of(gateway_id(number)), request, now, calm=calm)
        self.exchanges.append(exchange)
        return exchange

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.exchanges)

    def __len__(self) -> int:
        return len(self.exchanges)


@dataclass(frozen=True, slots=True)
class WebhookReceived:
    """A webhook as an endpoint received it. `status` is what it answered, None: nothing."""

    at: float
    merchant_id: str
    webhook_id: str
    body: bytes
    status: int | None
