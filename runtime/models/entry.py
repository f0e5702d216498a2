"""Entries: one line per change of an account, derived from the streams, read for statements."""

from __future__ import annotations

from typing import Annotated

from runtime.models.fields import Instant, SignedMinorUnits
from runtime.schema import Row, partition, sort


class Entry(Row, table="entries", frozen=True):
    """What one transfer changed in one account, and the exact balance after it."""

    account_shard: Annotated[str, partition()]
    sequence: Annotated[str, sort()]
    transfer_id: Annotated[str, partition("transfer-index")]
    account_id: str
    amount: SignedMinorUnits
    balance_after: SignedMinorUnits | None = None
    currency: str
    created_at: Instant
