"""Who changed a row, from where and why: stamped on every write and read by the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypedDict

OUT_OF_BAND: Final = "out_of_band"
"""Log message: a row was changed or deleted outside the application. Triggers an alarm."""
DECRYPTION_FAILED: Final = ("integrity_error", "key_forgotten")
"""Log messages, same as the error codes: a field could not be decrypted. Triggers an alarm."""
ENTRY_CONFLICT: Final = "entry_conflict"
"""Log message: an entry contradicts the change of its account. Triggers an alarm."""

PARKED: Final = "record_parked"
"""Log message: a stream record was parked as a dead letter. Triggers an alarm."""
AUDIT_TAMPERED: Final = "audit_tampered"
"""Log message: a row of the audit log was changed, deleted or forged. Triggers an alarm."""
NOT_COMPACTED: Final = "totals_not_folded"
"""Log message: a merchant's closed days could not be compacted yet. Triggers an alarm."""
NOT_VOIDED: Final = "authorization_not_voided"
"""Log message: a processor refuses to void an expired authorization. Triggers an alarm."""
MISSING_UNFINISHED: Final = "missing_unfinished"
"""Log message: one run of the search for unsettled transactions did not reach all merchants.
Triggers an alarm."""
POLL_UNFINISHED: Final = "poll_unfinished"
"""Log message: one polling run did not reach all merchants. Triggers an alarm."""
UNKNOWN_TOO_OLD: Final = "unknown_too_old"
"""Log message: an outcome at the processor has been unknown for too long. Triggers an alarm."""


class Stamp(TypedDict):
    """The attributes of a Record that identify the change."""

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
        """The stamp as attributes of a Record."""
        return Stamp(
            changed_by=self.changed_by,
            request_id=self.request_id,
            cause=self.cause,
            ip_address=self.ip_address,
            user_agent=self.user_agent,
        )
