"""Change streams to webhooks: one delivery per event of a merchant with an endpoint.

A row is written before its message is sent, and is due two minutes later, so a message that is lost
or cannot be sent is made up for by the scheduled queue of due deliveries (due_deliveries.py). A
redelivered record finds its row, and queues it again if it has not been attempted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pydantic import ValidationError

from runtime.alerts.api import AlertAnswer
from runtime.alerts.models import Alert
from runtime.core.change_context import ChangeContext
from runtime.core.errors import DecryptionFailure, IntegrityError, KeyForgotten, NotFound
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.customers.models import CustomerState
from runtime.dynamodb.errors import InvalidRequest
from runtime.dynamodb.index_shards import bucket_for, retry_bucket
from runtime.dynamodb.schema import Row
from runtime.dynamodb.store import Store
from runtime.http.shapes import Answer
from runtime.ledger.accounts.accounts import account_answer
from runtime.ledger.accounts.models import Account
from runtime.ledger.transfers.models import Transfer
from runtime.ledger.transfers.transfer_builder import transfer_answer
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.api import PaymentAnswer, TransactionAnswer
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.api import SettlementAnswer
from runtime.reconciliation.settlements.models import Settlement
from runtime.reporting.exports.models import Export
from runtime.streams.records import Change, Failed, Parking, park_record, requests_of
from runtime.webhooks.api import ExportData, LockedCustomer, WebhookBody
from runtime.webhooks.delivery import ATTEMPT_LEASE
from runtime.webhooks.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.webhooks.events import Event, event_of
from runtime.webhooks.models import Webhook, WebhookStatus, event_key

PARALLEL_WRITES: Final = 8
"""Rows written in parallel: they are independent, and a Lambda has little CPU."""
MESSAGE_GRACE: Final = 2 * ATTEMPT_LEASE
"""Time for the first message to arrive before it is considered lost. An attempt that begins within
the first half needs no later time for its lease, so it leaves `gsi-retry` unchanged."""
PROJECTED_BY: Final = "system:project"


@dataclass(frozen=True)
class WebhookProjection:
    """Creates a delivery for each event of a merchant with an endpoint.

    `request_id`: the id of this run, for events that no request has caused. `deadline`: how long a
    new delivery is attempted. `parking`: receives changes for which a retry cannot succeed.
    `decryption_failed`: called if a data key cannot be decrypted.
    """

    store: Store
    merchants: MerchantProfiles
    queue: DeliveryQueue
    outside: Outside
    request_id: Callable[[], str]
    deadline: timedelta
    parking: Parking
    decryption_failed: Callable[[DecryptionFailure], None]

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Write and queue new deliveries. Returns the records to retry.

        A delivery that was written but not queued is not retried: it is due in two minutes anyway,
        and an outage of the queue must not block the other projections.
        """
        failed: set[str] = set()
        wanted = [
            (change.sequence_number, row)
            for change in changes
            if (row := self._readable(change, failed)) is not None
        ]
        if not wanted:
            return frozenset(failed)
        with self.outside.threads(PARALLEL_WRITES) as pool:
            stored = list(pool.map(lambda each: self._put(each[1]), wanted))
        failed |= {number for (number, _), row in zip(wanted, stored, strict=True) if row is None}
        self._order([row for row in stored if row is not None])
        return frozenset(failed)

    def _readable(self, change: Change, failed: set[str]) -> Webhook | None:
        """The delivery of a change, if any. A change that can never be read is parked."""
        try:
            return self._row_of(change)
        except ValidationError:
            reason = "the event's merchant or subject cannot be read"
            if change.record is None or not park_record(self.parking, change.record, reason):
                failed.add(change.sequence_number)
        except InvalidRequest:
            raise
        except Exception:  # noqa: BLE001 - this change is retried, the others are processed
            logger.exception(
                "an event could not be created",
                record=change.sequence_number,
                request_ids=requests_of([change]),
            )
            failed.add(change.sequence_number)
        return None

    def _row_of(self, change: Change) -> Webhook | None:
        event = event_of(change.old, change.new)
        if event is None:
            return None
        try:
            merchant = self.merchants.require(event.merchant_id)
        except NotFound:
            logger.warning(
                "the event's merchant does not exist",
                merchant=event.merchant_id,
                of=event.type,
                request_id=event.request_id,
            )
            return None
        if merchant.webhook_url is None:
            return None
        return self._new_row(event, merchant, merchant.webhook_url)

    def _new_row(self, event: Event, merchant: MerchantProfile, url: str) -> Webhook:
        webhook_id, now = event.delivery_id, self.outside.now()
        body = WebhookBody(
            id=webhook_id,
            type=event.type,
            created=event.at,
            sequence=event.sequence,
            data=shown(event.subject),
        )
        context = ChangeContext(
            changed_by=PROJECTED_BY,
            request_id=event.request_id or self.request_id(),
            cause=event.subject_id,
        )
        return Webhook(
            id=webhook_id,
            merchant_id=merchant.id,
            merchant_bucket=bucket_for(merchant.id, webhook_id, merchant.index_buckets),
            event_key=event_key(event.type, webhook_id),
            retry_bucket=retry_bucket(webhook_id),
            next_retry=to_timestamp(now + MESSAGE_GRACE),
            event_type=event.type,
            sequence=event.sequence,
            payment_id=event.payment_id,
            url=url,
            payload=body.model_dump_json(),
            expires_at=to_epoch_seconds(now + self.deadline),
            created_at=event.at,
            updated_at=to_timestamp(now),
            **context.stamp(),
        )

    def _put(self, row: Webhook) -> Webhook | None:
        """The row as stored; None if the write failed."""
        try:
            return self.store.put_new(row) or row
        except (IntegrityError, KeyForgotten) as error:
            logger.exception(
                error.code, webhook=row.id, request_id=row.request_id, detail=error.detail
            )
            self.decryption_failed(error)
            return None
        except InvalidRequest:
            raise
        except Exception:  # noqa: BLE001 - this change is retried, the others are processed
            logger.exception(
                "a webhook could not be written", webhook=row.id, request_id=row.request_id
            )
            return None

    def _order(self, rows: Sequence[Webhook]) -> None:
        """Queue deliveries that have not been attempted."""
        unsent = self.queue.send_all(
            [
                DeliveryOrder.of(row)
                for row in rows
                if row.status is WebhookStatus.PENDING and row.attempts == 0
            ]
        )
        if unsent:
            logger.warning("webhooks are queued again when due", webhooks=len(unsent))


def shown(row: Row) -> Answer:
    """A row as in the API, without encrypted fields."""
    match row:
        case Account():
            return account_answer(row)
        case Transfer():
            return transfer_answer(row)
        case Payment():
            return PaymentAnswer.of(row)
        case Transaction():
            return TransactionAnswer.of(row)
        case Settlement():
            return SettlementAnswer.of(row)
        case Export():
            return ExportData.of(row)
        case CustomerState():
            return LockedCustomer.of(row)
        case Alert():
            return AlertAnswer.of(row)
    raise AssertionError(f"{type(row).__name__} is not the subject of any event")
