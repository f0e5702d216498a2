"""Webhook endpoints: create, read, list, change, delete, rotate the secret."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from runtime.core.errors import (
    EndpointLimitReached,
)
from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.http.caller import require_found
from runtime.http.pagination import take_page
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import create_once, earlier_answer
from runtime.idempotency.optimistic_update import require_version, retry_stale
from runtime.merchants.models import WebhookEndpoint
from runtime.merchants.webhook_endpoints import ENDPOINT_PREFIX, MAX_ENDPOINTS, EndpointStatus
from runtime.merchants.webhook_secrets import kept_or_repeated, new_webhook_secret
from runtime.merchants.webhook_url import require_callable
from runtime.webhooks.endpoints.answers import endpoint_answer, with_secret
from runtime.webhooks.endpoints.api import (
    EndpointAnswer,
    EndpointList,
    EndpointPatch,
    EndpointQuery,
    EndpointRequest,
    EndpointSecretRotation,
)
from runtime.webhooks.endpoints.dependencies import (
    MAX_ATTEMPTS,
    EndpointDependencies,
    EndpointReads,
    busy,
)
from runtime.webhooks.endpoints.sending import end_waiting, forgive, health_of
from runtime.webhooks.endpoints.stored import StoredEndpoint, first_endpoint
from runtime.webhooks.models import EventType, health_id


def create_endpoint(
    request: EndpointRequest, call: Call, deps: EndpointDependencies
) -> StoredAnswer:
    """Create an endpoint. Only this answer, and its replays, contain the secret.

    Raises InvalidValue for a URL that is not allowed, NotFound for an unknown merchant,
    EndpointLimitReached, Unavailable.
    """
    require_callable(request.url, "url", allow_local=deps.allow_local)
    merchant_id = call.caller.merchant(call.acting_for)
    secret, now = new_webhook_secret(call), to_timestamp(call.now)
    endpoint = WebhookEndpoint(
        id=call.new_id(ENDPOINT_PREFIX),
        merchant_id=merchant_id,
        url=request.url,
        events=_stored_events(request.events),
        description=request.description,
        secret=secret,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )

    def attempt() -> StoredAnswer:
        profile = deps.stored.merchants.profile(merchant_id, Scope(merchant_id))
        merchant = require_found(profile, "merchant", merchant_id)
        # The first endpoint has a place of its own, whether the merchant uses it or not.
        if len(merchant.webhook_endpoints) >= MAX_ENDPOINTS - 1:
            repeated = earlier_answer(call, merchant_id, deps.claims)
            if repeated is not None:
                return repeated
            raise EndpointLimitReached(
                f"Merchant {merchant_id} has {len(merchant.webhook_endpoints)} webhook endpoints "
                "beside its webhook_url, the most it may have; delete one first"
            )
        return create_once(
            call,
            merchant_id,
            with_secret(endpoint, None, call.now),
            deps.stored.creation(merchant, endpoint, call),
            claims=deps.claims,
            index_buckets=merchant.index_buckets,
        )

    return retry_stale(MAX_ATTEMPTS, attempt, busy(f"merchant {merchant_id}"))


def get_endpoint(endpoint_id: str, call: Call, reads: EndpointReads) -> EndpointAnswer:
    """An endpoint with its health. Raises NotFound."""
    endpoint = reads.stored.profile(endpoint_id, call)
    return endpoint_answer(endpoint, health_of(endpoint, reads.webhooks), call.now)


def list_endpoints(query: EndpointQuery, call: Call, reads: EndpointReads) -> EndpointList:
    """A page of a merchant's endpoints, newest first, the first one last.

    Raises BadCursor, NotFound.
    """
    merchant_id = call.caller.merchant(call.acting_for)
    profile = reads.stored.merchants.profile(merchant_id, Scope(merchant_id))
    merchant = require_found(profile, "merchant", merchant_id)
    cursor = reads.cursors.of(query, "webhook-endpoints", merchant_id)
    entries = reads.stored.endpoints.newest_first(
        merchant_id, after_id=cursor.position, page_size=MAX_ENDPOINTS
    )
    ids = [entry.id for entry in entries]
    first = first_endpoint(merchant)
    if first is not None and first.id != cursor.position:
        ids.append(first.id)
    page = take_page(iter(ids), limit=query.limit, position=str)
    others = [each for each in page.entries if first is None or each != first.id]
    rows = list(reads.stored.endpoints.profiles(others, Scope(merchant_id)))
    if first is not None and first.id in page.entries:
        rows.append(first)
    keys = {row.id: health_id(merchant_id, row.id, row.url) for row in rows}
    healths = reads.webhooks.healths(list(keys.values()))
    answers = (endpoint_answer(row, healths.get(keys[row.id]), call.now) for row in rows)
    return EndpointList.from_items(answers, cursor.after(page.next_position))


def change_endpoint(
    endpoint_id: str, request: EndpointPatch, call: Call, deps: EndpointDependencies
) -> EndpointAnswer:
    """Change the fields that the request contains; `enabled` also ends what a 410 has caused.

    Raises NotFound, StaleVersion, InvalidValue, Unavailable.
    """
    if request.url is not None:
        require_callable(request.url, "url", allow_local=deps.allow_local)

    def attempt() -> WebhookEndpoint:
        stored = deps.stored.read(endpoint_id, call)
        require_version(stored.endpoint, request.version, f"Webhook endpoint {endpoint_id}")
        changes = _changes(request)
        if not changes:
            return stored.endpoint
        after, write = deps.stored.change(stored, changes, call)
        write(None, call.new_id("chg"))
        return after

    after = retry_stale(MAX_ATTEMPTS, attempt, busy(endpoint_id))
    if request.status is EndpointStatus.ENABLED:
        forgive(after, call.now, deps.webhooks)
    return endpoint_answer(after, health_of(after, deps.webhooks), call.now)


def _changes(request: EndpointPatch) -> dict[str, Any]:
    named = request.model_fields_set & {"url", "events", "description", "status"}
    changes = {name: getattr(request, name) for name in named}
    if "events" in changes:
        changes["events"] = _stored_events(request.events)
    return changes


def rotate_endpoint_secret(
    endpoint_id: str, request: EndpointSecretRotation, call: Call, deps: EndpointDependencies
) -> StoredAnswer:
    """Replace an endpoint's secret: 200. Only this answer contains the new one.

    Each replaced secret keeps signing for a day, unless the request revokes it. Raises NotFound,
    Unavailable, SecretsStillSign.
    """
    secret = new_webhook_secret(call)

    def attempt() -> StoredAnswer:
        stored = deps.stored.read(endpoint_id, call)
        row, owner = stored.endpoint, stored.merchant.id
        kept = kept_or_repeated(
            row.secret,
            row.previous_secrets,
            revoke_old=request.revoke_old,
            call=call,
            merchant_id=owner,
            claims=deps.claims,
        )
        if isinstance(kept, StoredAnswer):
            return kept
        changes = {"secret": secret, "previous_secrets": kept}
        after, write = deps.stored.change(stored, changes, call)
        return create_once(
            call,
            owner,
            with_secret(after, health_of(after, deps.webhooks), call.now),
            write,
            claims=deps.claims,
            index_buckets=stored.merchant.index_buckets,
            status=HTTPStatus.OK,
        )

    return retry_stale(MAX_ATTEMPTS, attempt, busy(endpoint_id))


def delete_endpoint(endpoint_id: str, call: Call, deps: EndpointDependencies) -> StoredAnswer:
    """Delete an endpoint: 204. Webhooks that wait for it end as expired.

    Raises NotFound, Unavailable.
    """

    def attempt() -> StoredEndpoint:
        stored = deps.stored.read(endpoint_id, call)
        deps.stored.remove(stored, call)
        return stored

    stored = retry_stale(MAX_ATTEMPTS, attempt, busy(endpoint_id))
    end_waiting(stored, call, deps)
    return StoredAnswer(int(HTTPStatus.NO_CONTENT), "")


def _stored_events(events: tuple[EventType, ...] | None) -> tuple[str, ...]:
    return () if events is None else tuple(each.value for each in events)
