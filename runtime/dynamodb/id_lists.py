"""List indexes sorted by id, which is the order of creation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from runtime.dynamodb.expressions import below, equals
from runtime.dynamodb.index_merge import merge_newest_first
from runtime.dynamodb.schema import Row
from runtime.dynamodb.store import Store


class IdEntry(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """A row as projected into an index with keys only."""

    id: str


Entry = TypeVar("Entry", bound=IdEntry)


@dataclass(frozen=True)
class IdLists(Generic[Entry]):
    """The list indexes of one table; they may lag some seconds."""

    store: Store
    model: type[Row]
    entry: type[Entry]

    def newest_first(
        self, index: str, partitions: Sequence[str], *, after_id: str | None, page_size: int
    ) -> Iterator[Entry]:
        """Entries of some partitions of an index, merged, newest first, older than `after_id`."""
        key = self.model.table_schema.index(index).partition_key.name
        older = () if after_id is None else (below("id", after_id),)
        readers = [
            self.store.query(
                self.model,
                self.entry,
                [equals(key, partition), *older],
                index=index,
                newest_first=True,
                page_size=page_size,
            )
            for partition in partitions
        ]
        return merge_newest_first(readers, self.store.outside.threads, key=lambda entry: entry.id)
