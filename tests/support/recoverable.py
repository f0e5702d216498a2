"""A DynamoDB client whose tables can be restored to as many instants as those of AWS."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any


class Recoverable:
    """The client, with AWS's window: 35 days until five minutes before `now`.

    moto and the embedded AWS restore a table as it is, and say that only one instant is possible.
    """

    def __init__(self, client: Any, now: datetime) -> None:
        self._client = client
        self._now = now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def describe_continuous_backups(self, **given: str) -> Any:
        found = self._client.describe_continuous_backups(**given)
        found["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"] |= {
            "EarliestRestorableDateTime": self._now - timedelta(days=35),
            "LatestRestorableDateTime": self._now - timedelta(minutes=5),
        }
        return found
