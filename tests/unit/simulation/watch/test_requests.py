"""The rule on request ids, and its check at rest, on handwritten commits."""

from __future__ import annotations

from typing import Any

from runtime.audit.models import DICTIONARY
from runtime.dynamodb.packing import pack
from simulation.watch.requests import RequestRule
from simulation.watch.settled.requests import request_faults
from simulation.watch.settled.rows import Rows
from tests.support.simulation.commits import KEYS, HandMade
from tests.support.simulation.exchanges import exchange

ONE, TWO = "req_1", "req_2"


def payment(version: int, request_id: str, **more: Any) -> dict[str, Any]:
    return {"id": "pay_1", "version": version, "request_id": request_id, **more}


def webhook(
    request_id: str, cause: str = "pay_1", sequence: int = 1, **more: Any
) -> dict[str, Any]:
    named = {"event_type": "payment.succeeded", "request_id": request_id, "cause": cause, **more}
    pending = {"status": "pending", "next_retry": "2026-03-14T09:02:00.000Z", "retry_bucket": "r"}
    return {"id": "whk_1", "sequence": sequence, **pending, **named}


def found(*commits: dict[str, Any]) -> list[str]:
    engine = HandMade()
    for rows in commits:
        engine.commit(**rows)
    return [rule for rule in engine.found if rule == "request id"]


def test_a_webhook_names_the_request_of_its_event() -> None:
    made = {"payments": payment(1, ONE)}
    assert found(made, {"webhooks": webhook(ONE)}) == []
    assert found(made, {"webhooks": webhook(TWO)}) == ["request id"]
    assert found(made, {"webhooks": webhook(ONE, sequence=2)}) == ["request id"]
    alert = {"cause": "alr_1", "event_type": "alert.large_transaction"}
    assert found({"webhooks": webhook("run_1", **alert)}) == []
    assert found({"webhooks": webhook(ONE, **alert)}) == ["request id"]


def row(sequence: int, request_id: str, entity: str = "pay_1", **more: Any) -> dict[str, Any]:
    packed = {"B": pack({"request_id": request_id}, DICTIONARY)}
    plain = {"entity_id": entity, "sequence": f"{sequence:012d}", "user_bucket": "u#0", **more}
    return {"packed": packed, **{k: {"S": v} for k, v in plain.items() if v is not None}}


def faults(*audit: dict[str, Any]) -> list[str]:
    rule = RequestRule()
    rule.by_version = {
        ("pay_1", 1): ONE,
        ("pay_1", 2): ONE,
        ("txn_1", 1): ONE,
        ("pay_1", 3): TWO,
        ("pay_1", 4): "run_1",
    }
    items: dict[str, Any] = {table: {} for table in KEYS}
    items["audit_log"] = dict(enumerate(audit))
    return list(request_faults([], rule, Rows(items), frozenset()))


def test_rows_at_rest_name_their_request_and_are_in_its_list() -> None:
    sale = [row(1, ONE, listed_request=ONE), row(2, ONE)]
    with_sale = row(1, ONE, "txn_1", user_bucket=None)
    later = [row(3, TWO, listed_request=TWO), row(4, "run_1")]
    assert faults(*sale, with_sale, *later) == []
    assert faults(row(1, TWO, listed_request=TWO)) == [
        "the audit row 000000000001 of pay_1 names req_2, not req_1"
    ]
    assert faults(row(1, ONE)) == ["pay_1 is missing in the list of req_1"]
    assert faults(row(1, ONE, listed_request=ONE), row(3, TWO)) == [
        "pay_1 is missing in the list of req_2"
    ]
    assert faults(with_sale) == ["txn_1 is missing in the list of req_1"]
    assert faults(row(1, ONE, listed_request=TWO)) == [
        "pay_1 is in the list of req_2, but req_1 changed it"
    ]


def test_an_answer_has_the_id_of_its_request() -> None:
    heard = exchange(1, 2, "GET", "/v1/payments", status=200, headers={"X-Request-Id": TWO})
    assert list(request_faults([heard], RequestRule(), Rows({"audit_log": {}}), frozenset())) == [
        f"{heard.request_id} was answered with the id req_2"
    ]
