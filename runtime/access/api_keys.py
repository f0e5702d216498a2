"""API keys of machine clients: create, list, revoke."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from runtime.access.api import ApiKeyAnswer, ApiKeyList, ApiKeyQuery, ApiKeyRequest, NewApiKey
from runtime.access.api_key_text import (
    HASH_SUBJECT,
    PREFIX_RANDOM_BYTES,
    RANDOM_BYTES,
    api_key_text,
    hash_of,
    prefix_from,
)
from runtime.access.models import ApiKey
from runtime.access.repository import ApiKeyEntry, ApiKeyRepository
from runtime.core.errors import Unavailable
from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.expressions import Key
from runtime.encryption.key_ring import KeyPurpose
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, take_page
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, success
from runtime.idempotency.claims import ClaimReader, create_once, earlier_answer
from runtime.idempotency.optimistic_update import next_version, retry_stale, row_update
from runtime.merchants.profiles import MerchantProfiles

MAX_ATTEMPTS = 5
"""Attempts to revoke a key whose row changes concurrently, as when its use is recorded."""


class HashKeys(Protocol):
    """Provides the data key for hashing."""

    def key_for_writing(self, purpose: KeyPurpose, subject: str) -> tuple[str, bytes]:
        """Id and plaintext of the subject's data key, which is created if there is none."""
        ...


@dataclass(frozen=True)
class ApiKeyDependencies:
    """Dependencies for creating and revoking keys."""

    api_keys: ApiKeyRepository
    merchants: MerchantProfiles
    hash_keys: HashKeys
    claims: ClaimReader


@dataclass(frozen=True)
class ApiKeyReads:
    """Dependencies for listing keys."""

    api_keys: ApiKeyRepository
    merchants: MerchantProfiles
    cursors: Cursors


def create_api_key(request: ApiKeyRequest, call: Call, deps: ApiKeyDependencies) -> StoredAnswer:
    """Create a key. Only this answer, and its replays, contain the secret.

    Raises InvalidValue if no merchant is named, NotFound for an unknown merchant.
    """
    merchant = deps.merchants.require(call.caller.merchant(call.acting_for))
    prefix = prefix_from(call.entropy(PREFIX_RANDOM_BYTES))
    secret = api_key_text(prefix, call.entropy(RANDOM_BYTES))
    hash_key_id, hash_key = deps.hash_keys.key_for_writing("index", HASH_SUBJECT)
    now = to_timestamp(call.now)
    api_key = ApiKey(
        prefix=prefix,
        merchant_id=merchant.id,
        name=request.name,
        permissions=frozenset(request.permissions),
        created_by=call.caller.subject,
        key_hash=hash_of(hash_key, secret),
        hash_key_id=hash_key_id,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )
    return create_once(
        call,
        merchant.id,
        NewApiKey.with_members(api_key, secret=secret),
        lambda claim, token: deps.api_keys.create(api_key, claim, token=token, now=call.now),
        claims=deps.claims,
        index_buckets=merchant.index_buckets,
    )


def revoke_api_key(prefix: str, call: Call, deps: ApiKeyDependencies) -> StoredAnswer:
    """Revoke a key; it stays in the list. Revoking a revoked key changes nothing.

    Raises NotFound, Unavailable.
    """
    owner = call.caller.owner(call.acting_for)
    buckets = deps.merchants.index_buckets(owner)

    def attempt() -> StoredAnswer:
        earlier = earlier_answer(call, owner, deps.claims)
        if earlier is not None:
            return earlier
        row = require_found(deps.api_keys.get(prefix, call.scope), "API key", prefix)
        if row.revoked_at is not None:
            return success(HTTPStatus.OK, ApiKeyAnswer.of(row))
        after = next_version(row, {"revoked_at": to_timestamp(call.now)}, call)
        return create_once(
            call,
            owner,
            ApiKeyAnswer.of(after),
            row_update(deps.api_keys, row, after, call),
            claims=deps.claims,
            index_buckets=buckets,
            status=HTTPStatus.OK,
        )

    return retry_stale(
        MAX_ATTEMPTS,
        attempt,
        Unavailable(f"API key {prefix} is being changed by other requests; try again"),
    )


def list_api_keys(query: ApiKeyQuery, call: Call, reads: ApiKeyReads) -> ApiKeyList:
    """A page of a merchant's keys, including revoked keys. Raises BadCursor, NotFound."""
    merchant_id = reads.merchants.require(call.caller.merchant(call.acting_for)).id
    cursor = reads.cursors.of(query, "api-keys", merchant_id)
    position = cursor.position
    entries = reads.api_keys.newest_first(
        merchant_id,
        start_after=_key_of(merchant_id, position) if position else None,
        page_size=query.limit + 1,
    )
    page = take_page(entries, limit=query.limit, position=_position_of)
    rows = reads.api_keys.get_many([entry.prefix for entry in page.entries], Scope(merchant_id))
    return ApiKeyList.from_items(map(ApiKeyAnswer.of, rows), cursor.after(page.next_position))


def _position_of(entry: ApiKeyEntry) -> str:
    return json.dumps([entry.created_at, entry.prefix])


def _key_of(merchant_id: str, position: str) -> Key:
    created_at, prefix = json.loads(position)
    return {"merchant_id": merchant_id, "created_at": created_at, "prefix": prefix}
