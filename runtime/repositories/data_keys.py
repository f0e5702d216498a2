"""Wrapped data keys."""

from __future__ import annotations

from runtime.models.data_key import DataKey
from runtime.repositories.expressions import absent, put
from runtime.repositories.store import Store, TransactionRefused


class DataKeyRepository:
    """The keys table. Its rows hold only what KMS has wrapped."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, subject: str, key_id: str) -> DataKey | None:
        """A subject's wrapped key, strongly consistent."""
        return self._store.get(DataKey, {"subject": subject, "key_id": key_id}, DataKey)

    def create(self, key: DataKey, *, token: str) -> DataKey:
        """Store `key`, or return the one that somebody else stored first."""
        try:
            self._store.transact([put(key).when(absent("subject"))], token=token)
        except TransactionRefused as refused:
            item = refused.failed[0]
            return self._store.codec.to_row(DataKey.table_schema, item, DataKey)
        return key
