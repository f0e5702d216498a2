"""The context of one request for the services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from runtime.core.ids import RANDOM_BYTES, id_at
from runtime.core.scope import Scope
from runtime.http.caller import Caller
from runtime.http.responses import STORED_TYPES


@dataclass(frozen=True, slots=True)
class Call:
    """Caller, time, merchant, and what identifies a repetition of the request.

    `entropy` gives unpredictable bytes, as in `Outside`.
    """

    caller: Caller
    method: str
    path: str
    now: datetime
    fingerprint: str
    """Identifies a repetition of the same request; empty without an idempotency key."""
    acting_for: str | None = None
    idempotency_key: str | None = None
    api_url: str = ""
    """The address, without a path, at which the request reached this API."""
    error_types: str = STORED_TYPES
    """What `type` begins with in problems that are parts of an answer."""
    entropy: Callable[[int], bytes] = field(kw_only=True, repr=False, compare=False)

    @property
    def scope(self) -> Scope:
        """What is visible to this request; every read of a repository takes it."""
        return self.caller.scope(self.acting_for)

    def new_id(self, prefix: str, moment: datetime | None = None) -> str:
        """A fresh id for something created by the request, at its own time unless one is given."""
        return id_at(prefix, moment or self.now, self.entropy(RANDOM_BYTES))
