"""The document's webhooks: one for each type of event, with the schema of its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runtime.alerts.api import AlertAnswer
from runtime.api.document.examples import event_example
from runtime.api.document.schemas import REF, reference
from runtime.http.shapes import Answer
from runtime.ledger.accounts.api import AccountAnswer
from runtime.ledger.transfers.api import TransferAnswer
from runtime.payments.api import PaymentAnswer, TransactionAnswer
from runtime.reconciliation.settlements.api import SettlementAnswer
from runtime.webhooks.api import DisputedPayment, ExportData, LockedCustomer, WebhookBody
from runtime.webhooks.endpoints.api import EndpointAnswer
from runtime.webhooks.models import EventType

DATA: Final[Mapping[EventType, tuple[type[Answer], ...]]] = {
    EventType.PAYMENT_SUCCEEDED: (PaymentAnswer,),
    EventType.PAYMENT_FAILED: (PaymentAnswer,),
    EventType.PAYMENT_REQUIRES_ACTION: (PaymentAnswer,),
    EventType.PAYMENT_REQUIRES_CAPTURE: (PaymentAnswer,),
    EventType.PAYMENT_CANCELED: (PaymentAnswer,),
    EventType.PAYMENT_UNKNOWN: (PaymentAnswer,),
    EventType.DISPUTE_OPENED: (DisputedPayment,),
    EventType.DISPUTE_WON: (DisputedPayment,),
    EventType.DISPUTE_LOST: (DisputedPayment,),
    EventType.REFUND_SUCCEEDED: (TransactionAnswer,),
    EventType.REFUND_FAILED: (TransactionAnswer,),
    EventType.TRANSFER_PROCESSED: (TransferAnswer,),
    EventType.TRANSFER_FAILED: (TransferAnswer,),
    EventType.TRANSFER_CANCELED: (TransferAnswer,),
    EventType.SETTLEMENT_COMPLETED: (SettlementAnswer,),
    EventType.SETTLEMENT_EXCEPTIONS: (SettlementAnswer,),
    EventType.EXPORT_COMPLETED: (ExportData,),
    EventType.ACCOUNT_LOCKED: (AccountAnswer, LockedCustomer),
    EventType.ALERT_LARGE_TRANSACTION: (AlertAnswer,),
    EventType.ALERT_SUSPICIOUS_VELOCITY: (AlertAnswer,),
    EventType.ENDPOINT_TEST: (EndpointAnswer,),
}
"""What `data` of an event is (runtime/webhooks/projection.py, `data_of`)."""
SUMMARIES: Final[Mapping[EventType, str]] = {
    EventType.PAYMENT_SUCCEEDED: "The money was taken, at once or by a capture.",
    EventType.PAYMENT_FAILED: "The processor declined the charge; nothing was taken.",
    EventType.PAYMENT_REQUIRES_ACTION: "The customer has to authenticate; another event follows.",
    EventType.PAYMENT_REQUIRES_CAPTURE: "The amount is authorized: capture or cancel it.",
    EventType.PAYMENT_CANCELED: "It was released, or its customer did not act: nothing is taken.",
    EventType.PAYMENT_UNKNOWN: "The processor's answer was lost; another event follows.",
    EventType.DISPUTE_OPENED: "The customer's bank took money back; `data.dispute` has how much.",
    EventType.DISPUTE_WON: "A dispute was decided for you: money comes back.",
    EventType.DISPUTE_LOST: "A dispute was decided for the customer, or you accepted it.",
    EventType.REFUND_SUCCEEDED: "The processor returned the money.",
    EventType.REFUND_FAILED: "The processor declined the refund; nothing was returned.",
    EventType.TRANSFER_PROCESSED: "A transfer was booked, or a hold was posted.",
    EventType.TRANSFER_FAILED: "A transfer was refused; `failure_code` says why.",
    EventType.TRANSFER_CANCELED: "A hold was canceled, or expired: see `status`.",
    EventType.SETTLEMENT_COMPLETED: "All lines of a settlement are matched or decided.",
    EventType.SETTLEMENT_EXCEPTIONS: "Lines of a settlement need a decision, or it was rejected.",
    EventType.EXPORT_COMPLETED: "The file can be fetched with GET /v1/exports/{id}.",
    EventType.ACCOUNT_LOCKED: "An account or a customer is locked, or for longer than before.",
    EventType.ALERT_LARGE_TRANSACTION: "A payment or transfer of an unusually large amount.",
    EventType.ALERT_SUSPICIOUS_VELOCITY: "Unusually many payments of one customer in a minute.",
    EventType.ENDPOINT_TEST: "A test that was asked for; sent to one endpoint only.",
}
_HEADERS: Final[Mapping[str, str]] = {
    "webhook-id": "The event's id; the same at every attempt.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and the signature in base64; several ones are separated by spaces.",
}
_DESCRIPTION: Final = (
    "Signed as in Standard Webhooks 1.0: verify it over the raw body before you parse it. Answer "
    "with any 2xx within 10 seconds. It may arrive more than once, and events may arrive in any "
    "order."
)


def webhooks() -> dict[str, Any]:
    """The `webhooks` of the document, by type of event."""
    return {str(each): {"post": _webhook(each)} for each in EventType}


def event_schemas(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of each event's body: that of `WebhookBody` with the type's own `data`."""
    body = schemas[WebhookBody.__name__]
    made = {}
    for each in EventType:
        kinds = [reference(model) for model in DATA[each]]
        properties = {
            **body["properties"],
            "type": {
                "type": "string",
                "const": str(each),
                "description": body["properties"]["type"]["description"],
            },
            "data": {
                "description": body["properties"]["data"]["description"],
                **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds}),
            },
        }
        name = schema_name(each)
        made[name] = {**body, "title": name, "description": SUMMARIES[each]}
        made[name]["properties"] = properties
    return made


def schema_name(event_type: EventType) -> str:
    """`payment.succeeded` has the schema `PaymentSucceededEvent`."""
    return "".join(part.capitalize() for part in str(event_type).replace(".", "_").split("_")) + (
        "Event"
    )


def _webhook(event_type: EventType) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": REF + schema_name(event_type)}}
    example = event_example(str(event_type))
    if example is not None:
        content["examples"] = {"recorded": {"summary": SUMMARIES[event_type], "value": example}}
    name = schema_name(event_type)
    return {
        "operationId": f"on{name}",
        "summary": SUMMARIES[event_type],
        "description": _DESCRIPTION,
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": True,
                "description": said,
                "schema": {"type": "string"},
            }
            for header, said in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "description": "The event.",
            "content": {"application/json": content},
        },
        "responses": {
            "2XX": {"description": "Delivered. The body is not read."},
            "default": {
                "description": "Sent again later; 429 and 503 may have a Retry-After. After a 410 "
                "nothing more is sent to the endpoint."
            },
        },
    }
