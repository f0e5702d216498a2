"""Who changes a row, from where and why: stamped on every write, read by the audit log."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """The stamp of one change. `cause` is the id of the request, payment or settlement behind it."""

    changed_by: str
    request_id: str
    cause: str
    ip_address: str = ""
    user_agent: str = ""

    def stamp(self) -> dict[str, str]:
        """The attributes that a Record takes from this change."""
        return asdict(self)
