"""Field types that several aggregates share, and the bases of stored rows."""

from __future__ import annotations

from runtime.core.fields import PLATFORM, Timestamp
from runtime.dynamodb.schema import Row


class Record(Row, frozen=True):
    """A mutable row: its version, its times, its owner and who changed it last, from where and why.

    The audit log is made from these fields as they pass in the change stream; a change without a
    step of `version` and a fresh `cause` was made outside the application.
    """

    version: int = 1
    created_at: Timestamp
    updated_at: Timestamp
    merchant_id: str = PLATFORM
    changed_by: str
    request_id: str
    ip_address: str = ""
    user_agent: str = ""
    cause: str
