"""The repository of wrapped data keys."""

from __future__ import annotations

from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import absent, change, equals, put
from runtime.dynamodb.store import Store
from runtime.encryption.models import SWEEP, DataKey, SweepProgress

KEYS_PAGE = 20
"""Page size for the keys of one subject; it gets a new one a year."""


class DataKeyRepository:
    """The keys table. It holds only wrapped keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, subject: str, key_id: str) -> DataKey | None:
        """A subject's wrapped key, strongly consistent."""
        return self._store.get(
            DataKey, {"subject": subject, "key_id": key_id}, DataKey, UNRESTRICTED
        )

    def all_of(self, subject: str) -> list[DataKey]:
        """All of a subject's keys, newest first, strongly consistent."""
        return list(
            self._store.query(
                DataKey,
                DataKey,
                [equals("subject", subject)],
                newest_first=True,
                page_size=KEYS_PAGE,
                consistent=True,
            )
        )

    def create(self, key: DataKey, *, token: str) -> DataKey:
        """Store `key`. Returns the existing key if another caller stored one first."""
        try:
            self._store.transact([put(key).when(absent("subject"))], token=token)
        except TransactionRefused as refused:
            item = refused.failed[0]
            return self._store.codec.to_row(DataKey.table_schema, item, DataKey)
        return key

    def progress(self, table: str) -> SweepProgress | None:
        """Progress of the last sweep over `table`."""
        key = {"subject": SWEEP, "key_id": table}
        return self._store.get(DataKey, key, SweepProgress, UNRESTRICTED)

    def note(self, progress: SweepProgress, *, token: str) -> None:
        """Save the progress of a sweep."""
        self._store.transact([put(progress)], token=token)

    def retire(self, key: DataKey, at: str, *, token: str) -> None:
        """Stop using `key` for lookups. The row stays, for restored backups."""
        after = key.model_copy(update={"retired_at": at})
        self._store.transact([change(key, after)], token=token)
