"""The next version of a row, and how it is written in one commit with its stored answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.record import Record
from runtime.http.request_context import Call
from runtime.idempotency.models import IdempotencyRecord

RecordT = TypeVar("RecordT", bound=Record)
AlterableT_contra = TypeVar("AlterableT_contra", bound=Record, contravariant=True)


class Alters(Protocol[AlterableT_contra]):
    """A repository that writes a step from one version of a row to the next."""

    def alter(
        self,
        before: AlterableT_contra,
        after: AlterableT_contra,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Raises StaleWrite if `before` is no longer the stored version, AlreadyClaimed."""
        ...


def next_version(row: RecordT, changes: Mapping[str, Any], call: Call) -> RecordT:
    """The row with these changes, one version on, stamped with who asked for them."""
    return row.model_copy(
        update={
            **changes,
            **call.caller.change(cause=call.caller.request_id).stamp(),
            "version": row.version + 1,
            "updated_at": to_timestamp(call.now),
        }
    )


def writing(
    rows: Alters[RecordT], before: RecordT, after: RecordT, call: Call
) -> Callable[[IdempotencyRecord | None, str], None]:
    """What `create_once` calls with the claim and its token."""

    def write(claim: IdempotencyRecord | None, token: str) -> None:
        rows.alter(before, after, claim, token=token, now=call.now)

    return write
