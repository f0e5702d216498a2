"""The webhooks that merchants must receive, derived from what was committed alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from simulation.watch.commits import Commit, RowChange
from simulation.watch.values import Item, members, number, text

_OUTCOMES: Final[Mapping[str, Mapping[str, str]]] = {
    "payments": {
        status: f"payment.{status}"
        for status in (
            *("succeeded", "failed", "requires_action", "requires_capture"),
            *("canceled", "unknown"),
        )
    },
    "transactions": {"succeeded": "refund.succeeded", "failed": "refund.failed"},
    "transfers": {
        "processed": "transfer.processed",
        "failed": "transfer.failed",
        "canceled": "transfer.canceled",
        "expired": "transfer.canceled",
    },
    "settlements": {
        "completed": "settlement.completed",
        "completed_with_exceptions": "settlement.exceptions",
        "rejected": "settlement.exceptions",
    },
    "exports": {"completed": "export.completed"},
}
_ALERTS: Final = ("large_transaction", "suspicious_velocity")
_PLATFORM: Final = "platform"


class News(NamedTuple):
    """One event: `sequence` is the version of the row `about` after the change.

    `dispute`: the dispute of a payment that the event is about, if any.
    """

    type: str
    merchant_id: str
    about: str
    sequence: int
    at: str
    dispute: str | None = None


TEST: Final = "endpoint.test"
"""What a merchant asks for, and no row's change means."""


@dataclass
class Hook:
    """An endpoint beside its merchant's first one, as the merchant's row lists it.

    `since` counts the events that had happened when it was created: it must receive all later ones
    that it takes. One that was changed or deleted is not `steady`, and may lack some.
    """

    merchant_id: str
    listed: tuple[str, tuple[str, ...]]
    """Its URL and its events; none means all."""
    since: int
    steady: bool = True

    def takes(self, news: News) -> bool:
        """Whether the event is one of its merchant's that it receives."""
        events = self.listed[1]
        return news.merchant_id == self.merchant_id and (not events or news.type in events)


@dataclass
class Delivery:
    """A delivery as it stood last; a final one is deleted when it has been kept for long enough."""

    merchant_id: str
    endpoint_id: str
    type: str
    sequence: int
    at: str
    status: str = "pending"


@dataclass(eq=False)
class NewsRule:
    """Collects events and deliveries; `settled/webhooks.py` compares them."""

    tables: tuple[str, ...] = (
        *_OUTCOMES,
        *("accounts", "customers", "alerts", "merchants", "webhooks"),
    )
    news: list[News] = field(default_factory=list)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)
    """Every endpoint there has ever been beside the first ones, by its id."""
    silent: set[str] = field(default_factory=set)
    """Merchants that were without an endpoint at some time."""

    def look(self, commit: Commit) -> None:
        """Take down what the commit means to merchants."""
        for table, changes in commit.changes.items():
            for change in changes:
                if change.new is None or table not in self.tables:
                    continue
                if table == "webhooks":
                    self._deliver(change.key[0], change.new)
                elif table == "merchants":
                    if not text(change.new, "webhook_url"):
                        self.silent.add(change.key[0])
                    self._list(change.key[0], change.new)
                else:
                    self._tell(table, change, change.new)

    def _list(self, merchant_id: str, new: Item) -> None:
        listed = {}
        for each in new.get("webhook_endpoints", {}).get("L", ()):
            entry = each["M"]
            events = tuple(event["S"] for event in entry.get("events", {}).get("L", ()))
            listed[text(entry, "id")] = (text(entry, "url"), events)
        for hook_id, shape in listed.items():
            known = self.hooks.setdefault(hook_id, Hook(merchant_id, shape, len(self.news)))
            known.steady = known.steady and known.listed == shape
        for hook_id, hook in self.hooks.items():
            if hook.merchant_id == merchant_id and hook_id not in listed:
                hook.steady = False

    def _deliver(self, delivery_id: str, new: Item) -> None:
        if delivery_id.startswith("endpoint#"):
            return
        known = self.deliveries.get(delivery_id)
        if known is None:
            known = self.deliveries[delivery_id] = Delivery(
                text(new, "merchant_id"),
                text(new, "endpoint_id"),
                text(new, "event_type"),
                number(new, "sequence"),
                text(new, "created_at"),
            )
        known.status = text(new, "status")

    def _tell(self, table: str, change: RowChange, new: Item) -> None:
        merchant = text(new, "merchant_id")
        if merchant in ("", _PLATFORM):
            return
        at = text(new, "created_at" if table == "alerts" else "updated_at")
        version = number(new, "version") or 1
        kind = _kind(table, change.old, new)
        if kind is not None:
            self.news.append(News(kind, merchant, change.key[0], version, at))
        if table == "payments":
            for kind, dispute in _disputes(change.old, new):
                self.news.append(News(kind, merchant, change.key[0], version, at, dispute))


def _kind(table: str, old: Item | None, new: Item) -> str | None:
    """The event that a change is; what steps no version was made past the application."""
    if table == "alerts":
        kind = text(new, "type")
        return f"alert.{kind}" if old is None and kind in _ALERTS else None
    before = 0 if old is None else number(old, "version")
    if number(new, "version") != before + 1:
        return None
    if table in ("accounts", "customers"):
        was = "" if old is None else text(old, "locked_until")
        own = text(new, "shard") in ("", "00")
        return "account.locked" if own and text(new, "locked_until") > was else None
    if table == "transactions" and text(new, "type") != "refund":
        return None
    if table == "transfers" and (text(new, "payment_id") or text(new, "settlement_id")):
        return None
    turned = old is None or text(old, "status") != text(new, "status")
    return _OUTCOMES[table].get(text(new, "status")) if turned else None


def _disputes(old: Item | None, new: Item) -> Iterator[tuple[str, str]]:
    """The events of a payment's disputes; each dispute has been opened before it was decided."""
    if number(new, "version") != (0 if old is None else number(old, "version")) + 1:
        return
    before = {} if old is None else members(old, "disputes")
    for dispute_id, dispute in members(new, "disputes").items():
        was = text(before[dispute_id], "status") if dispute_id in before else ""
        now = text(dispute, "status")
        if not was and now != "opened":
            yield "dispute.opened", dispute_id
        if was != now:
            yield f"dispute.{now}", dispute_id
