"""The changes that an incremental ledger verification reads, from the tables of a test."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, Final

from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.schema import Row
from runtime.ledger.accounts.models import Account
from runtime.ledger.transfers.models import Transfer
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.models import Settlement
from runtime.verification.changes.feed import ArchivedChange
from tests.support.platform import Platform

_AUDITED: Final[dict[str, type[Row]]] = {
    "account": Account,
    "payment": Payment,
    "settlement": Settlement,
    "transaction": Transaction,
    "transfer": Transfer,
}
_ALWAYS_CHANGED: Final = {"version", "updated_at", "cause", "request_id"}


class NoChanges:
    """The feed of tests whose runs are full."""

    def names(self, since: Timestamp) -> Iterator[str]:
        """Nothing: a full run does not ask."""
        raise AssertionError(f"a full run read the changes since {since}")

    def changes(self, name: str) -> list[ArchivedChange]:
        """Nothing: a full run does not ask."""
        raise AssertionError(f"a full run read {name}")


class ChangedTables:
    """Archives what differs from the last time, as the audit log and its archive do."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.read: list[str] = []
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._objects: dict[str, tuple[datetime, list[ArchivedChange]]] = {}
        self._kept_back: list[ArchivedChange] = []

    def archive(
        self, *, by_hand: Collection[str] = (), late: Collection[str] = (), times: int = 1
    ) -> None:
        """Archive the changes since the last call, `times` over.

        `by_hand`: ids whose changes were made outside the application. `late`: ids whose changes
        only reach the archive with the next call.
        """
        now = self.platform.clock()
        changes = [*self._kept_back, *self._changes(by_hand)]
        self._kept_back = [each for each in changes if each.entity_id in late]
        for _ in range(times):
            self._objects[f"{len(self._objects):06d}"] = (
                now,
                [each for each in changes if each.entity_id not in late],
            )

    def names(self, since: Timestamp) -> Iterator[str]:
        """Objects written since then."""
        for name, (written_at, _) in sorted(self._objects.items()):
            if written_at >= to_datetime(since):
                yield name

    def changes(self, name: str) -> list[ArchivedChange]:
        """The changes in one object."""
        self.read.append(name)
        return self._objects[name][1]

    def _changes(self, by_hand: Collection[str]) -> Iterator[ArchivedChange]:
        now = {
            (kind, row["id"]): row
            for kind, model in _AUDITED.items()
            for row in (each.model_dump(mode="json") for each in self.platform.rows(model))
        }
        at = to_timestamp(self.platform.clock())
        for key in sorted(now.keys() | self._rows.keys()):
            old, new = self._rows.get(key, {}), now.get(key, {})
            names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
            if not names:
                continue
            kind, entity = key
            irregular = entity in by_hand or not new or (bool(old) and not names & _ALWAYS_CHANGED)
            yield ArchivedChange(
                entity_id=entity,
                sequence="000000000001" + ("#1" if irregular else ""),
                entity_type=kind,
                timestamp=at if irregular else new["updated_at"],
                old_values={name: old[name] for name in names if name in old},
                new_values={name: new[name] for name in names if name in new},
            )
        self._rows = now
