"""All checks of a platform at rest, after its clients have ended and everything has settled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from datetime import timedelta
from typing import TYPE_CHECKING

from runtime.core.timestamps import to_timestamp
from simulation.outside import BEGINNING
from simulation.platform.logs import ANSWER_NOT_KEPT
from simulation.watch.answers import answer_faults
from simulation.watch.events import event_faults
from simulation.watch.histories import linearizable
from simulation.watch.settled.audit_lists import audit_list_faults
from simulation.watch.settled.books import account_amounts, ledger_faults
from simulation.watch.settled.currencies import currency_faults
from simulation.watch.settled.effects import effect_faults
from simulation.watch.settled.fees import fee_faults
from simulation.watch.settled.left_over import left_over_faults
from simulation.watch.settled.model import model_faults
from simulation.watch.settled.open_things import open_faults, unkept_keys
from simulation.watch.settled.processors import (
    MovementLike,
    account_faults,
    processor_faults,
)
from simulation.watch.settled.refund_lines import refund_line_faults
from simulation.watch.settled.requests import request_faults
from simulation.watch.settled.rows import Rows
from simulation.watch.settled.sandbox import sandbox_faults
from simulation.watch.settled.settlements import settlement_faults
from simulation.watch.settled.tenants import tenant_faults
from simulation.watch.settled.totals import total_faults
from simulation.watch.settled.verification import (
    audit_verification_faults,
    head_faults,
    ledger_verification_faults,
)
from simulation.watch.settled.webhooks import webhook_faults

if TYPE_CHECKING:
    from simulation.platform.world import Platform


def check_settled(platform: Platform) -> list[str]:
    """What is wrong with a platform at rest; empty if nothing is. Each begins with its rule."""
    return list(_named(platform))


def _named(platform: Platform) -> Iterator[str]:
    watch = platform.watch
    rows = Rows({name: platform.database.tables[t].items for name, t in platform.tables.items()})
    # What was only reworded is judged like everything else.
    edited = {edit.key[0] for edit in watch.edits if not edit.is_of_words}
    now = to_timestamp(BEGINNING + timedelta(seconds=platform.scheduler.now))
    unkept = unkept_keys(rows)
    checks: dict[str, Iterable[str]] = {
        "defect": (repr(error) for error in platform.log.defects),
        "answer": answer_faults(platform.history),
        "linearizability": linearizable(platform.history, edited, unkept),
        "ledger at rest": ledger_faults(rows, watch.rules.ledger, edited),
        "model": model_faults(platform.history, account_amounts(rows), now),
        "effects": effect_faults(platform.history, watch.rules.made, rows),
        "open": (*open_faults(rows, now, unkept), *_unkept_faults(platform, unkept)),
        "left over": left_over_faults(platform),
        "totals": total_faults(rows, edited),
        "sandbox": sandbox_faults(rows),
        "processors": processor_faults(rows, _movements(platform), edited),
        "accounts at processors": account_faults(rows, _charged(platform)),
        "events": event_faults(platform.history, _genuine(platform), watch.rules.failed_refunds),
        "settlement": settlement_faults(rows),
        "refund lines": refund_line_faults(rows, platform.acquirer.payouts),
        "tenants": tenant_faults(platform.history, rows),
        "currencies": currency_faults(rows),
        "fees": fee_faults(rows, edited),
        "webhooks": webhook_faults(watch.rules.news, platform.deliveries),
        "audit heads": head_faults(platform, rows),
        "audit lists": audit_list_faults(rows, edited),
        "requests": request_faults(platform.history, watch.rules.requests, rows, edited),
        "audit verification": audit_verification_faults(platform, rows),
        "ledger verification": ledger_verification_faults(platform),
        "log": platform.log.unexpected,
    }
    for rule, faults in checks.items():
        for fault in faults:
            yield f"{rule}: {fault}"


def _movements(platform: Platform) -> Iterator[MovementLike]:
    """What moved at both processors."""
    for movements in platform.sandbox.by_merchant.values():
        yield from movements
    for account in platform.stripe.accounts.values():
        yield from account.movements


def _charged(platform: Platform) -> Iterator[tuple[str, str]]:
    """The accounts at Stripe, and the payments that each knows."""
    for account in platform.stripe.accounts.values():
        for intent in account.intents.values():
            yield account.id, intent["metadata"].get("reference", "")


def _genuine(platform: Platform) -> Set[str]:
    """The ids of all events that Stripe has made."""
    accounts = platform.stripe.accounts.values()
    return {event["id"] for account in accounts for event in account.events}


def _unkept_faults(platform: Platform, unkept: Set[str]) -> Iterator[str]:
    """No more answers are missing than the platform has said that it could not store."""
    reported = platform.log.errors[ANSWER_NOT_KEPT]
    if len(unkept) > reported:
        yield f"of {sorted(unkept)} no answer is kept, and the log tells of {reported}"
