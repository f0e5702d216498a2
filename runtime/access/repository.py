"""Reads and writes of the api_keys table."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from runtime.access.models import ApiKey, ApiKeyProfile
from runtime.core.errors import StaleWrite, Unavailable
from runtime.core.fields import Timestamp
from runtime.core.scope import Scope
from runtime.dynamodb.errors import InvalidRequest, TransactionRefused
from runtime.dynamodb.expressions import Key, absent, change, equals, put
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord


class ApiKeyEntry(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """An entry of `gsi-merchant`."""

    prefix: str
    merchant_id: str
    created_at: Timestamp


class ApiKeyRepository:
    """The api_keys table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, api_key: ApiKey, claim: IdempotencyRecord | None, *, token: str, now: datetime
    ) -> None:
        """Store a new key. Raises AlreadyClaimed."""
        write = put(api_key).when(absent("prefix"))
        create_once(self._store, [write], claim, token=token, now=now)

    def get(self, prefix: str, scope: Scope) -> ApiKey | None:
        """A key with its hash, strongly consistent."""
        return self._store.get(ApiKey, {"prefix": prefix}, ApiKey, scope)

    def alter(
        self,
        before: ApiKey,
        after: ApiKey,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Replace `before` with `after`. Raises AlreadyClaimed, StaleWrite."""
        step = change(before, after).when(equals("version", before.version))
        try:
            create_once(self._store, [step], claim, token=token, now=now)
        except TransactionRefused as refused:
            raise StaleWrite(
                "api_keys", f"{before.prefix} was changed by another writer"
            ) from refused

    def record_use(self, before: ApiKey, after: ApiKey, *, token: str) -> None:
        """Store the new `last_used_at`. Raises StaleWrite, and Unavailable for any AWS error."""
        step = change(before, after).when(equals("version", before.version))
        try:
            self._store.transact([step], token=token)
        except TransactionRefused as refused:
            raise StaleWrite(
                "api_keys", f"{before.prefix} was changed by another writer"
            ) from refused
        except (BotoCoreError, ClientError, InvalidRequest) as error:
            raise Unavailable(f"The use was not recorded ({type(error).__name__})") from error

    def newest_first(
        self, merchant_id: str, *, start_after: Key | None, page_size: int
    ) -> Iterator[ApiKeyEntry]:
        """A merchant's keys, newest first."""
        return self._store.query(
            ApiKey,
            ApiKeyEntry,
            [equals("merchant_id", merchant_id)],
            index="gsi-merchant",
            newest_first=True,
            start_after=start_after,
            page_size=page_size,
        )

    def get_many(self, prefixes: Sequence[str], scope: Scope) -> list[ApiKeyProfile]:
        """The keys that exist, without their hashes, in the given order."""
        if not prefixes:
            return []
        keys = [{"prefix": each} for each in prefixes]
        return self._store.get_many(ApiKey, keys, ApiKeyProfile, scope)
