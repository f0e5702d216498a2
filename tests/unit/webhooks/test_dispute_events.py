"""Which changes of a payment's disputes are events, and what these contain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.merchants.webhook_endpoints import first_endpoint_id
from runtime.payments.models import Dispute, DisputeStatus, Payment, PaymentStatus
from runtime.webhooks.api import WebhookBody
from runtime.webhooks.events import Event, events_of, recorded_dispute_statuses
from runtime.webhooks.projection import data_of

AT = "2026-03-14T09:00:00.123Z"
FIRST = first_endpoint_id("mer_1")
OPENED, WON, LOST = DisputeStatus.OPENED, DisputeStatus.WON, DisputeStatus.LOST


def a_payment(
    version: int, statuses: Mapping[str, DisputeStatus] | None = None, **more: Any
) -> Payment:
    values: dict[str, Any] = {
        "id": "pay_1",
        "merchant_id": "mer_1",
        "status": PaymentStatus.SUCCEEDED,
        "amount": 1000,
        "currency": "USD",
        "amount_captured": 1000,
        "payment_method": "tok_approved",
        "processor": "sandbox",
        "version": version,
        "created_at": AT,
        "updated_at": AT,
        "changed_by": "test",
        "request_id": "req",
        "cause": "cause",
    }
    disputes = {
        name: Dispute(status=status, amount=600) for name, status in (statuses or {}).items()
    }
    return Payment(**{**values, "disputes": disputes or None, **more})


def step(
    before: Mapping[str, DisputeStatus], after: Mapping[str, DisputeStatus]
) -> tuple[Event, ...]:
    return events_of(a_payment(4, before), a_payment(5, after))


def named(events: tuple[Event, ...]) -> list[tuple[str, str | None]]:
    return [(event.type.value, event.dispute_id) for event in events]


@pytest.mark.parametrize(
    ("before", "after", "types"),
    [
        (None, OPENED, ["dispute.opened"]),
        (None, WON, ["dispute.opened", "dispute.won"]),
        (None, LOST, ["dispute.opened", "dispute.lost"]),
        (OPENED, OPENED, []),
        (OPENED, WON, ["dispute.won"]),
        (OPENED, LOST, ["dispute.lost"]),
        (WON, OPENED, ["dispute.opened"]),
        (WON, WON, []),
        (WON, LOST, ["dispute.lost"]),
        (LOST, OPENED, ["dispute.opened"]),
        (LOST, WON, ["dispute.won"]),
        (LOST, LOST, []),
    ],
)
def test_a_dispute_that_changes_its_status_is_an_event(
    before: DisputeStatus | None, after: DisputeStatus, types: list[str]
) -> None:
    events = step({} if before is None else {"dp_1": before}, {"dp_1": after})
    assert [event.type for event in events] == types
    for event in events:
        assert (event.sequence, event.merchant_id, event.at) == (5, "mer_1", AT)
        assert (event.dispute_id, event.payment_id) == ("dp_1", "pay_1")


def test_each_dispute_of_a_payment_has_events_of_its_own() -> None:
    before = {"dp_1": OPENED, "dp_2": OPENED, "dp_3": LOST}
    after = {"dp_1": WON, "dp_2": LOST, "dp_3": LOST, "dp_4": OPENED, "dp_5": OPENED}
    events = step(before, after)
    assert named(events) == [
        ("dispute.won", "dp_1"),
        ("dispute.lost", "dp_2"),
        ("dispute.opened", "dp_4"),
        ("dispute.opened", "dp_5"),
    ]
    assert len({event.delivery_id(FIRST) for event in events}) == 4


def test_a_dispute_and_a_status_that_change_at_once_are_two_events() -> None:
    partly = a_payment(4, status=PaymentStatus.REQUIRES_CAPTURE)
    events = events_of(partly, a_payment(5, {"dp_1": OPENED}))
    assert named(events) == [("payment.succeeded", None), ("dispute.opened", "dp_1")]


@pytest.mark.parametrize(
    "changed",
    [{"withdrawn": 600}, {"fee": 15}, {"withheld": 1}, {"learned_fee": 7}, {"settled_fee": 15}],
    ids=str,
)
def test_a_dispute_whose_amounts_alone_change_is_not_an_event(changed: dict[str, int]) -> None:
    known = Dispute(status=OPENED, amount=600)
    more = known.model_copy(update=changed)
    before = a_payment(4, disputes={"dp_1": known})
    assert events_of(before, a_payment(5, disputes={"dp_1": more})) == ()


@pytest.mark.parametrize("version", [4, 3, 6])
def test_an_out_of_band_change_of_a_dispute_is_not_an_event(version: int) -> None:
    assert events_of(a_payment(4), a_payment(version, {"dp_1": OPENED})) == ()


def test_the_data_is_the_payment_with_the_dispute() -> None:
    dispute = Dispute(
        status=OPENED,
        amount=600,
        fee=15,
        learned_fee=2,
        withheld=400,
        withdrawn=600,
        returned=100,
        since=AT,
        transfer_ids=("trf_1",),
    )
    disputes = {"dp_0": Dispute(status=LOST, amount=1), "dp_1": dispute}
    after = a_payment(5, disputes=disputes, dispute_status=OPENED, lease_owner="secret-lease")
    [event] = events_of(a_payment(4, {"dp_0": LOST}), after)
    body = WebhookBody(
        id="whk_1", type=event.type, created=event.at, sequence=5, data=data_of(event)
    )
    data = json.loads(body.model_dump_json())["data"]
    assert data["dispute"] == {
        "id": "dp_1",
        "status": "opened",
        "amount": 600,
        "amount_withdrawn": 600,
        "amount_returned": 100,
        "fee": 17,
        "currency": "USD",
        "opened_at": AT,
    }
    plain = json.loads(data_of(Event(event.type, "mer_1", after, "pay_1", 5, AT)).model_dump_json())
    assert data == {**plain, "dispute": data["dispute"]}
    assert (data["id"], data["dispute_status"]) == ("pay_1", "opened")
    assert "lease" not in body.model_dump_json()
    assert "trf_1" not in body.model_dump_json()


STATES = st.dictionaries(
    st.sampled_from(["dp_1", "dp_2", "dp_3"]), st.sampled_from([OPENED, WON, LOST])
)


@given(st.lists(STATES, min_size=1, max_size=8))
def test_any_history_of_disputes_has_one_event_for_each_status_of_each(
    history: list[dict[str, DisputeStatus]],
) -> None:
    """Disputes are never removed from a payment: each state adds to the one before it."""
    states: list[dict[str, DisputeStatus]] = [{}]
    for each in history:
        states.append({**states[-1], **each})
    rows = [a_payment(version, state) for version, state in enumerate(states, start=1)]
    events = [event for old, new in pairwise(rows) for event in events_of(old, new)]
    again = [event for old, new in pairwise(rows) for event in events_of(old, new)]
    ids = [event.delivery_id(FIRST) for event in events]
    assert ids == [event.delivery_id(FIRST) for event in again]
    assert len(set(ids)) == len(ids)
    for dispute_id in ("dp_1", "dp_2", "dp_3"):
        reported = [event.type.value for event in events if event.dispute_id == dispute_id]
        kept = [state[dispute_id] for state in states if dispute_id in state]
        steps = [after for before, after in pairwise([None, *kept]) if before is not after]
        if steps and steps[0] is not OPENED:
            steps.insert(0, OPENED)
        assert reported == [f"dispute.{status}" for status in steps]


def test_what_was_edited_by_hand_and_is_no_dispute_is_left_out() -> None:
    dispute = {"status": "opened", "amount": 1}
    edited = {"dp_1": dispute, "dp_2": "lost", "dp_3": {"amount": 1}, "dp_4": {"status": None}}
    assert recorded_dispute_statuses({"disputes": edited}) == {"dp_1": "opened"}
    for nothing in (None, "none", [dispute], {}):
        assert recorded_dispute_statuses({"disputes": nothing}) == {}
