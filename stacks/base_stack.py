"""What the stacks of functions have in common: they work on the tables of one data stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from runtime.settings import Settings
from stacks.constructs.queues import DeadLetterQueue
from stacks.constructs.schedule import Schedule
from stacks.constructs.service_function import FunctionSpec, HandlerModule, ServiceFunction
from stacks.data import DataStack
from stacks.dead_letters import dead_letter_queue
from stacks.environment import settings_for
from stacks.iam.statements import (
    Purpose,
    data_key_statement,
    queue_statements,
    table_statements,
)
from stacks.own_metrics import OwnMetric, count_lines
from stacks.runbooks import Runbook
from stacks.stage import StageConfig
from stacks.stage_workload import Schedules


@dataclass(frozen=True, kw_only=True)
class LogAlarm:
    """An alarm that a log line triggers whose message is one of `messages`."""

    construct_id: str
    messages: tuple[str, ...]
    metric: OwnMetric
    description: str
    runbook: Runbook


@dataclass(frozen=True, kw_only=True)
class ScheduledWorker:
    """A function that runs on a schedule. A run that fails is kept in a dead-letter queue."""

    name: str
    """Name of the service, the schedule and the output; the constructs' ids begin with it."""
    module: HandlerModule
    description: str
    settings: type[Settings]
    values: Callable[[StageConfig, DataStack], Mapping[str, str | int]] = lambda _stage, _data: {}
    """Values of the settings, besides tables and ARNs of data keys."""
    data_keys: tuple[Purpose, ...] = ()
    """Purposes for which it encrypts and decrypts fields."""
    statements: Callable[[DataStack], list[iam.PolicyStatement]] = lambda _: []
    """Permissions besides tables, data keys and its dead-letter queue."""
    wildcard_resources: Callable[[DataStack], Mapping[str, str]] = lambda _: {}
    no_dead_letter_queue: str = "Failed runs go to an on-failure destination, with their error."
    minutes: Callable[[Schedules], int]
    """Minutes between two runs."""
    timed: bool = False
    """Whether its event has the schedule's time, which is the same each time it is delivered."""
    timeout_seconds: int
    memory_mb: int = 512
    alarms: tuple[LogAlarm, ...] = ()
    """Alarms besides those for errors, dead letters and fields that cannot be decrypted."""


class FunctionsStackProps(TypedDict):
    """What every stack of functions is made from; `asset` is the directory of the built code."""

    stage: StageConfig
    data: DataStack
    asset: Path


class FunctionsStack(Stack):
    """Functions of one stage, of one built asset, over one data stack."""

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        protected = props["stage"].data.is_protected
        super().__init__(scope, construct_id, termination_protection=protected)
        self._stage, self._data, self._asset = props["stage"], props["data"], props["asset"]
        self._alarms = self._data.alarms
        # By ARN: no construct here may write into the key's policy, which the data stack owns.
        self._key = kms.Key.from_key_arn(self, "TableKey", self._data.table_key.key_arn)
        self._schedules: dict[str, Schedule] = {}
        self.functions: dict[str, ServiceFunction] = {}
        """By the service's name."""
        self.dead_letters: dict[str, sqs.IQueue] = {}
        """Dead-letter queues of schedules, by the service's name."""

    def _function(
        self, construct_id: str, spec: FunctionSpec, asset: Path | None = None
    ) -> ServiceFunction:
        """A function with the permissions of its spec, and those for the tables of its settings.

        `asset`: the directory of its code, if it is not that of all functions.
        """
        on_tables = table_statements(
            self._data.tables, spec.settings.TABLE_USES, table_key_arn=self._key.key_arn
        )
        function = ServiceFunction(
            self,
            construct_id,
            spec=replace(spec, statements=[*on_tables, *spec.statements]),
            stage=self._stage,
            asset=asset or self._asset,
            log_key=self._key,
            alarms=self._alarms,
        )
        service = spec.settings.service
        self.functions[service] = function
        count_lines(
            self,
            construct_id,
            service=service,
            log_group=function.log_group,
            stage=self._stage.name,
        )
        return function

    def _scheduled(self, workers: Iterable[ScheduledWorker]) -> dict[str, ServiceFunction]:
        """The workers' functions with their schedules, dead-letter queues and alarms, by name."""
        return {worker.name: self._scheduled_function(worker) for worker in workers}

    def _scheduled_function(self, worker: ScheduledWorker) -> ServiceFunction:
        construct_id = worker.name.capitalize()
        dead = DeadLetterQueue(
            self,
            f"{construct_id}DeadLetters",
            key=self._key,
            alarms=self._alarms,
            name=dead_letter_queue(self._stage.name, worker.name),
        ).queue
        self.dead_letters[worker.name] = dead
        function = self._function(construct_id, self._spec(worker, dead.queue_arn))
        self._schedules[worker.name] = Schedule(
            self,
            f"{construct_id}Schedule",
            name=worker.name,
            minutes=worker.minutes(self._stage.schedules),
            timed=worker.timed,
            target=function.live,
            dead_letters=dead,
            alarms=self._alarms,
        )
        if worker.data_keys:
            self._alarms.count_unreadable_fields(
                self, f"{construct_id}Unreadable", log_group=function.log_group
            )
        for alarm in worker.alarms:
            self._alarms.log_line(
                self,
                alarm.construct_id,
                log_group=function.log_group,
                messages=alarm.messages,
                metric=alarm.metric,
                description=alarm.description,
                runbook=alarm.runbook,
            )
        return function

    def _spec(self, worker: ScheduledWorker, dead_letters_arn: str) -> FunctionSpec:
        keys = {purpose: self._data.data_keys[purpose] for purpose in worker.data_keys}
        return FunctionSpec(
            module=worker.module,
            description=worker.description,
            settings=settings_for(
                worker.settings,
                stage=self._stage,
                tables=self._data.tables,
                service=worker.name,
                **{f"{purpose}_key_arn": key.key_arn for purpose, key in keys.items()},
                **worker.values(self._stage, self._data),
            ),
            statements=[
                *(
                    data_key_statement(key, purpose, "Decrypt", "GenerateDataKey")
                    for purpose, key in keys.items()
                ),
                *worker.statements(self._data),
                *queue_statements(
                    "DeadLetters", dead_letters_arn, self._key.key_arn, "SendMessage"
                ),
            ],
            wildcard_resources=worker.wildcard_resources(self._data),
            no_dead_letter_queue=worker.no_dead_letter_queue,
            memory_mb=worker.memory_mb,
            timeout_seconds=worker.timeout_seconds,
        )

    def _write_outputs(self, functions: Mapping[str, ServiceFunction]) -> None:
        """The functions' names, and which of them a schedule invokes with what."""
        names = {name: function.function.function_name for name, function in functions.items()}
        schedules = {
            name: {"function": names[name], "event": schedule.event}
            for name, schedule in self._schedules.items()
        }
        CfnOutput(self, "Functions", value=self.to_json_string(names))
        CfnOutput(self, "Schedules", value=self.to_json_string(schedules))
