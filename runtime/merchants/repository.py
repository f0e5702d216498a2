"""Reads and writes of the merchants table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from runtime.core.errors import StaleWrite
from runtime.core.fields import Timestamp
from runtime.core.scope import Scope
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import absent, change, equals, put
from runtime.dynamodb.id_lists import IdEntry, IdLists
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.merchants.models import (
    Merchant,
    MerchantAccounts,
    MerchantProfile,
    PreviousSecret,
    ProcessorConnection,
    signing_secrets,
)
from runtime.merchants.webhook_endpoints import EndpointDirectory, EndpointStatus


class FirstEndpoint(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """A merchant's first webhook endpoint: its URL, its status and its signing secrets."""

    id: str
    merchant_id: str
    webhook_url: str | None = None
    webhook_status: EndpointStatus = EndpointStatus.ENABLED
    webhook_secret: Annotated[str, Field(repr=False)]
    previous_webhook_secrets: Annotated[tuple[PreviousSecret, ...], Field(repr=False)] = ()

    @property
    def is_enabled(self) -> bool:
        """Whether webhooks are sent to it."""
        return self.webhook_status is EndpointStatus.ENABLED

    def secrets(self, at: Timestamp) -> tuple[str, ...]:
        """The secrets that sign at `at`: several for a while after a rotation."""
        return signing_secrets(self.webhook_secret, self.previous_webhook_secrets, at)


@dataclass(frozen=True, slots=True)
class MerchantPage:
    """A page of merchant ids. `last`: the id to continue after; None on the last page."""

    ids: tuple[str, ...]
    last: str | None


class _Named(BaseModel, frozen=True, defer_build=True):
    id: str


class MerchantRepository:
    """The merchants table."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lists = IdLists(store, Merchant, IdEntry)

    def create(
        self, merchant: Merchant, claim: IdempotencyRecord | None, *, token: str, now: datetime
    ) -> None:
        """Store a new merchant. Raises AlreadyClaimed."""
        write = put(merchant).when(absent("id"))
        create_once(self._store, [write], claim, token=token, now=now)

    def get(self, merchant_id: str, scope: Scope) -> Merchant | None:
        """A merchant with its secrets, strongly consistent."""
        return self._store.get(Merchant, {"id": merchant_id}, Merchant, scope)

    def alter(
        self,
        before: MerchantProfile,
        after: MerchantProfile,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Replace `before` with `after`. Raises AlreadyClaimed, StaleWrite."""
        step = change(before, after, Merchant).when(equals("version", before.version))
        try:
            create_once(self._store, [step], claim, token=token, now=now)
        except TransactionRefused as refused:
            raise StaleWrite("merchants", f"{before.id} was changed by another writer") from refused

    def pages(self, after: str | None, *, page_size: int) -> Iterator[MerchantPage]:
        """All merchants in scan order, starting after `after`."""
        start = None if after is None else {"id": after}
        for page in self._store.scan(
            Merchant,
            _Named,
            segment=0,
            total_segments=1,
            page_size=page_size,
            start_after=start,
        ):
            last = page.last_key["id"] if page.last_key else None
            yield MerchantPage(tuple(row.id for row in page.rows), str(last) if last else None)

    def newest_first(
        self, buckets: Sequence[str], *, after_id: str | None, page_size: int
    ) -> Iterator[IdEntry]:
        """All merchants, merged over the list's index shards, newest first."""
        return self._lists.newest_first("gsi-list", buckets, after_id=after_id, page_size=page_size)

    def of_email(self, email: str, start_after: str | None, page_size: int) -> Iterator[str]:
        """Ids of merchants with exactly this address, in a stable but arbitrary order."""
        start = None if start_after is None else {"email": email, "id": start_after}
        entries = self._store.query(
            Merchant,
            IdEntry,
            [equals("email", email)],
            index="gsi-email",
            start_after=start,
            page_size=page_size,
        )
        return (entry.id for entry in entries)

    def profiles(self, merchant_ids: Sequence[str], scope: Scope) -> list[MerchantProfile]:
        """The merchants in `scope`, in the given order."""
        if not merchant_ids:
            return []
        keys = [{"id": each} for each in merchant_ids]
        return self._store.get_many(Merchant, keys, MerchantProfile, scope)

    def profile(self, merchant_id: str, scope: Scope) -> MerchantProfile | None:
        """A merchant without its secrets, strongly consistent."""
        return self._store.get(Merchant, {"id": merchant_id}, MerchantProfile, scope)

    def recent_profile(self, merchant_id: str, scope: Scope) -> MerchantProfile | None:
        """Like `profile`, but perhaps as before the latest change. None if it was not found."""
        return self._store.get_recent(Merchant, {"id": merchant_id}, MerchantProfile, scope)

    def connection(self, merchant_id: str, scope: Scope) -> ProcessorConnection | None:
        """A merchant's processor configurations, decrypted; None if the merchant is unknown."""
        return self._store.get(Merchant, {"id": merchant_id}, ProcessorConnection, scope)

    def accounts(self, merchant_id: str, scope: Scope) -> MerchantAccounts | None:
        """A merchant's processor accounts, without their keys."""
        return self._store.get(Merchant, {"id": merchant_id}, MerchantAccounts, scope)

    def endpoint_directory(self, merchant_id: str) -> EndpointDirectory | None:
        """The webhook endpoints of a merchant, strongly consistent; None if it is unknown."""
        scope = Scope(merchant_id)
        return self._store.get(Merchant, {"id": merchant_id}, EndpointDirectory, scope)

    def first_endpoint(self, merchant_id: str) -> FirstEndpoint | None:
        """A merchant's webhook URL and secrets, decrypted; None if the merchant is unknown."""
        scope = Scope(merchant_id)
        return self._store.get(Merchant, {"id": merchant_id}, FirstEndpoint, scope)

    def recent_first_endpoint(self, merchant_id: str) -> FirstEndpoint | None:
        """Like `first_endpoint`, but perhaps as before the latest change."""
        scope = Scope(merchant_id)
        return self._store.get_recent(Merchant, {"id": merchant_id}, FirstEndpoint, scope)
