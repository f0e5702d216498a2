"""Rows with encrypted fields in any table: found by the age of their keys, re-encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from runtime.core.errors import StaleWrite
from runtime.core.scope import UNRESTRICTED
from runtime.customers.models import Customer
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Key, change, equals
from runtime.dynamodb.record import Record
from runtime.dynamodb.store import StalePage, Store
from runtime.merchants.models import Merchant, WebhookEndpoint

ENCRYPTED_MODELS: tuple[type[Customer] | type[Merchant] | type[WebhookEndpoint], ...] = (
    Customer,
    Merchant,
    WebhookEndpoint,
)
"""Permanent rows. Stored responses expire after a day, and their keys remain available."""
SWEEP_PAGE = 200

RecordT = TypeVar("RecordT", bound=Record)


class EncryptedRows:
    """The tables with encrypted fields."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def pages(self, model: type[Record], start_after: Key | None) -> Iterator[StalePage]:
        """A whole table: each row's key, and its fields that are encrypted under an old key."""
        return self._store.scan_stale(model, page_size=SWEEP_PAGE, start_after=start_after)

    def get(self, model: type[RecordT], key: Key) -> RecordT | None:
        """A decrypted row, strongly consistent."""
        return self._store.get(model, key, model, UNRESTRICTED)

    def renew(self, before: RecordT, after: RecordT, names: tuple[str, ...], *, token: str) -> None:
        """Write `after` with the attributes `names` re-encrypted.

        Raises StaleWrite if the row has changed since it was read.
        """
        step = change(before, after)
        sealed = tuple(dict.fromkeys((*step.sealed, *names)))
        write = replace(step, sealed=sealed, row=after).when(equals("version", before.version))
        try:
            self._store.transact([write], token=token)
        except TransactionRefused as refused:
            raise StaleWrite(type(before).__name__, "was changed by another writer") from refused
