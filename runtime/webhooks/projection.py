"""Change streams to webhooks: one delivery per event and endpoint that takes it.

The endpoints of a batch's merchants are read strongly, once per merchant: an endpoint receives
every event that is committed after the request that created or changed it was answered.

A row is written before its message is sent, and is due two minutes later, so a message that is lost
or cannot be sent is made up for by the scheduled queue of due deliveries (due_deliveries.py). A
redelivered record finds its row, and queues it again if it has not been attempted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from pydantic import ValidationError

from runtime.alerts.api import AlertAnswer
from runtime.alerts.models import Alert
from runtime.core.change_context import ChangeContext
from runtime.core.errors import DecryptionFailure, IntegrityError, KeyForgotten
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.customers.models import CustomerState
from runtime.dynamodb.errors import InvalidRequest
from runtime.dynamodb.schema import Row
from runtime.dynamodb.store import Store
from runtime.http.shapes import Answer
from runtime.ledger.accounts.accounts import account_answer
from runtime.ledger.accounts.models import Account
from runtime.ledger.transfers.models import Transfer
from runtime.ledger.transfers.transfer_builder import transfer_answer
from runtime.merchants.webhook_endpoints import EndpointDirectory, EndpointEntry
from runtime.payments.api import PaymentAnswer, TransactionAnswer
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.api import SettlementAnswer
from runtime.reconciliation.settlements.models import Settlement
from runtime.reporting.exports.models import Export
from runtime.streams.records import Change, Failed, Parking, park_record, requests_of
from runtime.webhooks.api import DisputedPayment, ExportData, LockedCustomer
from runtime.webhooks.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.webhooks.events import Event, events_of
from runtime.webhooks.models import Webhook, WebhookStatus
from runtime.webhooks.new_deliveries import News, Target, new_delivery

PARALLEL_CALLS: Final = 8
"""Rows read or written in parallel: they are independent, and a Lambda has little CPU."""
PROJECTED_BY: Final = "system:project"


class EndpointDirectories(Protocol):
    """Reads the endpoints of merchants."""

    def endpoint_directory(self, merchant_id: str) -> EndpointDirectory | None:
        """The endpoints of a merchant, strongly consistent; None if it is unknown."""
        ...


@dataclass(frozen=True)
class WebhookProjection:
    """Creates a delivery of each event for each endpoint of its merchant that takes it.

    `request_id`: the id of this run, for events that no request has caused. `deadline`: how long a
    new delivery is attempted. `parking`: receives changes for which a retry cannot succeed.
    `decryption_failed`: called if a data key cannot be decrypted.
    """

    store: Store
    merchants: EndpointDirectories
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
        events = [
            (change, event) for change in changes for event in events_of(change.old, change.new)
        ]
        if not events:
            return frozenset()
        merchants = dict.fromkeys(event.merchant_id for _, event in events)
        with self.outside.threads(PARALLEL_CALLS) as pool:
            read = pool.map(self._directory, merchants)
            directories = dict(zip(merchants, read, strict=True))
            wanted = [
                (change.sequence_number, row)
                for change, event in events
                for row in self._rows(change, event, directories[event.merchant_id], failed)
            ]
            stored = list(pool.map(lambda each: self._put(each[1]), wanted))
        failed |= {number for (number, _), row in zip(wanted, stored, strict=True) if row is None}
        self._order([row for row in stored if row is not None])
        return frozenset(failed)

    def _directory(self, merchant_id: str) -> EndpointDirectory | Exception | None:
        """The merchant's endpoints; None: no such merchant. An error is of its events only."""
        try:
            return self.merchants.endpoint_directory(merchant_id)
        except InvalidRequest:
            raise
        except Exception as error:  # noqa: BLE001 - raised again for each event of the merchant
            return error

    def _rows(
        self,
        change: Change,
        event: Event,
        directory: EndpointDirectory | Exception | None,
        failed: set[str],
    ) -> list[Webhook]:
        """The deliveries of an event. A change that can never be read is parked."""
        try:
            if isinstance(directory, Exception):
                raise directory
            if directory is None:
                logger.warning(
                    "the event's merchant does not exist",
                    merchant=event.merchant_id,
                    of=event.type,
                    request_id=event.request_id,
                )
                return []
            return [
                self._new_row(event, directory, entry)
                for entry in directory.entries
                if entry.takes(event.type)
            ]
        except ValidationError:
            reason = "the event's merchant or subject cannot be read"
            if change.record is None or not park_record(self.parking, change.record, reason):
                failed.add(change.sequence_number)
        except Exception:  # noqa: BLE001 - this change is retried, the others are processed
            logger.exception(
                "an event could not be created",
                record=change.sequence_number,
                request_ids=requests_of([change]),
            )
            failed.add(change.sequence_number)
        return []

    def _new_row(self, event: Event, directory: EndpointDirectory, entry: EndpointEntry) -> Webhook:
        news = News(event.type, event.at, event.sequence, data_of(event), event.payment_id)
        context = ChangeContext(
            changed_by=PROJECTED_BY,
            request_id=event.request_id or self.request_id(),
            cause=event.subject_id,
        )
        return new_delivery(
            event.delivery_id(entry.id),
            news,
            Target(directory.id, entry.id, entry.url, directory.index_buckets),
            context,
            self.outside.now(),
            deadline=self.deadline,
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


def data_of(event: Event) -> Answer:
    """The `data` of an event: its subject, and of a dispute's event the dispute, too."""
    if event.dispute_id is None:
        return shown(event.subject)
    assert isinstance(event.subject, Payment), "only payments have disputes"
    return DisputedPayment.with_dispute(event.subject, event.dispute_id)


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
