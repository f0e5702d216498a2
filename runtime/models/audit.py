"""The audit log: one row per version of every financial row, chained by hash."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from runtime.models.fields import Instant
from runtime.schema import Row, partition, sort


class AuditRow(Row, table="audit_log", stream=True, frozen=True):
    """What one change did to one entity: old and new values, who, from where and why. Append only.

    `sequence` is the zero-padded version; a change made outside the application adds `#` and the
    stream's sequence number.
    """

    entity_id: Annotated[str, partition()]
    sequence: Annotated[str, sort()]
    action_bucket: Annotated[str, partition("action-index")]
    user_bucket: Annotated[str, partition("user-index")]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    timestamp: Annotated[Instant, sort("action-index"), sort("user-index"), sort("gsi-merchant")]
    entity_type: str
    version: int
    action: str
    user_id: str
    merchant_id: str
    old_values: dict[str, Any] = Field(default_factory=dict)
    new_values: dict[str, Any] = Field(default_factory=dict)
    changes: tuple[str, ...] = ()
    ip_address: str = ""
    user_agent: str = ""
    request_id: str = ""
    cause: str = ""
    prev_hash: str
    hash: str
