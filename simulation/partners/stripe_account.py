"""One account of the simulated Stripe, and what can be read of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulation.partners.movements import Movement
from simulation.partners.stripe_answers import (
    EVENTS_PER_PAGE,
    Answer,
    Json,
    object_answer,
    page_of,
)


@dataclass
class StripeAccount:
    """One account, with everything that it has."""

    id: str
    api_key: str
    intents: dict[str, Json] = field(default_factory=dict)
    searchable_at: dict[str, float] = field(default_factory=dict)
    refunds: dict[str, Json] = field(default_factory=dict)
    disputes: dict[str, Json] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    keys: dict[str, tuple[Any, Answer]] = field(default_factory=dict)
    """Idempotency keys: what was asked with each, and what was answered."""


def read(account: StripeAccount, path: list[str], params: Mapping[str, str], now: float) -> Answer:
    """Status and body of one GET request at the virtual time `now`."""
    match path:
        case ["account"]:
            return 200, {"id": account.id, "object": "account"}
        case ["balance"]:
            return 200, {"object": "balance", "livemode": False}
        case ["payment_intents", "search"]:
            found = _found(account, params["query"], now)
            return 200, page_of(found, "/v1/payment_intents/search")
        case ["payment_intents", intent_id]:
            return object_answer(account.intents, intent_id)
        case ["refunds"]:
            of = params["payment_intent"]
            refunds = [r for r in account.refunds.values() if r["payment_intent"] == of]
            return 200, page_of(refunds[::-1], "/v1/refunds")
        case ["refunds", refund_id]:
            return object_answer(account.refunds, refund_id)
        case ["disputes", dispute_id]:
            return _dispute(account, dispute_id)
        case ["events"]:
            return 200, _events(account, params)
        case _:
            raise AssertionError(f"the simulated Stripe has no GET {path}")


def _found(account: StripeAccount, query: str, now: float) -> list[Json]:
    reference = query.split("'")[3]
    return [
        intent
        for intent_id, intent in account.intents.items()
        if intent["metadata"].get("reference") == reference
        and account.searchable_at[intent_id] <= now
    ]


def _dispute(account: StripeAccount, dispute_id: str) -> Answer:
    status, dispute = object_answer(account.disputes, dispute_id)
    if status != 200:
        return status, dispute
    return 200, {**dispute, "payment_intent": account.intents[dispute["payment_intent"]]}


def _events(account: StripeAccount, params: Mapping[str, str]) -> Json:
    types = {value for name, value in params.items() if name.startswith("types[")}
    since = int(params["created[gte]"])
    wanted = [e for e in account.events if e["created"] >= since and e["type"] in types][::-1]
    if "starting_after" in params:
        ids = [event["id"] for event in wanted]
        wanted = wanted[ids.index(params["starting_after"]) + 1 :]
    return page_of(wanted, "/v1/events", EVENTS_PER_PAGE)
