"""Reads and writes of the processor_events table: kept events and the daily poll's progress."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain

from runtime.core.errors import StaleWrite
from runtime.core.scope import UNRESTRICTED, Scope
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import absent, change, equals, put
from runtime.dynamodb.id_lists import IdEntry, IdLists
from runtime.dynamodb.index_shards import KEPT_EVENT_BUCKETS, all_buckets
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.payments.disputes.models import KeptEvent, PollProgress, ProcessorEventStatus

_POLL = "poll"
"""Key of the poll's progress; the keys of events begin with _EVENT_PREFIX."""
_EVENT_PREFIX = "pev_"
_PAGE = 100


class KeptEntry(IdEntry, frozen=True):
    """A list index entry of a kept event. `status` is only in a merchant's list."""

    status: ProcessorEventStatus | None = None


class KeptEventRepository:
    """The processor_events table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, event_id: str, scope: Scope) -> KeptEvent | None:
        """One kept event, strongly consistent."""
        if not event_id.startswith(_EVENT_PREFIX):
            return None  # the poll's progress is in the same table
        return self._store.get(KeptEvent, {"id": event_id}, KeptEvent, scope)

    def keep(self, before: KeptEvent | None, after: KeptEvent, *, token: str) -> None:
        """Store a new event, or replace `before`. Raises StaleWrite."""
        if before is not None:
            self.alter(before, after, None, token=token)
            return
        try:
            self._store.transact([put(after).when(absent("id"))], token=token)
        except TransactionRefused as refused:
            raise StaleWrite("processor_events", f"{after.id} already exists") from refused

    def alter(
        self,
        before: KeptEvent,
        after: KeptEvent,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime | None = None,
    ) -> None:
        """Replace `before` with `after`. Raises AlreadyClaimed, StaleWrite.

        `now` is required with a claim.
        """
        step = change(before, after).when(equals("version", before.version))
        try:
            if claim is None:
                self._store.transact([step], token=token)
                return
            assert now is not None, "a claim needs the time"
            create_once(self._store, [step], claim, token=token, now=now)
        except TransactionRefused as refused:
            raise StaleWrite(
                "processor_events", f"{before.id} was changed by another writer"
            ) from refused

    def newest_first(
        self,
        merchant_id: str | None,
        statuses: Sequence[ProcessorEventStatus],
        *,
        after_id: str | None,
    ) -> Iterator[KeptEntry]:
        """Events of one merchant, or of all, with one of the statuses, newest first."""
        names = [merchant_id] if merchant_id is not None else list(statuses)
        index = "gsi-status" if merchant_id is None else "gsi-merchant"
        buckets = chain.from_iterable(all_buckets(name, KEPT_EVENT_BUCKETS) for name in names)
        lists = IdLists(self._store, KeptEvent, KeptEntry)
        merged = lists.newest_first(index, tuple(buckets), after_id=after_id, page_size=_PAGE)
        return (entry for entry in merged if entry.status in (None, *statuses))

    def get_many(self, event_ids: Sequence[str], scope: Scope) -> list[KeptEvent]:
        """The events in `scope`, strongly consistent, in the given order."""
        if not event_ids:
            return []
        return self._store.get_many(
            KeptEvent, [{"id": each} for each in event_ids], KeptEvent, scope
        )

    def poll_progress(self) -> PollProgress | None:
        """The poll's progress; None before the first round."""
        return self._store.get(KeptEvent, {"id": _POLL}, PollProgress, UNRESTRICTED)

    def save_progress(self, progress: PollProgress, *, token: str) -> None:
        """Store the progress without a condition: polling an event twice is harmless."""
        self._store.transact([put(progress)], token=token)


def first_round(started_at: str, since: str) -> PollProgress:
    """A round that has not polled any merchant yet."""
    return PollProgress(id=_POLL, started_at=started_at, since=since)
