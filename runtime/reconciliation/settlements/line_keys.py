"""Keys of settlement lines: their partitions and their keys as exceptions. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from runtime.dynamodb.index_shards import all_buckets, bucket_for, bucket_key
from runtime.reconciliation.settlements.models import LINES_PER_BUCKET, NO_EXCEPTION, LineStatus

FEWEST_EXCEPTION_BUCKETS: Final = 4
MOST_EXCEPTION_BUCKETS: Final = 8
"""Buckets of one merchant's open exceptions, at 1,000 a second each: a file of a million lines that
is another merchant's makes a million within minutes. A list without a status reads every bucket
once for each status, so there are not more."""
EXCEPTION_STATUSES: Final = tuple(status for status in LineStatus if status not in NO_EXCEPTION)
"""Statuses of lines that need a decision."""

_MISSING_BITS: Final = 38
FIRST_MISSING_LINE: Final = 1 << _MISSING_BITS
"""Lines of missing transactions have numbers from here to 2^39; lines of files are far below. They
have 12 digits: with 13 to 19, one in ten would be refused as a card number in a request."""
_MISSING_BUCKET_BITS: Final = 34
"""A day's missing transactions are in 16 partitions, by the highest bits of their numbers."""


def line_bucket(line: int) -> int:
    """Number of the partition of a line. Lines of a lower partition have lower numbers."""
    if line >= FIRST_MISSING_LINE:
        return line >> _MISSING_BUCKET_BITS
    return line // LINES_PER_BUCKET


def line_partition(settlement_id: str, line: int) -> str:
    """Partition key of a line."""
    return bucket_key(settlement_id, line_bucket(line))


def missing_line(transaction_id: str, attempt: int = 0) -> int:
    """The line number of a missing transaction; a different one for each further attempt.

    Numbers are hashes: two transactions of one day may have the same first one.
    """
    digest = hashlib.sha256(f"{transaction_id}#{attempt}".encode()).digest()
    return FIRST_MISSING_LINE | int.from_bytes(digest[:8], "big") >> (64 - _MISSING_BITS)


def exception_bucket(merchant_id: str, settlement_id: str, line: int, index_buckets: int) -> str:
    """The partition key of an open exception in `gsi-exception`."""
    return bucket_for(merchant_id, f"{settlement_id}#{line}", _buckets(index_buckets))


def exception_buckets(merchant_id: str, index_buckets: int) -> tuple[str, ...]:
    """All of a merchant's keys of `gsi-exception`."""
    return all_buckets(merchant_id, _buckets(index_buckets))


def _buckets(index_buckets: int) -> int:
    return min(max(index_buckets, FEWEST_EXCEPTION_BUCKETS), MOST_EXCEPTION_BUCKETS)


@dataclass(frozen=True, slots=True, order=True)
class ExceptionKey:
    """Sort position of open exceptions of one status. `day`: the settlement's, YYYY-MM-DD."""

    day: str
    settlement_id: str
    line: int

    def of(self, status: LineStatus) -> str:
        """The sort key of `gsi-exception`."""
        return f"{status}#{self.day}#{self.settlement_id}#{self.line:016d}"

    def age_days(self, today: date) -> int:
        """Whole days since; none for a future day."""
        return max((today - date.fromisoformat(self.day)).days, 0)


def exception_key(status: LineStatus, day: str, settlement_id: str, line: int) -> str:
    """The sort key of an open exception: its status, its settlement's date, and which line."""
    return ExceptionKey(day, settlement_id, line).of(status)


def read_exception_key(key: str) -> ExceptionKey:
    """The parts of a sort key of `gsi-exception`, without the status."""
    _, day, settlement_id, line = key.split("#")
    return ExceptionKey(day, settlement_id, int(line))


def exception_range(
    status: LineStatus,
    *,
    newest_day: str | None = None,
    settlement: tuple[str, str] | None = None,
) -> tuple[str, str]:
    """Lowest and highest sort key of a status: up to a day, or of one settlement (day and id)."""
    if settlement is not None:
        day, settlement_id = settlement
        return _all_that_begin_with(f"{status}#{day}#{settlement_id}#")
    low, high = _all_that_begin_with(f"{status}#")
    return low, high if newest_day is None else f"{status}#{newest_day}$"


def newest_day(today: date, min_age_days: int) -> str:
    """The day of the youngest exceptions of at least this age."""
    return (today - timedelta(days=min_age_days)).isoformat()


def _all_that_begin_with(prefix: str) -> tuple[str, str]:
    """`$` follows `#`, with which every prefix ends."""
    return prefix, f"{prefix[:-1]}$"
