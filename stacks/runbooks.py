"""Runbooks by alarm: the headings of docs/operations.md, and who is called."""

from __future__ import annotations

import re
from enum import Enum, StrEnum
from typing import Final

PAGE: Final = "docs/operations.md"


def _anchor(heading: str) -> str:
    """The heading's fragment, as GitHub makes it: without punctuation, spaces as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class Severity(StrEnum):
    """Who is called: `page` at once and at any hour, `ticket` within working hours."""

    PAGE = "page"
    TICKET = "ticket"


class Runbook(Enum):
    """A heading of the page; `severity` is that of its alarms unless they say otherwise."""

    API_ERRORS = "Alarm: the API answers with server errors", Severity.PAGE
    API_SLOW = "Alarm: the API is slow", Severity.TICKET
    AUDIT_TAMPERED = "Alarm: the audit log was tampered with", Severity.PAGE
    CANARY_FAILS = "Alarm: the canary fails", Severity.PAGE
    BACKUP_FAILED = "Alarm: a backup failed", Severity.TICKET
    DEAD_LETTER = "Alarm: a dead-letter queue holds a message", Severity.TICKET
    DEPLOYMENT_FAILS = "Alarm: a new version of a function fails", Severity.TICKET
    DECRYPTION_FAILURE = "Alarm: a field cannot be decrypted", Severity.PAGE
    EXPORT_FAILED = "Alarm: an export failed", Severity.TICKET
    FUNCTION_ERRORS = "Alarm: a function has errors", Severity.TICKET
    FUNCTION_THROTTLED = "Alarm: a function is throttled", Severity.PAGE
    LEDGER_VERIFICATION = "Alarm: ledger verification found violations", Severity.PAGE
    MISSING_UNFINISHED = (
        "Alarm: a run of the sweep for missing transactions does not reach all merchants",
        Severity.TICKET,
    )
    OUT_OF_BAND = "Alarm: a row was changed out of band", Severity.PAGE
    POLL_UNFINISHED = "Alarm: a run of the poll does not reach all merchants", Severity.TICKET
    PROCESSOR_SILENT = "Alarm: the processor has not answered for too long", Severity.PAGE
    QUEUE_WAITS = "Alarm: messages wait too long", Severity.TICKET
    SERIOUS_ALERT = "Alarm: a serious alert was raised", Severity.PAGE
    STREAM_RECORDS = "Alarm: stream records failed or were parked", Severity.PAGE
    STREAMS_LAG = "Alarm: the streams lag", Severity.PAGE
    TABLE_THROTTLED = "Alarm: DynamoDB throttles requests", Severity.TICKET
    TOKENS_REJECTED = "Alarm: many tokens are rejected", Severity.PAGE
    TOTALS_NOT_COMPACTED = "Alarm: totals of closed days were not compacted", Severity.TICKET
    TRAIL_SILENT = "Alarm: the trail of data events is silent", Severity.PAGE
    UNDELIVERED_EVENT = "Alarm: EventBridge cannot deliver an event", Severity.TICKET

    def __init__(self, heading: str, severity: Severity) -> None:
        self.heading = heading
        self.severity = severity

    @property
    def anchor(self) -> str:
        """The heading's fragment."""
        return _anchor(self.heading)

    def link(self, base: str) -> str:
        """The runbook's address; `base` is the page's."""
        return f"{base}#{self.anchor}"


class Guide(Enum):
    """A heading of the same page that no alarm leads to, but the dashboard does."""

    BACKLOGS = "Backlogs of schedules"
    DASHBOARD = "Dashboard"
    EXCEPTIONS = "A settlement has exceptions"
    MERCHANT_LIMITED = "A merchant gets 429 responses"
    NO_WEBHOOKS = "A merchant gets no webhooks"
    UNKNOWN_PAYMENT = "A payment stays `unknown` or `processing`"

    @property
    def heading(self) -> str:
        """The text of the heading."""
        return self.value

    def link(self, base: str) -> str:
        """The heading's address; `base` is the page's."""
        return f"{base}#{_anchor(self.heading)}"
