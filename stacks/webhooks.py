"""What tells merchants of events: the sender behind the queue, and the schedule of due retries."""

from __future__ import annotations

from typing import Final, Unpack

from constructs import Construct

from runtime.settings import DeliverSettings
from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.constructs.queues import CONSUMER_ACTIONS, feed_from_queue
from stacks.constructs.service_function import FunctionSpec, ServiceFunction
from stacks.data import DELIVER_TIMEOUT_SECONDS
from stacks.environment import settings_for
from stacks.iam.statements import data_key_statement, queue_statements
from stacks.scheduled_workers import WEBHOOKS

DELIVER_MEMORY_MB: Final = 512
"""It waits for others most of its time; ten endpoints at once want room for ten TLS sessions."""
DELIVER_BATCH: Final = 10
"""Messages of one invocation, which works on all of them at once."""


class WebhooksStack(FunctionsStack):
    """Deliver (queue → merchants' endpoints) and retries (what is due → queue).

    Two functions, so that slow endpoints never keep the schedule waiting, and so that what looks
    for due webhooks can read no secret and no payload.
    """

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        self._write_outputs({"deliver": self._sender(), **self._scheduled(WEBHOOKS)})

    def _sender(self) -> ServiceFunction:
        """Queue → deliver; what fails five times waits in the queue's dead letters."""
        deliver = self._function("Deliver", self._deliver())
        feed_from_queue(
            self,
            "OrderToDeliver",
            queue=self._data.deliveries.queue,
            target=deliver.live,
            batch_size=DELIVER_BATCH,
            max_concurrency=self._stage.concurrency.deliver,
        )
        self._alarms.count_unreadable_fields(self, "DeliverUnreadable", log_group=deliver.log_group)
        return deliver

    def _deliver(self) -> FunctionSpec:
        data = self._data
        return FunctionSpec(
            module="deliver",
            description="Sends webhooks to merchants' endpoints",
            settings=settings_for(
                DeliverSettings,
                stage=self._stage,
                tables=data.tables,
                service="deliver",
                pii_key_arn=data.pii_key.key_arn,
                delivery_queue_url=data.deliveries.queue.queue_url,
                retry_delays_seconds=",".join(map(str, self._stage.webhooks.retry_delays_seconds)),
                allow_local_webhooks=self._stage.allow_local_webhooks,
            ),
            statements=[
                data_key_statement(data.pii_key, "pii", "Decrypt"),
                *queue_statements(
                    "Deliveries",
                    data.deliveries.queue.queue_arn,
                    self._key.key_arn,
                    *CONSUMER_ACTIONS,
                    "SendMessage",
                ),
            ],
            no_dead_letter_queue="Fed by a queue, whose own redrive policy keeps what failed.",
            sends_to_itself=True,
            memory_mb=DELIVER_MEMORY_MB,
            timeout_seconds=DELIVER_TIMEOUT_SECONDS,
        )
