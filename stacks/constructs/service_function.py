"""One Lambda function of the service, as all of them are made."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from runtime.settings import Settings
from stacks.constructs.acknowledge import acknowledge
from stacks.constructs.alarms import Alarms
from stacks.constructs.log_group import encrypted_log_group
from stacks.iam.statements import DEAD_LETTER_COUNTS, INDEXES
from stacks.runbooks import Severity
from stacks.stage import StageConfig
from stacks.stage_workload import LambdaRuntime

LIVE: Final = "live"
"""Alias that everything invokes; a deployment moves it to a new version in one step."""
RUNTIME_REASON: Final = (
    "The Python version is a setting of the stage, raised together with the pinned wheels and the "
    "bytecode compiler. AWS supports python3.13 until June 2029 (Lambda Developer Guide, runtimes)."
)

HandlerModule = Literal[
    "archive",
    "authorize",
    "canary",
    "console",
    "deliver",
    "export",
    "expire_holds",
    "find_unsettled",
    "poll_processors",
    "process",
    "project",
    "verify_ledger",
    "query",
    "reconcile",
    "resolve",
    "queue_due_webhooks",
    "rotate_keys",
    "compact_totals",
]

_ARCHITECTURES: Final = {
    "arm64": lambda_.Architecture.ARM_64,
    "x86_64": lambda_.Architecture.X86_64,
}


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """One function: its module in runtime/functions, its settings, permissions and limits."""

    module: HandlerModule
    description: str
    settings: Settings
    statements: Sequence[iam.PolicyStatement] = ()
    """Permissions besides those for the tables, which follow from the settings."""
    memory_mb: int = 512
    timeout_seconds: int
    reserved_concurrency: int | None = None
    serves_requests: bool = False
    """Whether people wait for it: its errors and throttles call someone at any hour."""
    no_dead_letter_queue: str
    """Why the function itself has none: who retries, or who keeps what failed."""
    snap_start: bool = False
    """Whether it starts from a snapshot of its initialized environment."""
    sends_to_itself: bool = False
    """Whether it puts messages into the queue that feeds it, to go on or to try again later."""
    wildcard_resources: Mapping[str, str] = field(default_factory=dict)
    """Resources in `statements` that have to end in *, each with its reason."""


class ServiceFunction(Construct):
    """A function, its log group, its role with customer managed policies, its alias `live`."""

    def __init__(  # noqa: PLR0913 - what one construct is made of
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: FunctionSpec,
        stage: StageConfig,
        asset: Path,
        log_key: kms.IKey,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        self.memory_mb = spec.memory_mb
        self.architecture = target_runtime(stage).architecture
        self.log_group = encrypted_log_group(self, "Logs", stage=stage, key=log_key)
        role = self._role(spec, self.log_group)
        runtime = target_runtime(stage)
        self.function = lambda_.Function(
            self,
            "Function",
            architecture=_ARCHITECTURES[runtime.architecture],
            code=lambda_.Code.from_asset(str(asset)),
            # The alias can go back to an earlier version for as long as that exists.
            current_version_options=lambda_.VersionOptions(
                removal_policy=stage.data.removal_policy
            ),
            description=spec.description,
            environment=_environment(spec, stage),
            handler=f"runtime.functions.start.{spec.module}",
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            memory_size=spec.memory_mb,
            # Else Lambda takes it for a loop and drops the 17th message of one chain (Lambda
            # Developer Guide, "Lambda recursive loop detection").
            recursive_loop=lambda_.RecursiveLoop.ALLOW if spec.sends_to_itself else None,
            reserved_concurrent_executions=spec.reserved_concurrency,
            # Frozen, so that no construct adds rights: all of them stand in the one policy.
            role=role.without_policy_updates(),
            runtime=lambda_.Runtime(
                f"python{runtime.python_version}",
                lambda_.RuntimeFamily.PYTHON,
                supports_snap_start=True,  # else the stage is refused
            ),
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if spec.snap_start else None,
            timeout=Duration.seconds(spec.timeout_seconds),
            tracing=lambda_.Tracing.ACTIVE,
        )
        self._acknowledge(spec)
        self.live = lambda_.Alias(
            self, "Live", alias_name=LIVE, version=self.function.current_version
        )
        urgent = Severity.PAGE if spec.serves_requests else None
        alarms.error(self, function=self.function, severity=urgent)
        if spec.serves_requests:
            alarms.throttled(self, function=self.function)

    def _acknowledge(self, spec: FunctionSpec) -> None:
        for rule in ("AwsSolutions-L1", "Serverless-LambdaLatestVersion"):
            acknowledge(self.function, rule, RUNTIME_REASON)
        for rule in ("NIST.800.53.R5-LambdaDLQ", "Serverless-LambdaDLQ"):
            acknowledge(self.function, rule, spec.no_dead_letter_queue)
        resource = self.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101 - what L2 is made of
        # The CDK writes DependsOn for a role that is referred to anyway. Harmless, and not ours.
        resource.add_metadata("cfn-lint", {"config": {"ignore_checks": ["W3005"]}})

    def _role(self, spec: FunctionSpec, log_group: logs.LogGroup) -> iam.Role:
        # The role names its policies, not the other way round: who waits for it has its rights.
        on_tables = [each for each in spec.statements if _is_on_tables(each)]
        counts = [each for each in spec.statements if each.sid == DEAD_LETTER_COUNTS]
        elsewhere = [each for each in spec.statements if each not in [*on_tables, *counts]]
        policy = iam.ManagedPolicy(
            self,
            "Policy",
            description=f"All that {spec.settings.service} may do, but for tables",
            statements=[*_own_logs_and_traces(log_group), *elsewhere],
        )
        policies = [policy]
        # Of their own: IAM stores at most 6,144 characters of one policy, of which a role has ten.
        for construct_id, what, statements in (
            ("TablesPolicy", "tables", [each for each in on_tables if each.sid != INDEXES]),
            ("IndexesPolicy", "indexes", [each for each in on_tables if each.sid == INDEXES]),
            ("DeadLettersPolicy", "dead letters", counts),
        ):
            if statements:
                description = f"All that {spec.settings.service} may do with {what}"
                policies.append(
                    iam.ManagedPolicy(
                        self, construct_id, description=description, statements=statements
                    )
                )
        acknowledge(
            policy,
            "AwsSolutions-IAM5[Resource::*]",
            "X-Ray has no resources: PutTraceSegments and PutTelemetryRecords accept only *.",
        )
        for resource, reason in spec.wildcard_resources.items():
            acknowledge(policy, f"AwsSolutions-IAM5[Resource::{resource}]", reason)
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            managed_policies=policies,
        )


def target_runtime(stage: StageConfig) -> LambdaRuntime:
    """Processor and Python of the stage's functions; of this machine, where the stage says so."""
    if stage.lambda_runtime != "this-machine":
        return stage.lambda_runtime
    arm = platform.machine().lower() in {"aarch64", "arm64"}
    return LambdaRuntime(
        architecture="arm64" if arm else "x86_64",
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
    )


def _environment(spec: FunctionSpec, stage: StageConfig) -> dict[str, str]:
    chosen = {} if (client := stage.dynamodb_client) is None else {"DYNAMODB_CLIENT": client}
    # SnapStart's credentials may name their account, for which botocore alone has endpoints.
    endpoints = {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"} if spec.snap_start else {}
    return {
        **spec.settings.environment(),
        **chosen,
        **endpoints,
        "LOG_LEVEL": stage.log_level,
        "POWERTOOLS_SERVICE_NAME": spec.settings.service,
    }


def _is_on_tables(statement: iam.PolicyStatement) -> bool:
    return all(action.startswith("dynamodb:") for action in statement.actions)


def _own_logs_and_traces(log_group: logs.LogGroup) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="OwnLogs",
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[log_group.log_group_arn],
        ),
        iam.PolicyStatement(
            sid="Traces",
            actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
            resources=["*"],
        ),
    ]
