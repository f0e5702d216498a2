"""Deliveries, and the health of their endpoints."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import BaseModel

from runtime.core.errors import StaleWrite
from runtime.core.fields import Timestamp
from runtime.core.scope import UNRESTRICTED, Scope
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import (
    Update,
    absent,
    at_least,
    at_most,
    between,
    change,
    equals,
    put,
    update,
)
from runtime.dynamodb.index_merge import merge_newest_first
from runtime.dynamodb.index_shards import retry_bucket
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.webhooks.models import (
    EndpointHealth,
    EventType,
    Webhook,
    WebhookState,
    WebhookStatus,
    event_key,
    health_id,
)

_DELIVERIES = "whk_"
_AFTER_ALL_IDS = "~"
"""Sorts after every delivery id."""


class WebhookEntry(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """A delivery as projected into an index."""

    id: str


class DueWebhook(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """A delivery as far as needed to queue it."""

    id: str
    version: int
    merchant_id: str
    request_id: str
    status: WebhookStatus
    next_retry: Timestamp | None = None


class WebhookRepository:
    """The webhooks table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, webhook_id: str) -> Webhook | None:
        """A delivery with its payload, strongly consistent."""
        return self._store.get(Webhook, {"id": webhook_id}, Webhook, UNRESTRICTED)

    def state(self, webhook_id: str, scope: Scope) -> WebhookState | None:
        """A delivery without its payload, strongly consistent."""
        if not webhook_id.startswith(_DELIVERIES):
            return None  # the table also holds endpoints
        return self._store.get(Webhook, {"id": webhook_id}, WebhookState, scope)

    def states(self, webhook_ids: Sequence[str], scope: Scope) -> list[WebhookState]:
        """The deliveries that exist, in the given order."""
        if not webhook_ids:
            return []
        keys = [{"id": each} for each in webhook_ids]
        return self._store.get_many(Webhook, keys, WebhookState, scope)

    def move(self, before: WebhookState, after: WebhookState) -> None:
        """Change `before` to `after`. Raises StaleWrite if the row has changed."""
        there = self._store.update_alone(_step(before, after))
        if there is None:
            return
        # A retry after a lost response finds its own write.
        wanted = WebhookState(**{name: getattr(after, name) for name in WebhookState.model_fields})
        if not there or self._store.codec.to_row(_SCHEMA, there, WebhookState) != wanted:
            raise StaleWrite("webhooks", f"{before.id} was changed by another writer")

    def alter(
        self,
        before: WebhookState,
        after: WebhookState,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Like `move`, in one commit with a stored response. Raises AlreadyClaimed, StaleWrite."""
        try:
            create_once(self._store, [_step(before, after)], claim, token=token, now=now)
        except TransactionRefused as refused:
            raise StaleWrite("webhooks", f"{before.id} was changed by another writer") from refused

    def put_off(self, due: DueWebhook, until: Timestamp, at: Timestamp) -> bool:
        """Make `due` not due before `until`; False if it has changed.

        A resting delivery returns to the ordinary queue.
        """
        step = update(Webhook, {"id": due.id}).add(version=1)
        step = step.assign(retry_bucket=retry_bucket(due.id), next_retry=until, updated_at=at)
        unchanged = (equals("version", due.version), equals("status", WebhookStatus.PENDING))
        return self._store.update_alone(step.when(*unchanged)) is None

    def due(self, bucket: str, at: Timestamp, *, page_size: int) -> Iterator[WebhookEntry]:
        """Deliveries of one bucket that are due at `at`, oldest first."""
        return self._store.query(
            Webhook,
            WebhookEntry,
            [equals("retry_bucket", bucket), at_most("next_retry", at)],
            index="gsi-retry",
            page_size=page_size,
        )

    def still_due(self, entries: Sequence[WebhookEntry], at: Timestamp) -> list[DueWebhook]:
        """Those that are pending and due at `at`: the index may lag behind the rows."""
        keys = [{"id": entry.id} for entry in entries]
        rows = self._store.get_many(Webhook, keys, DueWebhook, UNRESTRICTED)
        return [
            row
            for row in rows
            if row.status is WebhookStatus.PENDING
            and row.next_retry is not None
            and row.next_retry <= at
        ]

    def newest_first(
        self,
        buckets: Sequence[str],
        types: Sequence[EventType],
        *,
        after_id: str | None,
        page_size: int,
    ) -> Iterator[WebhookEntry]:
        """A merchant's deliveries of some types, newest first, older than `after_id`."""
        readers = [
            self._store.query(
                Webhook,
                WebhookEntry,
                [
                    equals("merchant_bucket", bucket),
                    between(
                        "event_key",
                        event_key(kind, ""),
                        event_key(kind, after_id or _AFTER_ALL_IDS),
                    ),
                ],
                index="gsi-merchant",
                newest_first=True,
                page_size=page_size,
            )
            for bucket in buckets
            for kind in types
        ]
        merged = merge_newest_first(
            readers, self._store.outside.threads, key=lambda entry: entry.id
        )
        return (entry for entry in merged if entry.id != after_id)

    def health(self, merchant_id: str, endpoint_id: str, url: str) -> EndpointHealth | None:
        """Health of an endpoint, strongly consistent; None if it has never failed."""
        key = {"id": health_id(merchant_id, endpoint_id, url)}
        return self._store.get(Webhook, key, EndpointHealth, Scope(merchant_id))

    def recent_health(self, merchant_id: str, endpoint_id: str, url: str) -> EndpointHealth | None:
        """Like `health`, but perhaps as before the latest change."""
        key = {"id": health_id(merchant_id, endpoint_id, url)}
        return self._store.get_recent(Webhook, key, EndpointHealth, Scope(merchant_id))

    def healths(self, ids: Sequence[str]) -> dict[str, EndpointHealth]:
        """The health of several endpoints, by its id; those that never failed have none."""
        if not ids:
            return {}
        keys = [{"id": each} for each in ids]
        rows = self._store.get_many(Webhook, keys, EndpointHealth, UNRESTRICTED)
        return {row.id: row for row in rows}

    def create(
        self, row: Webhook, claim: IdempotencyRecord | None, *, token: str, now: datetime
    ) -> None:
        """Store a delivery in one commit with a stored response. Raises AlreadyClaimed."""
        create_once(self._store, [put(row).when(absent("id"))], claim, token=token, now=now)

    def keep_answer(self, claim: IdempotencyRecord | None, *, token: str, now: datetime) -> None:
        """Store the response of a request whose writes are done. Raises AlreadyClaimed."""
        create_once(self._store, [], claim, token=token, now=now)

    def undelivered(self, bucket: str, since_id: str, *, page_size: int) -> Iterator[WebhookEntry]:
        """Deliveries of a bucket that their endpoint has not accepted, from `since_id` on."""
        return self._store.query(
            Webhook,
            WebhookEntry,
            [equals("undelivered_bucket", bucket), at_least("id", since_id)],
            index="gsi-undelivered",
            page_size=page_size,
        )

    def note_health(self, before: EndpointHealth | None, after: EndpointHealth) -> None:
        """Write the endpoint's health; `before` None: no row yet. Raises StaleWrite."""
        if before is None:
            values = after.model_dump(exclude={"id"}, exclude_none=True)
            step = update(Webhook, {"id": after.id}).assign(**values).when(absent("id"))
        else:
            step = change(before, after, Webhook).when(equals("version", before.version))
        if self._store.update_alone(step) is not None:
            raise StaleWrite("webhooks", f"{after.id} was changed by another writer")


_SCHEMA = Webhook.table_schema


def _step(before: WebhookState, after: WebhookState) -> Update:
    assert after.version == before.version + 1, "a write increments the version by one"
    return change(before, after, Webhook).when(equals("version", before.version))
