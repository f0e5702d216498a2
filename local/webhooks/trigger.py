"""`make trigger EVENT=…`: have an event really happen in the local stage."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from local.api_client import ApiClient
from local.auth import MERCHANT_PERMISSIONS
from local.demo.payout_file import SHORT_BY, payout_file
from local.deploy import up
from local.emulator.ports import parse_port
from local.errors import LocalError
from local.progress import Progress
from local.webhooks.fixtures import OPENING, Fixtures
from local.webhooks.registration import listener
from local.webhooks.sandbox_notifications import dispute
from local.workspace import Workspace
from operations.upload_settlement import Target, upload
from runtime.webhooks.models import EventType

LARGE: Final = 1_000_000
"""Minor units from which a payment raises an alert."""
FREQUENT: Final = 5
"""Payments of a customer within a minute that raise an alert."""
FAILURES: Final = 3
"""Declined payments that lock a customer."""
_OK, _CREATED, _ACCEPTED, _DECLINED = 200, 201, 202, 402
_REFUSED: Final = 422

Maker = Callable[[Fixtures], str]
"""Makes the event, and returns the id of the object that it is about."""


def trigger(
    workspace: Workspace, progress: Progress, *, event: str, merchant: str, data: str
) -> None:
    """Make `event` happen for the merchant, and print its type and the id of its object.

    `data`: a JSON object that is merged into the request that makes the event, or nothing.

    Raises:
        LocalError: the event cannot be made, `data` is not an object, or the API refused it.
    """
    maker, members = maker_of(event), members_of(data)
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    merchant_id = listener(stack, workspace, merchant, "").merchant_id
    client = ApiClient.of_merchant(stack, workspace, merchant_id, *MERCHANT_PERMISSIONS)
    operator = ApiClient.of_operator(stack, workspace)
    subject = maker(Fixtures(client, operator, merchant_id, progress, members))
    print(f"{event}  {subject}")
    if not client.get("/v1/webhook-endpoints").require(HTTPStatus.OK)["data"]:
        progress.say("The merchant has no endpoint: make listen, in another terminal, is one.")


def maker_of(event: str) -> Maker:
    """What makes an event. Raises LocalError, with the list, for any other name."""
    try:
        return MAKERS[EventType(event)]
    except (ValueError, KeyError):
        known = "\n    ".join(sorted(MAKERS))
        problem = f"EVENT={event!r} cannot be made." if event else "No event is named."
        raise LocalError(problem, hint=f"EVENT=… is one of\n    {known}") from None


def members_of(data: str) -> Mapping[str, Any]:
    """The caller's own members of the request. Raises LocalError unless it is a JSON object."""
    try:
        members = json.loads(data) if data else {}
    except ValueError as problem:
        members = problem
    if not isinstance(members, dict):
        raise LocalError(
            f"DATA={data!r} is not a JSON object.", hint="""Example: DATA='{"amount": 1999}'"""
        )
    return members


def _succeeded(fixtures: Fixtures) -> str:
    return _id(fixtures.payment())


def _failed(fixtures: Fixtures) -> str:
    declined = fixtures.payment(_DECLINED, payment_method="tok_declined")
    return str(declined["payment_id"])


def _authorized(fixtures: Fixtures) -> str:
    return _id(fixtures.payment(capture_method="manual"))


def _canceled(fixtures: Fixtures) -> str:
    payment = _authorized(fixtures)
    return _id(fixtures.send(f"/v1/payments/{payment}/cancel", {}, _OK))


def _unknown(fixtures: Fixtures) -> str:
    return _id(fixtures.payment(_ACCEPTED, payment_method="tok_timeout"))


def _waiting(fixtures: Fixtures) -> str:
    return _id(fixtures.payment(_ACCEPTED, payment_method="tok_requires_action"))


def _refunded(fixtures: Fixtures) -> str:
    return _refund(fixtures, "tok_approved", _OK)


def _refund_failed(fixtures: Fixtures) -> str:
    return _refund(fixtures, "tok_refund_fails", _DECLINED)


def _refund(fixtures: Fixtures, method: str, status: int) -> str:
    amount = fixtures.amount()
    paid = _id(fixtures.payment(with_data=False, amount=amount, payment_method=method))
    fixtures.send(f"/v1/payments/{paid}/refund", fixtures.data, status)
    return paid


def _dispute_won(fixtures: Fixtures) -> str:
    return dispute(fixtures, "won")


def _dispute_lost(fixtures: Fixtures) -> str:
    return dispute(fixtures, "lost")


def _moved(fixtures: Fixtures) -> str:
    return _id(fixtures.transfer())


def _not_moved(fixtures: Fixtures) -> str:
    amount = max(OPENING, fixtures.amount()) + 1
    return str(fixtures.transfer(_REFUSED, amount=amount)["transfer_id"])


def _hold_canceled(fixtures: Fixtures) -> str:
    held = _id(fixtures.transfer(hold=True))
    return _id(fixtures.send(f"/v1/transfers/{held}/cancel", {}, _OK))


def _settled(fixtures: Fixtures) -> str:
    return _settle(fixtures, short_by=0)


def _settled_short(fixtures: Fixtures) -> str:
    return _settle(fixtures, short_by=SHORT_BY)


def _settle(fixtures: Fixtures, short_by: int) -> str:
    paid = _id(fixtures.payment(with_data=False, amount=fixtures.amount()))
    payment = fixtures.client.get(f"/v1/payments/{paid}").require(_OK)
    file = payout_file([payment], short_by=short_by)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / file.name
        path.write_bytes(file.content)
        uploaded = upload(path, Target(fixtures.client, None), fixtures.progress)
    return _id(uploaded.settlements[0])


def _exported(fixtures: Fixtures) -> str:
    wanted = {"kind": "payments", "format": "csv", **fixtures.data}
    return _id(fixtures.send("/v1/exports", wanted, _ACCEPTED))


def _locked(fixtures: Fixtures) -> str:
    customer = fixtures.customer()
    for _ in range(FAILURES):
        fixtures.payment(_DECLINED, customer_id=customer, payment_method="tok_declined")
    return customer


def _large(fixtures: Fixtures) -> str:
    return _id(fixtures.payment(amount=LARGE))


def _frequent(fixtures: Fixtures) -> str:
    customer = fixtures.customer()
    for _ in range(FREQUENT):
        fixtures.payment(customer_id=customer)
    return customer


def _tested(fixtures: Fixtures) -> str:
    listed = fixtures.client.get("/v1/webhook-endpoints").require(HTTPStatus.OK)["data"]
    if not listed:
        raise LocalError("The merchant has no webhook endpoint.", hint="Start make listen first.")
    endpoint = str(listed[0]["id"])
    fixtures.send(f"/v1/webhook-endpoints/{endpoint}/test", {}, _ACCEPTED)
    return endpoint


def _id(answer: Any) -> str:
    return str(answer["id"])


MAKERS: Final[Mapping[EventType, Maker]] = {
    EventType.PAYMENT_SUCCEEDED: _succeeded,
    EventType.PAYMENT_FAILED: _failed,
    EventType.PAYMENT_REQUIRES_CAPTURE: _authorized,
    EventType.PAYMENT_CANCELED: _canceled,
    EventType.PAYMENT_REQUIRES_ACTION: _waiting,
    EventType.PAYMENT_UNKNOWN: _unknown,
    EventType.DISPUTE_OPENED: dispute,
    EventType.DISPUTE_WON: _dispute_won,
    EventType.DISPUTE_LOST: _dispute_lost,
    EventType.REFUND_SUCCEEDED: _refunded,
    EventType.REFUND_FAILED: _refund_failed,
    EventType.TRANSFER_PROCESSED: _moved,
    EventType.TRANSFER_FAILED: _not_moved,
    EventType.TRANSFER_CANCELED: _hold_canceled,
    EventType.SETTLEMENT_COMPLETED: _settled,
    EventType.SETTLEMENT_EXCEPTIONS: _settled_short,
    EventType.EXPORT_COMPLETED: _exported,
    EventType.ACCOUNT_LOCKED: _locked,
    EventType.ALERT_LARGE_TRANSACTION: _large,
    EventType.ALERT_SUSPICIOUS_VELOCITY: _frequent,
    EventType.ENDPOINT_TEST: _tested,
}
"""What makes each event of which merchants receive webhooks."""
