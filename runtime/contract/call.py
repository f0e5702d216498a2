"""One request as the services see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runtime.contract.caller import Caller
from runtime.models.scope import Scope


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, when, for whom, and what makes the request the same when it comes again."""

    caller: Caller
    method: str
    path: str
    now: datetime
    fingerprint: str
    acting_for: str | None = None
    idempotency_key: str | None = None

    @property
    def scope(self) -> Scope:
        """What exists for this request; every read of a repository takes it."""
        return self.caller.scope(self.acting_for)
