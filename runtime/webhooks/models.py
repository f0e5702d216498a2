"""Webhook deliveries: one row per event and endpoint, and one per endpoint that has failed."""

import hashlib
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import EpochSeconds, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Encrypted, Row, Ttl, UnlessDefault, partition, sort
from runtime.merchants.webhook_endpoints import first_endpoint_id

_URL_HASH_CHARACTERS = 32

_PAYLOAD_WORDS: Final = (
    rb"\"rows\":null,\"sha256\":null,\"kind\":\"payments\",\"format\":\"csv\",\"completed_at\":null"
    rb",\"locked_until\":null,\"detail\":{\"entity_id\":\"account_number\":null,\"account_type\":\""
    rb"wallet\",\"posting\":\"immediate\",\"balance\":0,\"held_out\":0,\"held_in\":0,\"available\":"
    rb"0,\"credit_limit\":0,\"formatted_balance\":\"0.00 USD\",\"as_of\":\"type\":\"settlement.comp"
    rb"leted\",\"date\":\"2026-\",\"payout_reference\":null,\"source\":\"rejection_reason\":null,\""
    rb"file_ids\":[],\"counts\":{},\"open_exceptions\":0,\"totals\":{},\"by_type\":{},\"payout\":nu"
    rb"ll,\"remainder\":null\"type\":\"transfer.processed\",\"legs\":[{\"from_account_id\":\"acc_\""
    rb",\"to_account_id\":\"acc_\",\"amount\":],\"status\":\"processed\",\"posted_amount\":null,\"e"
    rb"xpires_at\":null,\"processed_at\":null,\"balances_after\":{}\"type\":\"refund.succeeded\",\""
    rb"payment_id\":\"pay_\",\"type\":\"refund\",\"fee\":0,\"processor_id\":\"\",\"response_code\":"
    rb"\"approved\",\"response_text\":\"Approved\",\"reason\":null,\"settlement_id\":null,\"audit_t"
    rb"rail\":[{\"status\":\"failed\",\"at\":\"2026-\",\"by\":\"{\"id\":\"whk_01K\",\"type\":\"paym"
    rb"ent.succeeded\",\"created\":\"2026-03-14T00:00:00.000Z\",\"sequence\":2,\"data\":{\"id\":\"p"
    rb"ay_01K\",\"merchant_id\":\"mer_01K\",\"amount\":0,\"currency\":\"EUR\",\"currency\":\"USD\","
    rb"\"status\":\"succeeded\",\"capture_method\":\"automatic\",\"amount_capturable\":0,\"amount_c"
    rb"aptured\":0,\"amount_refunded\":0,\"payment_method\":\"tok_\",\"customer_id\":null,\"descrip"
    rb"tion\":null,\"statement_descriptor\":null,\"metadata\":{\"order_id\":\"\"},\"failure_code\":"
    rb"null,\"failure_reason\":null,\"dispute_status\":null,\"version\":2,\"created_at\":\"2026-03-"
    rb"14T00:00:00.000Z\",\"updated_at\":\"2026-03-14T00:00:00.000Z\"}}"
)
"""What payloads have in common, as stored (a JSON string): the payment of a sale, the most frequent
one, comes last. With it a payload takes 181 bytes instead of 407, and its row stays below 1 KB.
Never change it: stored payloads cannot be read without it."""


class WebhookStatus(StrEnum):
    """Pending deliveries have a `next_retry`; the other statuses are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"


class EventType(StrEnum):
    """Events that merchants can receive."""

    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_REQUIRES_ACTION = "payment.requires_action"
    PAYMENT_REQUIRES_CAPTURE = "payment.requires_capture"
    PAYMENT_CANCELED = "payment.canceled"
    PAYMENT_UNKNOWN = "payment.unknown"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    TRANSFER_PROCESSED = "transfer.processed"
    TRANSFER_FAILED = "transfer.failed"
    TRANSFER_CANCELED = "transfer.canceled"
    SETTLEMENT_COMPLETED = "settlement.completed"
    SETTLEMENT_EXCEPTIONS = "settlement.exceptions"
    EXPORT_COMPLETED = "export.completed"
    ACCOUNT_LOCKED = "account.locked"
    ALERT_LARGE_TRANSACTION = "alert.large_transaction"
    ALERT_SUSPICIOUS_VELOCITY = "alert.suspicious_velocity"
    ENDPOINT_TEST = "endpoint.test"
    """Sent on request, to one endpoint, whatever events it receives."""


SUBSCRIBABLE: Final = tuple(each for each in EventType if each is not EventType.ENDPOINT_TEST)
"""Events by which an endpoint can be filtered."""


class WebhookState(Record, frozen=True):
    """A delivery without its payload; reading it needs no encryption key.

    Every change increments `version`, and writers name the version they read, so that of two
    concurrent writers one fails. The indexes contain keys alone, so an attempt changes no entry
    unless it changes `next_retry`. `url` is the target of the last attempt, or of the first.
    `endpoint_id`: absent for a delivery of an earlier release, which goes to the first endpoint.
    `undelivered_bucket`: set from the first failure on, until it is delivered or sent again on
    request; recovering an endpoint reads this index. `attempts_before`: attempts before the last
    manual redelivery, from which the retry schedule counts. `by_hand`: redelivered manually, so it
    is sent even to an endpoint that is gone.
    """

    id: Annotated[str, partition(), sort("gsi-undelivered")]
    merchant_id: str
    endpoint_id: str | None = None
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    event_key: Annotated[str, sort("gsi-merchant")]
    retry_bucket: Annotated[str | None, partition("gsi-retry")] = None
    next_retry: Annotated[Timestamp | None, sort("gsi-retry")] = None
    undelivered_bucket: Annotated[str | None, partition("gsi-undelivered")] = None
    event_type: EventType
    sequence: int
    payment_id: str | None = None
    url: str
    status: WebhookStatus = WebhookStatus.PENDING
    attempts: int = 0
    attempts_before: Annotated[int, UnlessDefault()] = 0
    by_hand: bool | None = None
    last_attempt: Timestamp | None = None
    response_code: int | None = None
    failure_reason: str | None = None
    expires_at: Annotated[EpochSeconds, Ttl()]
    """While pending, the delivery deadline; once final, when the row expires."""

    @property
    def target(self) -> str:
        """The id of the endpoint that it goes to."""
        return self.endpoint_id or first_endpoint_id(self.merchant_id)


class Webhook(WebhookState, table="webhooks", frozen=True):
    """One event for one endpoint. `payload` is the exact request body."""

    payload: Annotated[
        str, Encrypted("pii", subject="merchant_id", words=_PAYLOAD_WORDS), Field(repr=False)
    ]


class EndpointHealth(Row, frozen=True):
    """Health of an endpoint; a row of the webhooks table, created by its first failure.

    `failures` counts consecutive failures, `opened` the rests since the last success. Until
    `open_until` nothing is sent. Then a single delivery probes the endpoint, and until it finishes
    or `probe_until` passes, nothing else is sent. `gone_at`: the endpoint answered 410, and only
    manual redeliveries are sent. `expires_at`: when the row is deleted; never while `gone_at` is
    set.
    """

    id: str
    merchant_id: str
    version: int = 1
    failures: int = 0
    opened: int = 0
    open_until: Timestamp | None = None
    probe_until: Timestamp | None = None
    gone_at: Timestamp | None = None
    updated_at: Timestamp
    expires_at: EpochSeconds | None = None

    table_schema = Webhook.table_schema


def health_id(merchant_id: str, endpoint_id: str, url: str) -> str:
    """Key of the health of an endpoint while it has this URL.

    It contains a hash, because the URL may be long or contain a secret. That of a merchant's first
    endpoint names the merchant, as in earlier releases.
    """
    digest = hashlib.sha256(url.encode()).hexdigest()[:_URL_HASH_CHARACTERS]
    is_first = endpoint_id == first_endpoint_id(merchant_id)
    return f"endpoint#{merchant_id if is_first else endpoint_id}#{digest}"


def event_key(event_type: str, webhook_id: str) -> str:
    """Sort key of a delivery in its merchant's list: by type, then by id."""
    return f"event#{event_type}#{webhook_id}"
