"""Orders what is known of a request or payment by time. Pure.

Only what is listed here is shown: no name, address, user, token or free text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from runtime.audit.models import AuditRow
from runtime.core.money import format_amount
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.webhooks.models import WebhookState

TRACEABLE: Final = re.compile(r"(req|pay)_[A-Za-z0-9_=-]{1,64}")
"""Ids that have a story."""
SHOWN_FIELDS: Final = (
    *("operation", "status", "code", "payment", "entity", "kind", "result"),
    *("webhook", "outcome", "alert_type", "records", "failed"),
)
"""Fields of log lines that are shown, in this order."""
SHOWN_VALUES: Final = ("type", "status", "dispute_status", "failure_code", "version")
AMOUNTS: Final = ("amount", "amount_captured", "amount_refunded", "fee", "posted_amount", "balance")
"""Values of audit rows that are shown; amounts are in minor units of the row's currency."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a function wrote; `fields` is empty if the line is not JSON."""

    at: datetime
    function: str
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, at: datetime, function: str, message: str) -> LogLine:
        """Parse a line."""
        try:
            fields = json.loads(message)
        except ValueError:
            fields = {}
        return cls(at, function, fields if isinstance(fields, dict) else {})


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One line of a story. `rank` orders steps of one moment: cause before effect."""

    at: str
    rank: int
    where: str
    what: str
    request_id: str


_AUDIT, _POSTING, _LOG, _WEBHOOK, _ATTEMPT = range(5)


def story_of(
    rows: Iterable[AuditRow], webhooks: Iterable[WebhookState], lines: Iterable[LogLine]
) -> list[Step]:
    """All steps, in order of time."""
    steps: set[Step] = set()
    rows = list(rows)
    own = {row.request_id for row in rows}
    for row in rows:
        steps.update(_of_row(row))
    for webhook in webhooks:
        steps.update(_of_webhook(webhook))
    steps.update(_of_line(line, own) for line in lines if line.fields)
    return sorted(steps)


def _of_row(row: AuditRow) -> Iterable[Step]:
    currency = str(row.new_values.get("currency", ""))
    shown = [f"{n}={row.new_values[n]}" for n in SHOWN_VALUES if row.new_values.get(n) is not None]
    shown += [
        f"{name}={_amount(row.new_values[name], currency)}"
        for name in AMOUNTS
        if isinstance(row.new_values.get(name), int)
    ]
    what = " ".join((row.action, row.entity_id, *shown))
    yield Step(row.timestamp, _AUDIT, "audit", what, row.request_id)
    for leg in row.new_values.get("legs") or ():
        if isinstance(leg, dict):
            amount = _amount(leg.get("amount"), currency)
            posting = f"{leg.get('from_account_id')} → {leg.get('to_account_id')} {amount}"
            yield Step(row.timestamp, _POSTING, "posting", posting, row.request_id)


def _amount(value: object, currency: str) -> str:
    """The amount with its currency; in minor units where the row does not change its currency."""
    if isinstance(value, int) and currency:
        return format_amount(value, currency)
    return str(value)


def _of_webhook(row: WebhookState) -> Iterable[Step]:
    what = f"{row.event_type} {row.id}"
    yield Step(row.created_at, _WEBHOOK, "webhook", what, row.request_id)
    if row.last_attempt is not None:
        answered = "no answer" if row.response_code is None else f"HTTP {row.response_code}"
        said = f"attempt {row.attempts} of {row.id}: {answered}, {row.status}"
        yield Step(row.last_attempt, _ATTEMPT, "webhook", said, row.request_id)


def _of_line(line: LogLine, own: Set[str]) -> Step:
    """A line about a batch is shown with the story's own request, if it names one of them."""
    named = line.fields
    shown = [f"{name}={_plain(named[name])}" for name in SHOWN_FIELDS if named.get(name)]
    message = str(named.get("message", ""))
    if named.get("level") not in (None, "INFO"):
        message = f"{named['level']}: {message}"
    requests = [str(named.get("request_id") or ""), *map(str, named.get("request_ids") or ())]
    given = [each for each in requests if each]
    known = [each for each in given if each in own] or given
    request_id = known[0] if len(known) == 1 else f"{len(known)} requests" if known else ""
    what = " ".join((message, *shown))
    return Step(to_timestamp(line.at), _LOG, line.function, what, request_id)


def _plain(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else str(value)


def names_one_of(message: str, ids: Iterable[str]) -> bool:
    """Whether a log line names one of these ids."""
    return any(each in message for each in ids)


def began_at(rows: Sequence[AuditRow]) -> datetime | None:
    """When the story began, if any row says so."""
    return min((to_datetime(row.timestamp) for row in rows), default=None)


def moment_of_milliseconds(milliseconds: int) -> datetime:
    """The time of a log event."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
