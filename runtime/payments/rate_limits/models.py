"""Rate limit counters of merchants, and the payments of a customer in one minute.

All rows expire by TTL.
"""

from typing import Annotated

from runtime.core.fields import EpochSeconds
from runtime.dynamodb.schema import Row, Ttl, partition


class LimitCounter(Row, table="limits", frozen=True):
    """The use of a limit in one window. `held`: permits that workers lease and may not have spent.

    `used` includes `held`.
    """

    id: Annotated[str, partition()]
    used: int = 0
    held: int = 0
    expires_at: Annotated[EpochSeconds, Ttl()]


class CustomerMinute(Row, frozen=True):
    """Ids of the payments that a customer began in one minute, up to a maximum."""

    id: str
    payments: frozenset[str] = frozenset()
    expires_at: EpochSeconds

    table_schema = LimitCounter.table_schema
