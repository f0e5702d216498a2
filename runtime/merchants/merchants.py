"""Merchants: create, read, list, change, rotate the webhook secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Protocol

from runtime.core.errors import (
    InvalidValue,
    StaleVersion,
    StaleWrite,
    Unavailable,
)
from runtime.core.fields import PLATFORM
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import (
    MERCHANT_LIST,
    MERCHANT_LIST_BUCKETS,
    all_buckets,
    merchant_list_bucket,
)
from runtime.http.caller import require_found
from runtime.http.pagination import UNORDERED_CHUNK, Cursors, Slice, newest_of_chunk, take_page
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import ClaimReader, create_once, earlier_answer
from runtime.idempotency.optimistic_update import (
    next_version,
    require_version,
    retry_stale,
    row_update,
)
from runtime.merchants.api import (
    MerchantAnswer,
    MerchantList,
    MerchantPatch,
    MerchantQuery,
    MerchantRequest,
    NewMerchant,
    ProcessorAccountAnswer,
    ProcessorAccountList,
    SecretRotation,
)
from runtime.merchants.models import Merchant, ProcessorName
from runtime.merchants.processor_accounts import UNNAMED
from runtime.merchants.repository import MerchantRepository
from runtime.merchants.webhook_endpoints import EndpointStatus
from runtime.merchants.webhook_secrets import kept_or_repeated, new_webhook_secret
from runtime.merchants.webhook_url import require_callable

NO_FIRST_ENDPOINT: Final[Mapping[str, Any]] = {
    "webhook_url": None,
    "webhook_events": (),
    "webhook_description": None,
    "webhook_status": EndpointStatus.ENABLED,
}
"""The fields of a merchant without a first webhook endpoint."""
PROCESSOR_FIELDS: Final = frozenset({"processor", "processor_config"})
MAX_ATTEMPTS = 10
"""Attempts to change one merchant under concurrent writes."""


class MerchantProcessors(Protocol):
    """How merchants are connected to their processors."""

    def default_processor(self) -> ProcessorName:
        """The default processor of a merchant. Raises InvalidValue in live mode."""
        ...

    def account_of(
        self, merchant_id: str, processor: ProcessorName, config: Mapping[str, Any]
    ) -> str:
        """The account that the keys in `config` belong to, as the processor reports it.

        Raises InvalidValue, WrongProcessorMode, Unavailable.
        """
        ...

    def processor_changes(
        self, row: Merchant, changes: Mapping[str, Any], now: datetime
    ) -> dict[str, Any]:
        """The other merchant fields that change with its processor or configuration.

        Raises what `account_of` raises, and ProcessorInUse.
        """
        ...

    def removal(self, row: Merchant, account: str | None, now: datetime) -> dict[str, Any]:
        """The change that deletes an account's keys. Raises NotFound, ProcessorInUse."""
        ...


@dataclass(frozen=True)
class MerchantDependencies:
    """Dependencies for creating and changing merchants."""

    merchants: MerchantRepository
    claims: ClaimReader
    processors: MerchantProcessors
    allow_local_webhooks: bool = False


@dataclass(frozen=True)
class MerchantReads:
    """Dependencies for listing merchants."""

    merchants: MerchantRepository
    cursors: Cursors


def create_merchant(
    request: MerchantRequest, call: Call, deps: MerchantDependencies
) -> StoredAnswer:
    """Create a merchant. Only this answer contains its webhook secret.

    Raises InvalidValue for a webhook URL that is not allowed, and what `account_of` raises.
    """
    if request.webhook_url is not None:
        require_callable(request.webhook_url, "webhook_url", allow_local=deps.allow_local_webhooks)
    # Before the processor is asked: a repeated request gets its answer even if it is unavailable.
    repeated = earlier_answer(call, PLATFORM, deps.claims)
    if repeated is not None:
        return repeated
    merchant_id = call.new_id("mer")
    processor = request.processor or deps.processors.default_processor()
    account = deps.processors.account_of(merchant_id, processor, request.processor_config)
    secret = request.webhook_secret or new_webhook_secret(call)
    now = to_timestamp(call.now)
    merchant = Merchant(
        id=merchant_id,
        merchant_id=merchant_id,
        list_bucket=merchant_list_bucket(merchant_id),
        name=request.name,
        email=request.email,
        processor=processor,
        processor_account=account,
        processor_config=request.processor_config,
        webhook_url=request.webhook_url,
        webhook_secret=secret,
        features=request.features,
        rate_limits=request.rate_limits,
        reconciliation=request.reconciliation,
        index_buckets=request.index_buckets,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )
    return create_once(
        call,
        PLATFORM,
        NewMerchant.of(merchant),
        lambda claim, token: deps.merchants.create(merchant, claim, token=token, now=call.now),
        claims=deps.claims,
    )


def get_merchant(merchant_id: str, call: Call, merchants: MerchantRepository) -> MerchantAnswer:
    """A merchant, without its secrets. Raises NotFound."""
    row = require_found(merchants.profile(merchant_id, call.scope), "merchant", merchant_id)
    return MerchantAnswer.of(row)


def list_merchants(query: MerchantQuery, call: Call, reads: MerchantReads) -> MerchantList:
    """A page of all merchants, or of those with an email address, newest first. For operators.

    Raises BadCursor.
    """
    cursor = reads.cursors.of(query, "merchants")
    position = cursor.position
    if query.email is None:
        page = _of_list(query, position, reads)
    else:
        page = newest_of_chunk(
            (query.email,),
            lambda email, start: reads.merchants.of_email(email, start, UNORDERED_CHUNK),
            limit=query.limit,
            position=position,
        )
    rows = reads.merchants.profiles(page.entries, call.scope)
    # The index may lag behind a changed address.
    answers = (MerchantAnswer.of(row) for row in rows if query.email in (None, row.email))
    return MerchantList.from_items(answers, cursor.after(page.next_position))


def _of_list(query: MerchantQuery, position: str | None, reads: MerchantReads) -> Slice[str]:
    entries = reads.merchants.newest_first(
        all_buckets(MERCHANT_LIST, MERCHANT_LIST_BUCKETS),
        after_id=position,
        page_size=query.limit + 1,
    )
    ids = (entry.id for entry in entries)
    return take_page(ids, limit=query.limit, position=str)


def change_merchant(
    merchant_id: str, request: MerchantPatch, call: Call, deps: MerchantDependencies
) -> MerchantAnswer:
    """Change the fields that the request contains.

    Raises NotFound, StaleVersion, InvalidValue, Unavailable, and what `processor_changes` raises.
    """
    return retry_stale(
        MAX_ATTEMPTS,
        lambda: _change(merchant_id, request, call, deps),
        Unavailable(f"Merchant {merchant_id} is being changed by other requests; try again"),
    )


def _change(
    merchant_id: str, request: MerchantPatch, call: Call, deps: MerchantDependencies
) -> MerchantAnswer:
    """Change the merchant as it is now. Raises StaleWrite if it was changed meanwhile."""
    row = require_found(deps.merchants.get(merchant_id, call.scope), "merchant", merchant_id)
    require_version(row, request.version, f"Merchant {row.id}")
    named = (request.model_fields_set & set(Merchant.model_fields)) - {"version", "merchant_id"}
    changes = {name: getattr(request, name) for name in named}
    if request.webhook_url is not None:
        require_callable(request.webhook_url, "webhook_url", allow_local=deps.allow_local_webhooks)
    if request.index_buckets is not None and request.index_buckets < row.index_buckets:
        raise InvalidValue(
            f"index_buckets cannot be reduced; it is {row.index_buckets}", param="index_buckets"
        )
    if not changes:
        return MerchantAnswer.of(row)
    if "webhook_url" in changes and request.webhook_url is None:
        changes |= NO_FIRST_ENDPOINT
    if row.list_bucket is None:
        changes["list_bucket"] = merchant_list_bucket(row.id)
    if not changes.keys().isdisjoint(PROCESSOR_FIELDS):
        changes |= deps.processors.processor_changes(row, changes, call.now)
    after = next_version(row, changes, call)
    deps.merchants.alter(row, after, None, token=call.new_id("chg"), now=call.now)
    return MerchantAnswer.of(after)


def list_accounts_at_processors(
    merchant_id: str, call: Call, merchants: MerchantRepository
) -> ProcessorAccountList:
    """The processor accounts whose keys are stored for a merchant. Raises NotFound."""
    row = require_found(merchants.accounts(merchant_id, call.scope), "merchant", merchant_id)
    kept = tuple(
        ProcessorAccountAnswer(
            processor=each.processor, account=each.account or UNNAMED, left_at=each.left_at
        )
        for each in reversed(row.earlier_accounts)
    )
    now = ProcessorAccountAnswer(
        processor=row.processor, account=row.processor_account or UNNAMED, left_at=None
    )
    return ProcessorAccountList.from_items((now, *kept), next_cursor=None)


def remove_processor_account(
    merchant_id: str, account: str, call: Call, deps: MerchantDependencies
) -> StoredAnswer:
    """Delete the keys of an account that the merchant no longer uses: 204.

    Raises NotFound for an account whose keys are not stored, ProcessorInUse, StaleVersion.
    """
    row = require_found(deps.merchants.get(merchant_id, call.scope), "merchant", merchant_id)
    changes = deps.processors.removal(row, None if account == UNNAMED else account, call.now)
    after = next_version(row, changes, call)
    try:
        token = call.new_id("chg")
        deps.merchants.alter(row, after, None, token=token, now=call.now)
    except StaleWrite as stale:
        raise StaleVersion(
            f"Merchant {row.id} was changed by another request; read it again"
        ) from stale
    return StoredAnswer(int(HTTPStatus.NO_CONTENT), "")


def rotate_webhook_secret(
    merchant_id: str, request: SecretRotation, call: Call, deps: MerchantDependencies
) -> StoredAnswer:
    """Replace a merchant's webhook secret: 200. Only this answer contains the new one.

    Each replaced secret keeps signing for a day, unless the request revokes it. Raises
    NotFound, Unavailable, and SecretsStillSign if MAX_PREVIOUS_SECRETS still sign.
    """
    secret = new_webhook_secret(call)

    def attempt() -> StoredAnswer:
        row = require_found(deps.merchants.get(merchant_id, call.scope), "merchant", merchant_id)
        kept = kept_or_repeated(
            row.webhook_secret,
            row.previous_webhook_secrets,
            revoke_old=request.revoke_old,
            call=call,
            merchant_id=merchant_id,
            claims=deps.claims,
        )
        if isinstance(kept, StoredAnswer):
            return kept
        changes = {"webhook_secret": secret, "previous_webhook_secrets": kept}
        after = next_version(row, changes, call)
        return create_once(
            call,
            merchant_id,
            NewMerchant.of(after),
            row_update(deps.merchants, row, after, call),
            claims=deps.claims,
            index_buckets=row.index_buckets,
            status=HTTPStatus.OK,
        )

    return retry_stale(
        MAX_ATTEMPTS,
        attempt,
        Unavailable(f"Merchant {merchant_id} is being changed by other requests; try again"),
    )
