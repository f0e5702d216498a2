"""Writes rows and the completed idempotency claim of their request in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runtime.core.errors import AlreadyClaimed
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Write
from runtime.dynamodb.store import Store
from runtime.idempotency import repository as claims
from runtime.idempotency.models import IdempotencyRecord


def create_once(
    store: Store,
    writes: Sequence[Write],
    claim: IdempotencyRecord | None,
    *,
    token: str,
    now: datetime,
) -> None:
    """Commit `writes` together with the completed `claim`, if there is one.

    Raises AlreadyClaimed (checked first), TransactionRefused with positions in `writes`.
    """
    everything = [*writes, claims.take(claim, now)] if claim else list(writes)
    try:
        store.transact(everything, token=token, decisive=claims.claim_position(everything, claim))
    except TransactionRefused as refused:
        item = refused.failed.get(len(writes))
        if claim is None or item is None:
            raise
        record = store.codec.to_row(IdempotencyRecord.table_schema, item, IdempotencyRecord)
        raise AlreadyClaimed(record) from refused
