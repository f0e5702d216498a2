"""Optimistic updates: retries of stale writes, and the next version of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

from runtime.core.errors import StaleVersion, StaleWrite
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.record import Record
from runtime.http.request_context import Call
from runtime.idempotency.models import IdempotencyRecord

Result = TypeVar("Result")
RecordT = TypeVar("RecordT", bound=Record)
RowT_contra = TypeVar("RowT_contra", bound=Record, contravariant=True)


def retry_stale(
    attempts: int,
    attempt: Callable[[], Result],
    too_busy: Exception,
    *,
    stale: type[Exception] = StaleWrite,
) -> Result:
    """The result of `attempt`, which reads, decides and writes, and raises `stale` to be repeated.

    Raises `too_busy` after `attempts` stale attempts.
    """
    for _ in range(attempts):
        try:
            return attempt()
        except stale:
            continue
    raise too_busy


def require_version(row: Record, expected: int | None, named: str) -> None:
    """Raises StaleVersion if a change is meant for another version of `row` (None: for any)."""
    if expected not in (None, row.version):
        raise StaleVersion(
            f"{named} has version {row.version}, not {expected}; read it again", param="version"
        )


class VersionedRows(Protocol[RowT_contra]):
    """A repository whose rows are replaced version by version."""

    def alter(
        self,
        before: RowT_contra,
        after: RowT_contra,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Raises StaleWrite if the stored version is not `before`, AlreadyClaimed."""
        ...


def next_version(row: RecordT, changes: Mapping[str, Any], call: Call) -> RecordT:
    """The row with these changes and the next version, stamped with the caller."""
    context = call.caller.change(cause=call.caller.request_id)
    return row.next_version(to_timestamp(call.now), changes, context)


def row_update(
    rows: VersionedRows[RecordT], before: RecordT, after: RecordT, call: Call
) -> Callable[[IdempotencyRecord | None, str], None]:
    """The write of `after`, for `create_once`, which passes the claim and a token."""

    def write(claim: IdempotencyRecord | None, token: str) -> None:
        rows.alter(before, after, claim, token=token, now=call.now)

    return write
