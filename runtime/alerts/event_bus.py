"""Events on the account's default EventBridge bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from runtime.core.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

MAX_ENTRIES: Final = 10
"""Events of one PutEvents call (EventBridge quotas)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `detail` is a JSON object."""

    source: str
    detail_type: str
    detail: str
    at: datetime

    def entry(self) -> PutEventsRequestEntryTypeDef:
        """The PutEvents entry. Without a bus name it goes to the default bus."""
        return {
            "Source": self.source,
            "DetailType": self.detail_type,
            "Detail": self.detail,
            "Time": self.at,
        }


class EventBus:
    """The account's default bus."""

    def __init__(self, client: EventBridgeClient) -> None:
        self._client = client

    def put(self, events: Sequence[Event]) -> frozenset[int]:
        """Send events. Returns the positions of the events to retry.

        An event whose response was lost counts as not sent, so it may be sent twice.
        """
        failed: set[int] = set()
        for start in range(0, len(events), MAX_ENTRIES):
            some = events[start : start + MAX_ENTRIES]
            failed |= {start + position for position in self._put(some)}
        return frozenset(failed)

    def _put(self, events: Sequence[Event]) -> list[int]:
        try:
            answer = self._client.put_events(Entries=[event.entry() for event in events])
        except (BotoCoreError, ClientError):
            logger.exception("events could not be sent", events=len(events))
            return list(range(len(events)))
        codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
        refused = [position for position, code in enumerate(codes) if code]
        if refused:
            logger.error("events were rejected", codes=sorted({str(codes[n]) for n in refused}))
        return refused
