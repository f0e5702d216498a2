"""Settlement files: the rows of objects in the settlement bucket, and of announced ones."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import BaseModel

from runtime.core.scope import Scope
from runtime.dynamodb.expressions import Condition, absent, below, equals, put
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.reconciliation.files.models import FileStatus, SettlementFile, merchant_status


class FileEntry(BaseModel, frozen=True, defer_build=True):
    """A file as its list indexes show it."""

    id: str


class SettlementFileRepository:
    """The settlement_files table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        file: SettlementFile,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Write a new file's row. Raises AlreadyClaimed."""
        create_once(self._store, [put(file).when(absent("id"))], claim, token=token, now=now)

    def get(self, file_id: str, scope: Scope) -> SettlementFile | None:
        """One file, strongly consistent."""
        return self._store.get(SettlementFile, {"id": file_id}, SettlementFile, scope)

    def newest_first(
        self,
        owner: str,
        status: FileStatus | None,
        *,
        before_id: str | None,
        page_size: int,
    ) -> Iterator[FileEntry]:
        """An owner's files of one status, or all, newest first, older than `before_id`."""
        older: tuple[Condition, ...] = () if before_id is None else (below("id", before_id),)
        if status is None:
            index, whose = "gsi-merchant", equals("merchant_id", owner)
        else:
            index = "gsi-status"
            whose = equals("merchant_status", merchant_status(owner, status))
        return self._store.query(
            SettlementFile,
            FileEntry,
            (whose, *older),
            index=index,
            newest_first=True,
            page_size=page_size,
        )

    def get_many(self, file_ids: Sequence[str], scope: Scope) -> list[SettlementFile]:
        """Those that exist in `scope`, strongly consistent, in the given order."""
        if not file_ids:
            return []
        keys = [{"id": each} for each in file_ids]
        return self._store.get_many(SettlementFile, keys, SettlementFile, scope)
