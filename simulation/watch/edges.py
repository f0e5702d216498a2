"""The state machines, as the design describes them and apart from the runtime's own tables.

`None` is a row that does not exist yet. A step that is missing here is a violation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from simulation.watch.commits import Commit, RowChange
from simulation.watch.values import number, text

Steps = Mapping[str | None, frozenset[str]]


def _steps(**by_status: str) -> Steps:
    """Allowed next statuses, in words, by status; `new` is the row's first."""
    return MappingProxyType(
        {
            None if status == "new" else status: frozenset(after.split())
            for status, after in by_status.items()
        }
    )


STEPS: Final[Mapping[str, Steps]] = MappingProxyType(
    {
        "payments": _steps(
            new="pending processing",
            pending="processing canceled",
            processing="succeeded requires_capture failed unknown requires_action",
            unknown="succeeded requires_capture failed requires_action",
            requires_action="succeeded requires_capture failed canceled",
            requires_capture="succeeded canceled",
        ),
        # A charge's transaction is written with its answer, and others before the processor is
        # asked. A refund that has succeeded may come back; a superseded settlement line gives its
        # transaction back to those that wait for one.
        "transactions": _steps(
            new="pending succeeded failed",
            pending="succeeded failed",
            succeeded="settled failed",
            settled="succeeded failed",
        ),
        "transfers": _steps(
            new="pending processed failed",
            pending="processed canceled expired",
        ),
        "accounts": _steps(
            new="active",
            active="inactive closed",
            inactive="active closed",
        ),
        # A final delivery becomes pending again only when redelivery is requested.
        "webhooks": _steps(
            new="pending",
            pending="delivered failed expired",
            delivered="pending",
            failed="pending",
            expired="pending",
        ),
        # Another file of the same payout, or a decision about an exception, opens a completed one.
        "settlements": _steps(
            new="processing rejected completed completed_with_exceptions",
            processing="completed completed_with_exceptions",
            completed="processing completed_with_exceptions",
            completed_with_exceptions="processing completed",
        ),
        "settlement_files": _steps(
            new="received processing rejected",
            received="processing rejected",
            processing="completed completed_with_exceptions rejected",
        ),
        "exports": _steps(
            new="queued",
            queued="running failed",
            running="completed failed",
        ),
        "processor_events": _steps(
            new="unapplied",
            unapplied="applied",
            applied="unapplied",
        ),
    }
)

SUPERSEDED: Final = "superseded"
"""The one status that a settlement line never leaves."""
_LINE_STATUSES: Final = frozenset(
    {
        *("matched", "amount_mismatch", "fee_mismatch", "currency_mismatch", "status_mismatch"),
        *("duplicate", "unexpected", "unclassified", "invalid", "missing", SUPERSEDED),
    }
)
KEPT: Final = frozenset(
    {"payments", "transactions", "transfers", "accounts", "settlements", "settlement_lines"}
)
"""Tables of financial rows: none is ever deleted, by TTL or otherwise."""


VERSIONED: Final = frozenset(
    {
        *("accounts", "transfers", "payments", "transactions", "customers", "merchants"),
        *("settlements", "settlement_files", "exports", "webhooks", "webhook_endpoints"),
    }
)
"""Tables whose every write steps `version` by one."""


class StateMachines:
    """Statuses change along their edges, versions go up one by one, and financial rows stay."""

    tables = tuple(sorted({*STEPS, *KEPT, *VERSIONED}))

    def look(self, commit: Commit) -> None:
        """Judge every status and version that the commit changes."""
        if commit.by_hand:
            return
        for table, changes in commit.changes.items():
            for change in changes:
                if change.new is None:
                    if table in KEPT and not is_number_guard(change.key):
                        commit.report("kept", f"{table} {change.key} was deleted")
                    continue
                fault = _fault_of_status(table, change) or _fault_of_version(table, change)
                if fault is not None:
                    commit.report("state machine", f"{table} {change.key} {fault}")


def is_number_guard(key: tuple[str, ...]) -> bool:
    """Whether a key of the accounts table only keeps an account number unique."""
    return key[0].startswith("number#")


def _fault_of_status(table: str, change: RowChange) -> str | None:
    if change.new is None or "status" not in change.new:
        return None
    was = text(change.old, "status") if change.old is not None else None
    now = text(change.new, "status")
    if table == "settlement_lines":
        if now not in _LINE_STATUSES:
            return f"has the status {now!r}"
        return f"was superseded, and is {now}" if was == SUPERSEDED != now else None
    if table not in STEPS or (table == "accounts" and change.key[1] != "00"):
        return None
    if now == was or now in STEPS[table].get(was, ()):
        return None
    return f"went from {was} to {now}"


def _fault_of_version(table: str, change: RowChange) -> str | None:
    if table not in VERSIONED or change.new is None or "version" not in change.new:
        return None
    before = number(change.old, "version") if change.old is not None else 0
    after = number(change.new, "version")
    if change.old is not None and change.old == change.new:
        return None
    return None if after == before + 1 else f"went from version {before} to {after}"
