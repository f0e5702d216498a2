"""A merchant's endpoint with the merchant's row, and its next versions.

The first endpoint is part of its merchant's row; the others have rows of their own, which are
written together with the merchant's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from runtime.core.scope import Scope
from runtime.dynamodb.record import Record
from runtime.http.caller import require_found
from runtime.http.request_context import Call
from runtime.idempotency.models import IdempotencyRecord
from runtime.idempotency.optimistic_update import next_version
from runtime.merchants.merchants import NO_FIRST_ENDPOINT
from runtime.merchants.models import EndpointProfile, Merchant, MerchantProfile, WebhookEndpoint
from runtime.merchants.repository import MerchantRepository
from runtime.merchants.webhook_endpoints import (
    EndpointEntry,
    first_endpoint_id,
    merchant_of_first,
)
from runtime.webhooks.endpoints.repository import EndpointRepository

IN_MERCHANT: Final[Mapping[str, str]] = {
    "url": "webhook_url",
    "events": "webhook_events",
    "description": "webhook_description",
    "status": "webhook_status",
    "secret": "webhook_secret",
    "previous_secrets": "previous_webhook_secrets",
}
"""The fields of the first endpoint in its merchant's row."""
Write = Callable[[IdempotencyRecord | None, str], None]
"""Writes in one commit with a claim, under a token."""


def first_endpoint(merchant: MerchantProfile) -> EndpointProfile | None:
    """A merchant's first endpoint; with its secrets, if `merchant` has them. None: it has none."""
    if merchant.webhook_url is None:
        return None
    kind = WebhookEndpoint if isinstance(merchant, Merchant) else EndpointProfile
    named = {name: getattr(merchant, of, None) for name, of in IN_MERCHANT.items()}
    shared = merchant.model_dump(include=set(Record.model_fields))
    own = {name: named[name] for name in kind.model_fields if name in named}
    return kind(**{**shared, **own, "id": first_endpoint_id(merchant.id)})


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """An endpoint with its secrets, and its merchant."""

    merchant: MerchantProfile
    endpoint: WebhookEndpoint

    @property
    def is_first(self) -> bool:
        """Whether it is part of its merchant's row."""
        return self.endpoint.id == first_endpoint_id(self.merchant.id)


@dataclass(frozen=True)
class StoredEndpoints:
    """Reads and writes endpoints of both kinds."""

    endpoints: EndpointRepository
    merchants: MerchantRepository

    def profile(self, endpoint_id: str, call: Call) -> EndpointProfile:
        """An endpoint without its secrets, strongly consistent. Raises NotFound."""
        row = self.endpoints.profile(endpoint_id, call.scope)
        if row is None:
            merchant = self.merchants.profile(merchant_of_first(endpoint_id), call.scope)
            row = None if merchant is None else first_endpoint(merchant)
        return require_found(row, "webhook endpoint", endpoint_id)

    def read(self, endpoint_id: str, call: Call) -> StoredEndpoint:
        """An endpoint with its secrets and its merchant. Raises NotFound."""
        endpoint = self.endpoints.get(endpoint_id, call.scope)
        if endpoint is not None:
            owner = endpoint.merchant_id
            profile = self.merchants.profile(owner, Scope(owner))
            return StoredEndpoint(require_found(profile, "merchant", owner), endpoint)
        merchant = self.merchants.get(merchant_of_first(endpoint_id), call.scope)
        first = None if merchant is None else first_endpoint(merchant)
        found = require_found(first, "webhook endpoint", endpoint_id)
        assert isinstance(found, WebhookEndpoint), "the merchant was read with its secrets"
        assert merchant is not None, "it has an endpoint"
        return StoredEndpoint(merchant, found)

    def creation(self, merchant: MerchantProfile, endpoint: WebhookEndpoint, call: Call) -> Write:
        """The write of a new endpoint of `merchant`. Raises StaleWrite when it is called."""
        listed = (*merchant.webhook_endpoints, _entry(endpoint))
        after = next_version(merchant, {"webhook_endpoints": listed}, call)

        def write(claim: IdempotencyRecord | None, token: str) -> None:
            pair = (merchant, after)
            self.endpoints.create(pair, endpoint, claim, token=token, now=call.now)

        return write

    def change(
        self, stored: StoredEndpoint, changes: Mapping[str, Any], call: Call
    ) -> tuple[WebhookEndpoint, Write]:
        """The endpoint with `changes`, and its write, which raises StaleWrite."""
        before, merchant = stored.endpoint, stored.merchant
        after = next_version(before, changes, call)
        if stored.is_first:
            renamed = {IN_MERCHANT[name]: value for name, value in changes.items()}
            changed = next_version(merchant, renamed, call)
        else:
            listed = tuple(
                _entry(after) if each.id == after.id else each
                for each in merchant.webhook_endpoints
            )
            changed = next_version(merchant, {"webhook_endpoints": listed}, call)

        def write(claim: IdempotencyRecord | None, token: str) -> None:
            if stored.is_first:
                self.merchants.alter(merchant, changed, claim, token=token, now=call.now)
            else:
                pair = (merchant, changed)
                self.endpoints.alter(pair, before, after, claim, token=token, now=call.now)

        return after, write

    def remove(self, stored: StoredEndpoint, call: Call) -> None:
        """Delete the endpoint. Raises StaleWrite."""
        merchant, token = stored.merchant, call.new_id("chg")
        if stored.is_first:
            after = next_version(merchant, NO_FIRST_ENDPOINT, call)
            self.merchants.alter(merchant, after, None, token=token, now=call.now)
            return
        others = (e for e in merchant.webhook_endpoints if e.id != stored.endpoint.id)
        after = next_version(merchant, {"webhook_endpoints": tuple(others)}, call)
        self.endpoints.remove((merchant, after), stored.endpoint, token=token, now=call.now)


def _entry(endpoint: EndpointProfile) -> EndpointEntry:
    return EndpointEntry(
        id=endpoint.id, url=endpoint.url, events=endpoint.events, version=endpoint.version
    )
