"""What the stacks of functions have in common: they work on the tables of one data stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.constructs.queues import DeadLetterQueue
from stacks.constructs.schedule import Schedule
from stacks.constructs.service_function import FunctionSpec, ServiceFunction
from stacks.data import DataStack
from stacks.iam.statements import queue_statements, table_statements
from stacks.stage import StageConfig

MakeSpec = Callable[[list[iam.PolicyStatement]], FunctionSpec]
"""Makes a function's spec, given its rights to its dead letters."""


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
        super().__init__(scope, construct_id)
        self._stage, self._data, self._asset = props["stage"], props["data"], props["asset"]
        # By ARN: no construct here may write into the key's policy, which the data stack owns.
        self._key = kms.Key.from_key_arn(self, "TableKey", self._data.table_key.key_arn)
        self._schedules: dict[str, Schedule] = {}

    def _function(self, construct_id: str, spec: FunctionSpec) -> ServiceFunction:
        """A function with the permissions of its spec, and those for the tables of its settings."""
        on_tables = table_statements(
            self._data.tables, spec.settings.TABLE_USES, table_key_arn=self._key.key_arn
        )
        return ServiceFunction(
            self,
            construct_id,
            spec=replace(spec, statements=[*on_tables, *spec.statements]),
            stage=self._stage,
            asset=self._asset,
            log_key=self._key,
        )

    def _scheduled(
        self, construct_id: str, name: str, make: MakeSpec, minutes: int
    ) -> ServiceFunction:
        """A function that runs every so many minutes; a run that fails waits in dead letters."""
        dead = DeadLetterQueue(self, f"{construct_id}DeadLetters", key=self._key).queue
        rights = queue_statements("DeadLetters", dead.queue_arn, self._key.key_arn, "SendMessage")
        function = self._function(construct_id, make(rights))
        self._schedules[name] = Schedule(
            self,
            f"{construct_id}Schedule",
            name=name,
            minutes=minutes,
            target=function.live,
            dead_letters=dead,
        )
        return function

    def _write_outputs(self, functions: Mapping[str, ServiceFunction]) -> None:
        """The functions' names, and which of them a schedule invokes with what."""
        names = {name: function.function.function_name for name, function in functions.items()}
        schedules = {
            name: {"function": names[name], "event": schedule.event}
            for name, schedule in self._schedules.items()
        }
        CfnOutput(self, "Functions", value=self.to_json_string(names))
        CfnOutput(self, "Schedules", value=self.to_json_string(schedules))
