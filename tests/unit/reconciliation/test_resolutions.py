"""The actions for an exception, by its status."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runtime.http.endpoint import Permission
from runtime.payments.unsettled_ids import unsettled_settlement_id
from runtime.reconciliation.exceptions.api import (
    MAX_BULK,
    BulkResolveRequest,
    ExceptionQuery,
    ResolveRequest,
)
from runtime.reconciliation.exceptions.rules import actions_for
from runtime.reconciliation.settlements.models import (
    NO_EXCEPTION,
    LineStatus,
    LineType,
    Resolution,
    ResolutionAction,
    SettlementLine,
)
from runtime.reconciliation.unsettled.rules import days_between

AT = "2026-03-14T00:00:00.000Z"
ALL = ("accept", "write_off", "link", "ignore")
NOT_LINKED = ("accept", "write_off", "ignore")


def line(status: LineStatus, **changes: Any) -> SettlementLine:
    values: dict[str, Any] = {
        "settlement_bucket": "set_1#000",
        "line": 2,
        "settlement_id": "set_1",
        "status": status,
        "type": LineType.CAPTURE,
        "amount": 100,
        "fee": 3,
        "net": 97,
        "currency": "USD",
        "created_at": AT,
        "updated_at": AT,
        "changed_by": "test",
        "request_id": "test",
        "cause": "test",
        **changes,
    }
    return SettlementLine(**values)


UNREADABLE: dict[str, Any] = dict.fromkeys(("type", "amount", "fee", "net", "currency"))
TABLE: list[tuple[LineStatus, dict[str, Any], tuple[str, ...]]] = [
    (LineStatus.AMOUNT_MISMATCH, {}, ALL),
    (LineStatus.AMOUNT_MISMATCH, {"type": LineType.PAYOUT}, NOT_LINKED),
    (LineStatus.FEE_MISMATCH, {}, ALL),
    (LineStatus.CURRENCY_MISMATCH, {}, ALL),
    (LineStatus.STATUS_MISMATCH, {"type": LineType.REFUND}, ALL),
    (LineStatus.DUPLICATE, {}, ALL),
    (LineStatus.DUPLICATE, {"type": LineType.FEE}, NOT_LINKED),
    (LineStatus.DUPLICATE, {"type": LineType.ADJUSTMENT}, NOT_LINKED),
    (LineStatus.UNEXPECTED, {}, ALL),
    (LineStatus.UNEXPECTED, {"type": LineType.DISPUTE}, ALL),
    (LineStatus.UNCLASSIFIED, {"type": None}, ALL),
    (LineStatus.MISSING, {}, NOT_LINKED),
    (LineStatus.INVALID, {}, ALL),
    (LineStatus.INVALID, UNREADABLE, ("ignore",)),
    (LineStatus.DUPLICATE, UNREADABLE, ("ignore",)),
    *((status, {}, ()) for status in sorted(NO_EXCEPTION)),
]


@pytest.mark.parametrize(("status", "changes", "actions"), TABLE)
def test_the_actions_depend_on_the_status_and_on_what_could_be_read(
    status: LineStatus, changes: dict[str, Any], actions: tuple[str, ...]
) -> None:
    assert actions_for(line(status, **changes)) == actions
    done = Resolution(action=ResolutionAction.IGNORE, note="n", by="user", at=AT)
    assert actions_for(line(status, resolution=done, **changes)) == ()


def test_the_table_has_every_status() -> None:
    assert {status for status, _, _ in TABLE} == set(LineStatus)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"action": "accept"}, "note"),
        ({"action": "accept", "note": "  "}, "note"),
        ({"action": "accept", "note": "x" * 501}, "note"),
        ({"action": "explode", "note": "n"}, "action"),
        ({"action": "link", "note": "n"}, "is required for the action link"),
        ({"action": "accept", "note": "n", "transaction_id": "txn_1"}, "action link"),
        ({"action": "accept", "note": "n", "amount": 1}, "amount"),
    ],
)
def test_a_resolution_needs_an_action_and_a_note(body: dict[str, Any], names: str) -> None:
    with pytest.raises(ValidationError, match=names):
        ResolveRequest.model_validate(body)


def test_a_resolution_with_a_missing_or_extra_link_names_the_field() -> None:
    one = {"settlement_id": "set_1", "line": 2, "action": "link", "note": "n"}
    for body in ({"lines": [one]}, {"lines": [{**one, "action": "undo", "transaction_id": "t"}]}):
        with pytest.raises(ValidationError) as refused:
            BulkResolveRequest.model_validate(body)
        assert refused.value.errors()[0]["loc"] == ("lines", 0, "transaction_id")


def test_one_request_resolves_up_to_a_hundred_lines() -> None:
    one = {"settlement_id": "set_1", "line": 2, "action": "ignore", "note": "n"}
    assert BulkResolveRequest.model_validate({"lines": [one] * MAX_BULK})
    for lines in ([], [one] * (MAX_BULK + 1)):
        with pytest.raises(ValidationError):
            BulkResolveRequest.model_validate({"lines": lines})


@pytest.mark.parametrize("action", ["accept", "write_off", "link", "undo"])
def test_every_action_that_moves_money_needs_the_permission_transfers(action: str) -> None:
    needed = {Permission.TRANSFERS.value: action}
    assert ResolveRequest.also_needs({"action": action}) == needed
    lines = [{"action": "ignore"}, "nonsense", {"action": action}]
    assert BulkResolveRequest.also_needs({"lines": lines}) == needed
    assert ResolveRequest.also_needs({"action": "ignore"}) == {}
    for nonsense in ({}, {"lines": None}, {"lines": {"action": action}}, {"lines": [action]}):
        assert BulkResolveRequest.also_needs(nonsense) == {}


@pytest.mark.parametrize("status", ["matched", "superseded"])
def test_lines_that_need_no_decision_are_not_listed_as_exceptions(status: str) -> None:
    with pytest.raises(ValidationError, match="need no decision; list them with"):
        ExceptionQuery(status=LineStatus(status))
    assert ExceptionQuery(status=LineStatus.EXPECTED)


def test_days_are_iterated_from_the_oldest_and_none_if_the_first_is_later() -> None:
    assert list(days_between("2026-02-27", "2026-03-01")) == [
        "2026-02-27",
        "2026-02-28",
        "2026-03-01",
    ]
    assert list(days_between("2026-03-02", "2026-03-01")) == []


def test_a_merchants_unsettled_day_has_one_settlement() -> None:
    first = unsettled_settlement_id("mer_1", "2026-03-14")
    assert first == unsettled_settlement_id("mer_1", "2026-03-14")
    others = [("mer_2", "2026-03-14"), ("mer_1", "2026-03-15")]
    assert first not in {unsettled_settlement_id(*each) for each in others}
    assert first.startswith("set_")


@pytest.mark.parametrize("shape", [ResolveRequest, BulkResolveRequest])
def test_a_write_off_is_for_operators_in_every_request(
    shape: type[ResolveRequest | BulkResolveRequest],
) -> None:
    def body(action: object) -> dict[str, Any]:
        if shape is ResolveRequest:
            return {"action": action}
        return {"lines": [{"action": "accept"}, {"action": action}, "odd"]}

    assert shape.reserved_for_operators(body("write_off")) == "action"
    assert shape.reserved_for_operators(body("accept")) is None
    assert shape.reserved_for_operators({**body("ignore"), "merchant_id": "mer_1"}) == "merchant_id"
    assert shape.reserved_for_operators({"lines": "odd", "action": ["write_off"]}) is None
