"""A merchant's webhook endpoints, as its row lists them. Pure.

The first endpoint is part of the merchant's row: its URL is `webhook_url`, and its version is the
merchant's. The others are rows of their own (webhooks/endpoints), and the merchant's row lists
them, so that one strong read finds every endpoint of an event.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, Field

MAX_ENDPOINTS: Final = 16
"""Webhook endpoints of one merchant, the first one included."""
ENDPOINT_PREFIX: Final = "whe"
_MERCHANT: Final = "mer_"
_ENDPOINT: Final = f"{ENDPOINT_PREFIX}_"


class EndpointStatus(StrEnum):
    """Webhooks of a disabled endpoint are not sent, and end as failed."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class EndpointEntry(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """What must be known of an endpoint when an event happens. No `events` means all of them.

    `version` is the endpoint's: each of its changes is a change of the merchant's row too, and so
    is in the merchant's audit log.
    """

    id: str
    url: Annotated[str, Field(repr=False)]
    events: tuple[str, ...] = ()
    version: int

    def takes(self, event_type: str) -> bool:
        """Whether the endpoint receives events of this type."""
        return not self.events or event_type in self.events


class EndpointDirectory(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """All endpoints of a merchant; a view of its row."""

    id: str
    merchant_id: str
    version: int
    index_buckets: int = 1
    webhook_url: Annotated[str | None, Field(repr=False)] = None
    webhook_events: tuple[str, ...] = ()
    webhook_endpoints: tuple[EndpointEntry, ...] = ()

    @property
    def entries(self) -> tuple[EndpointEntry, ...]:
        """The first endpoint, if there is one, and the others in order of creation."""
        if self.webhook_url is None:
            return self.webhook_endpoints
        first = EndpointEntry(
            id=first_endpoint_id(self.id),
            url=self.webhook_url,
            events=self.webhook_events,
            version=self.version,
        )
        return (first, *self.webhook_endpoints)


def first_endpoint_id(merchant_id: str) -> str:
    """The id of a merchant's first endpoint."""
    return _ENDPOINT + merchant_id.removeprefix(_MERCHANT)


def merchant_of_first(endpoint_id: str) -> str:
    """The merchant whose first endpoint has this id."""
    return _MERCHANT + endpoint_id.removeprefix(_ENDPOINT)
