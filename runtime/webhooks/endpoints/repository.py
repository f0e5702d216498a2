"""Webhook endpoints beside the first one, which is part of its merchant's row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from runtime.core.errors import StaleWrite
from runtime.core.scope import Scope
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Update, Write, absent, change, delete, equals, put
from runtime.dynamodb.id_lists import IdEntry, IdLists
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.merchants.models import EndpointProfile, Merchant, MerchantProfile, WebhookEndpoint


class EndpointRepository:
    """The webhook_endpoints table. Every change is one commit with the merchant's row."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lists = IdLists(store, WebhookEndpoint, IdEntry)

    def get(self, endpoint_id: str, scope: Scope) -> WebhookEndpoint | None:
        """An endpoint with its secrets, strongly consistent."""
        return self._store.get(WebhookEndpoint, {"id": endpoint_id}, WebhookEndpoint, scope)

    def recent(self, endpoint_id: str, scope: Scope) -> WebhookEndpoint | None:
        """Like `get`, but perhaps as before the latest change."""
        return self._store.get_recent(WebhookEndpoint, {"id": endpoint_id}, WebhookEndpoint, scope)

    def profile(self, endpoint_id: str, scope: Scope) -> EndpointProfile | None:
        """An endpoint without its secrets, strongly consistent."""
        return self._store.get(WebhookEndpoint, {"id": endpoint_id}, EndpointProfile, scope)

    def profiles(self, endpoint_ids: Sequence[str], scope: Scope) -> list[EndpointProfile]:
        """The endpoints that exist, without their secrets, in the given order."""
        if not endpoint_ids:
            return []
        keys = [{"id": each} for each in endpoint_ids]
        return self._store.get_many(WebhookEndpoint, keys, EndpointProfile, scope)

    def newest_first(
        self, merchant_id: str, *, after_id: str | None, page_size: int
    ) -> Iterator[IdEntry]:
        """A merchant's endpoints, newest first, without the first one."""
        return self._lists.newest_first(
            "gsi-merchant", (merchant_id,), after_id=after_id, page_size=page_size
        )

    def create(
        self,
        merchant: tuple[MerchantProfile, MerchantProfile],
        endpoint: WebhookEndpoint,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Store a new endpoint; `merchant` before and after. Raises AlreadyClaimed, StaleWrite."""
        new = put(endpoint).when(absent("id"))
        self._commit([_step_of(*merchant), new], claim, token=token, now=now)

    def alter(
        self,
        merchant: tuple[MerchantProfile, MerchantProfile],
        before: WebhookEndpoint,
        after: WebhookEndpoint,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Replace `before` with `after`. Raises AlreadyClaimed, StaleWrite."""
        step = change(before, after).when(equals("version", before.version))
        self._commit([_step_of(*merchant), step], claim, token=token, now=now)

    def remove(
        self,
        merchant: tuple[MerchantProfile, MerchantProfile],
        endpoint: WebhookEndpoint,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Delete an endpoint. Raises StaleWrite."""
        gone = delete(endpoint).when(equals("version", endpoint.version))
        self._commit([_step_of(*merchant), gone], None, token=token, now=now)

    def _commit(
        self,
        writes: Sequence[Write],
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        try:
            create_once(self._store, writes, claim, token=token, now=now)
        except TransactionRefused as refused:
            raise StaleWrite(
                "webhook_endpoints", "the endpoint or its merchant was changed by another writer"
            ) from refused


def _step_of(before: MerchantProfile, after: MerchantProfile) -> Update:
    return change(before, after, Merchant).when(equals("version", before.version))
