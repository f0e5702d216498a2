"""Notifications and accounts of processors, checked on handwritten exchanges and rows."""

from __future__ import annotations

import json

import pytest

from simulation.platform.history import Exchange
from simulation.platform.http import HttpRequest, HttpResponse
from simulation.watch.events import FailedRefundRule, event_faults
from simulation.watch.settled.processors import account_faults
from tests.support.simulation.commits import HandMade
from tests.unit.simulation.settled.test_settled import rows

GENUINE = {"evt_1"}


def heard(result="applied", status=200, event="evt_1", kind="refund.failed"):
    """A notification that was sent at 1 s and answered at 2 s."""
    about = {"id": event, "type": kind, "data": {"object": {"metadata": {"reference": "txn_1"}}}}
    path = "/v1/processor-events/stripe"
    request = HttpRequest("stripe", "POST", path, raw=json.dumps(about).encode())
    answer = {"result": result} if status == 200 else {"code": "unavailable"}
    response = HttpResponse(status, answer, {}, json.dumps(answer))
    return Exchange(1, "req-1", request, 1.0, response, 2.0)


def faults(exchange, failed_at=None):
    rule = FailedRefundRule(failed_at={} if failed_at is None else {"txn_1": failed_at})
    return list(event_faults([exchange], GENUINE, rule))


@pytest.mark.parametrize("result", ["applied", "unchanged", "duplicate"])
def test_a_failed_refund_acknowledged_by_then_must_be_booked(result):
    assert faults(heard(result), failed_at=1.9) == []
    assert len(faults(heard(result), failed_at=60.0)) == 1
    assert len(faults(heard(result))) == 1


@pytest.mark.parametrize(
    "exchange",
    [
        heard(status=503),
        heard("kept"),
        heard("ignored"),
        heard("unchanged", event="evt_forged"),
        heard("unchanged", kind="refund.updated"),
    ],
    ids=["sent again", "kept", "not ours", "forged", "of another kind"],
)
def test_other_answers_do_not_affect_the_bookings(exchange):
    assert faults(exchange) == []


def test_the_first_commit_with_the_failure_is_recorded():
    engine = HandMade()
    refund = {"id": "txn_1", "type": "refund", "payment_id": "pay_1", "amount": 5}
    for version, status in enumerate(["pending", "failed", "failed"], start=1):
        engine.commit(transactions={**refund, "version": version, "status": status})
    assert list(engine.watch.rules.failed_refunds.failed_at) == ["txn_1"]


def test_a_payment_is_charged_at_the_account_that_it_refers_to():
    stored = rows(payments=[{"id": "pay_1", "processor_account": "acct_1"}])
    assert (
        list(account_faults(stored, [("acct_1", "pay_1"), ("acct_2", "of another system")])) == []
    )
    assert len(list(account_faults(stored, [("acct_2", "pay_1")]))) == 1
