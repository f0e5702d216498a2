"""What tells merchants of events: the sender behind the queue, and the schedule of due retries."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from runtime.settings import DeliverSettings, RetriesSettings
from stacks import permissions
from stacks.constructs.acknowledge import acknowledge
from stacks.constructs.alarms import unopenable_alarm
from stacks.constructs.queues import DeadLetterQueue
from stacks.constructs.schedule import Schedule
from stacks.constructs.service_function import FunctionSpec, ServiceFunction
from stacks.data import DELIVER_TIMEOUT_SECONDS, DataStack
from stacks.environment import settings_for
from stacks.stage import StageConfig
from stacks.statements import data_key_statement, queue_statements, table_statements

DELIVER_MEMORY_MB: Final = 512
"""It waits for others most of its time; ten endpoints at once want room for ten TLS sessions."""
DELIVER_BATCH: Final = 10
"""Messages of one invocation, which works on all of them at once."""
RETRIES_TIMEOUT_SECONDS: Final = 120


class WebhooksStack(Stack):
    """Deliver (queue → merchants' endpoints) and retries (what is due → queue).

    Two functions, so that slow endpoints never keep the schedule waiting, and so that what looks
    for due webhooks can read no secret and no payload.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: StageConfig,
        data: DataStack,
        asset: Path,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._stage, self._data, self._asset = stage, data, asset
        # By ARN: no construct here may write into the key's policy, which the data stack owns.
        self._key = kms.Key.from_key_arn(self, "TableKey", data.table_key.key_arn)
        self.deliver = self._sender()
        dead = DeadLetterQueue(self, "RetriesDeadLetters", key=self._key).queue
        rights = queue_statements("DeadLetters", dead.queue_arn, self._key.key_arn, "SendMessage")
        self.retries = self._function("Retries", self._retries(rights))
        self._schedule = Schedule(
            self,
            "RetriesSchedule",
            name="retries",
            minutes=stage.schedules.retries_minutes,
            target=self.retries.live,
            dead_letters=dead,
        )
        self._write_outputs()

    def _sender(self) -> ServiceFunction:
        """Queue → deliver; what fails five times waits in the queue's dead letters."""
        deliver = self._function("Deliver", self._deliver())
        source = lambda_.EventSourceMapping(
            self,
            "OrderToDeliver",
            target=deliver.live,
            event_source_arn=self._data.deliveries.queue.queue_arn,
            batch_size=DELIVER_BATCH,
            max_concurrency=self._stage.concurrency.deliver,
            report_batch_item_failures=True,
        )
        acknowledge(
            source,
            "Serverless-LambdaEventSourceMappingDestination",
            "Lambda has these for streams only; here the queue's redrive policy keeps what failed.",
        )
        unopenable_alarm(self, "DeliverUnopenable", log_group=deliver.log_group)
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
                *self._tables(permissions.DELIVER),
                data_key_statement(data.pii_key, "pii", "Decrypt"),
                *queue_statements(
                    "Deliveries",
                    data.deliveries.queue.queue_arn,
                    self._key.key_arn,
                    "ChangeMessageVisibility",
                    "DeleteMessage",
                    "GetQueueAttributes",
                    "ReceiveMessage",
                    "SendMessage",
                ),
            ],
            no_dead_letter_queue="Fed by a queue, whose own redrive policy keeps what failed.",
            memory_mb=DELIVER_MEMORY_MB,
            timeout_seconds=DELIVER_TIMEOUT_SECONDS,
        )

    def _retries(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        queue = self._data.deliveries.queue
        return FunctionSpec(
            module="retries",
            description="Queues webhooks whose time has come",
            settings=settings_for(
                RetriesSettings,
                stage=self._stage,
                tables=self._data.tables,
                service="retries",
                delivery_queue_url=queue.queue_url,
            ),
            statements=[
                *self._tables(permissions.RETRIES),
                *queue_statements("Deliveries", queue.queue_arn, self._key.key_arn, "SendMessage"),
                *dead_letter_rights,
            ],
            no_dead_letter_queue="Failed runs go to an on-failure destination, with their error.",
            timeout_seconds=RETRIES_TIMEOUT_SECONDS,
        )

    def _tables(self, uses: permissions.TableUses) -> list[iam.PolicyStatement]:
        return table_statements(self._data.tables, uses, table_key_arn=self._key.key_arn)

    def _function(self, construct_id: str, spec: FunctionSpec) -> ServiceFunction:
        return ServiceFunction(
            self, construct_id, spec=spec, stage=self._stage, asset=self._asset, log_key=self._key
        )

    def _write_outputs(self) -> None:
        functions = {
            "deliver": self.deliver.function.function_name,
            "retries": self.retries.function.function_name,
        }
        schedules = {"retries": {"function": functions["retries"], "event": self._schedule.event}}
        CfnOutput(self, "Functions", value=self.to_json_string(functions))
        CfnOutput(self, "Schedules", value=self.to_json_string(schedules))
