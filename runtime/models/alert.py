"""Compliance alerts: large transactions, velocity, lock-outs, changes made past the application."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from runtime.models.fields import Instant
from runtime.schema import Row, partition, sort


class Alert(Row, table="alerts", stream=True, frozen=True):
    """One alert; its id is made of type, entity and window, so a repetition is the same row."""

    id: Annotated[str, partition()]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    created_at: Annotated[Instant, sort("gsi-merchant")]
    merchant_id: str
    type: str
    entity_id: str
    detail: dict[str, Any] = Field(default_factory=dict)
