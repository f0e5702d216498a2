"""Who changes a row, from where and why: stamped on every write, read by the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypedDict

OUT_OF_BAND: Final = "out_of_band"
"""Log message: a row was changed or deleted past the ledger. An alarm listens for it."""
DECRYPTION_FAILED: Final = ("integrity_error", "key_forgotten")
"""Log messages, codes of errors: an enciphered field did not open. An alarm listens for it."""
ENTRY_CONFLICT: Final = "entry_conflict"
"""Log message: an entry is not what its account's change says. An alarm listens for it."""

PARKED: Final = "record_parked"
"""Log message: a record of a change stream was put aside for a person. An alarm listens for it."""
AUDIT_TAMPERED: Final = "audit_tampered"
"""Log message: a row of the audit log was changed, deleted or forged. An alarm listens for it."""
NOT_COMPACTED: Final = "totals_not_folded"
"""Log message: a merchant's closed days could not be folded, and wait. An alarm listens for it."""
NOT_VOIDED: Final = "authorization_not_voided"
"""Log message: a processor refuses to void an expired authorization. An alarm listens for it."""
MISSING_UNFINISHED: Final = "missing_unfinished"
"""Log message: one run of the sweep for what is in no settlement file did not reach all merchants.
An alarm listens for it."""
POLL_UNFINISHED: Final = "poll_unfinished"
"""Log message: one run of the poll did not reach all merchants. An alarm listens for it."""
UNKNOWN_TOO_OLD: Final = "unknown_too_old"
"""Log message: a processor has not said for too long what became of something. An alarm listens."""


class Stamp(TypedDict):
    """The attributes of a Record that say who changed it."""

    changed_by: str
    request_id: str
    cause: str
    ip_address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """The stamp of a change. `cause` is the id of the request, payment or settlement behind it."""

    changed_by: str
    request_id: str
    cause: str
    ip_address: str = ""
    user_agent: str = ""

    def stamp(self) -> Stamp:
        """The attributes that a Record takes from this change."""
        return Stamp(
            changed_by=self.changed_by,
            request_id=self.request_id,
            cause=self.cause,
            ip_address=self.ip_address,
            user_agent=self.user_agent,
        )
