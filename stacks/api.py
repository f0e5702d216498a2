"""The HTTP API: its routes, its authorizer, and the two functions behind it."""

from __future__ import annotations

import json
from typing import Final, Unpack

from aws_cdk import Aws, CfnOutput
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from runtime.reconciliation.files.models import RECONCILIATION_PREFIX
from runtime.reconciliation.settlements.models import REPORTS_PREFIX
from runtime.reporting.exports.models import EXPORT_PREFIX
from runtime.settings import (
    AuthorizerSettings,
    ConsoleSettings,
    ProcessSettings,
    QuerySettings,
)
from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.console_asset import console_asset
from stacks.constructs.api_alarms import watch_api
from stacks.constructs.canary_deployment import CanaryDeployments
from stacks.constructs.http_api import HttpEndpoints, Served
from stacks.constructs.service_function import FunctionSpec, ServiceFunction
from stacks.dead_letters import WORK_QUEUES, dead_letter_queue
from stacks.environment import settings_for
from stacks.iam.statements import (
    DEAD_LETTER_COUNTS,
    data_key_statement,
    queue_statements,
    read_secret,
    through_service,
)
from stacks.log_queries import save_queries
from stacks.scheduled_workers import recorded_schedules, scheduled_names

CONSOLE_TIMEOUT_SECONDS: Final = 10
CONSOLE_MEMORY_MB: Final = 512
QUERY_TIMEOUT_SECONDS: Final = 15
AUTHORIZER_TIMEOUT_SECONDS: Final = 5
HTTP_MEMORY_MB: Final = 1024
AUTHORIZER_MEMORY_MB: Final = 512


class ApiStack(FunctionsStack):
    """Process (writes), query (reads) and the authorizer, behind one HTTP API.

    In auth mode "jwt" the gateway verifies tokens itself, without the function `authorizer`. Beside
    them the function `console`, in stages that serve the console from here.
    """

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        self.process = self._function("Process", self._process())
        self.query = self._function("Query", self._query())
        self._alarms.count_unreadable_fields(
            self, "ProcessUnreadable", log_group=self.process.log_group
        )
        self._alarms.count_unreadable_fields(
            self, "QueryUnreadable", log_group=self.query.log_group
        )
        self.authorizer: ServiceFunction | None = None
        if self._stage.auth.mode == "lambda":
            self.authorizer = self._function("Authorizer", self._authorizer())
            self._alarms.refusals(self, "Refusals", log_group=self.authorizer.log_group)
        self.console: ServiceFunction | None = None
        if self._stage.console is not None and self._stage.console.serve == "api":
            files = console_asset(self._asset, self._stage)
            self.console = self._function("Console", self._console(), files)
        served: dict[Served, lambda_.IFunction]
        served = {"process": self.process.live, "query": self.query.live}
        if self.console is not None:
            served["console"] = self.console.live
        self.endpoints = HttpEndpoints(
            self,
            "Http",
            stage=self._stage,
            functions=served,
            authorizer=self.authorizer.live if self.authorizer else None,
            log_key=self._key,
        )
        watch_api(self, api=self.endpoints.api, alarms=self._alarms)
        functions = {"process": self.process, "query": self.query}
        if self.authorizer is not None:
            functions["authorizer"] = self.authorizer
        if self._stage.deployments.canary:
            CanaryDeployments(self, "Deployments", functions=functions, alarms=self._alarms)
        save_queries(
            self,
            self._stage.name,
            {
                "process": self.process.log_group,
                "query": self.query.log_group,
                "access": self.endpoints.access_log,
            },
        )
        shown = {} if self.console is None else {"console": self.console}
        self._write_outputs({**functions, **shown})
        CfnOutput(self, "ApiId", value=self.endpoints.api.api_id)
        CfnOutput(self, "ApiUrl", value=self.endpoints.url)

    def _process(self) -> FunctionSpec:
        data = self._data
        return FunctionSpec(
            module="process",
            description="Every POST, PATCH and DELETE",
            serves_requests=True,
            no_dead_letter_queue="Invoked synchronously: the caller gets the error.",
            settings=settings_for(
                ProcessSettings,
                stage=self._stage,
                tables=data.tables,
                service="process",
                pii_key_arn=data.pii_key.key_arn,
                pci_key_arn=data.pci_key.key_arn,
                index_key_arn=data.index_key.key_arn,
                delivery_queue_url=data.deliveries.queue.queue_url,
                settlement_bucket=data.settlement_bucket.bucket_name,
                allow_local_webhooks=self._stage.allow_local_webhooks,
                api_address=self._stage.api_address,
                error_types=self._stage.error_types_sent,
                webhook_deadline_seconds=self._stage.webhooks.deadline_seconds,
            ),
            statements=[
                *queue_statements(
                    "Deliveries",
                    data.deliveries.queue.queue_arn,
                    self._key.key_arn,
                    "SendMessage",
                ),
                data_key_statement(data.pii_key, "pii", "Decrypt", "GenerateDataKey"),
                data_key_statement(data.pci_key, "pci", "Decrypt", "GenerateDataKey"),
                data_key_statement(data.index_key, "index", "Decrypt", "GenerateDataKey"),
                # Upload links are signed with this role: what it may not do, they do not either.
                iam.PolicyStatement(
                    sid="UploadLinks",
                    actions=["s3:PutObject"],
                    resources=[f"{data.settlement_bucket_arn}/{RECONCILIATION_PREFIX}*"],
                ),
                through_service(self._key.key_arn, "s3", ("kms:GenerateDataKey",)),
            ],
            wildcard_resources={
                f"{data.settlement_bucket_export}/{RECONCILIATION_PREFIX}*": (
                    "Each file has a key of its own; only the prefix is ours."
                )
            },
            memory_mb=HTTP_MEMORY_MB,
            timeout_seconds=self._stage.process_timeout_seconds,
            reserved_concurrency=self._stage.concurrency.process,
            snap_start=self._stage.snap_start,
        )

    def _query(self) -> FunctionSpec:
        data, schedules = self._data, self._stage.schedules
        dead_letters = [*WORK_QUEUES, *scheduled_names(schedules)]
        return FunctionSpec(
            module="query",
            description="Every GET",
            serves_requests=True,
            no_dead_letter_queue="Invoked synchronously: the caller gets the error.",
            settings=settings_for(
                QuerySettings,
                stage=self._stage,
                tables=data.tables,
                service="query",
                pii_key_arn=data.pii_key.key_arn,
                index_key_arn=data.index_key.key_arn,
                export_bucket=data.export_bucket.bucket_name,
                schedules=json.dumps(recorded_schedules(schedules)),
                streams=json.dumps(self._stage.stream_windows),
                dead_letter_queues=",".join(dead_letters),
                dead_letter_queue_url=(
                    f"https://sqs.{Aws.REGION}.{Aws.URL_SUFFIX}/{Aws.ACCOUNT_ID}/"
                    f"{dead_letter_queue(self._stage.name, '{name}')}"
                ),
                error_types=self._stage.error_types_sent,
            ),
            statements=[
                data_key_statement(data.pii_key, "pii", "Decrypt"),
                data_key_statement(data.index_key, "index", "Decrypt", "GenerateDataKey"),
                iam.PolicyStatement(
                    sid=DEAD_LETTER_COUNTS,
                    actions=["sqs:GetQueueAttributes"],
                    resources=[
                        f"arn:{Aws.PARTITION}:sqs:{Aws.REGION}:{Aws.ACCOUNT_ID}:"
                        f"{dead_letter_queue(self._stage.name, name)}"
                        for name in dead_letters
                    ],
                ),
                # Links are signed with this role: what it may not do, they do not either.
                iam.PolicyStatement(
                    sid="Reports",
                    actions=["s3:GetObject", "s3:PutObject"],
                    resources=[f"{data.export_bucket_arn}/{REPORTS_PREFIX}*"],
                ),
                iam.PolicyStatement(
                    sid="ExportLinks",
                    actions=["s3:GetObject"],
                    resources=[f"{data.export_bucket_arn}/{EXPORT_PREFIX}*"],
                ),
                through_service(self._key.key_arn, "s3", ("kms:Decrypt", "kms:GenerateDataKey")),
            ],
            wildcard_resources={
                f"{data.export_bucket_export}/{REPORTS_PREFIX}*": (
                    "Each report has a key of its own; only the prefix is ours."
                ),
                f"{data.export_bucket_export}/{EXPORT_PREFIX}*": (
                    "Each export has names of its own; only the prefix is ours."
                ),
            },
            memory_mb=HTTP_MEMORY_MB,
            timeout_seconds=QUERY_TIMEOUT_SECONDS,
            reserved_concurrency=self._stage.concurrency.query,
            snap_start=self._stage.snap_start,
        )

    def _console(self) -> FunctionSpec:
        return FunctionSpec(
            module="console",
            description="The console's page and files",
            no_dead_letter_queue="Invoked synchronously: the browser gets the error.",
            settings=settings_for(
                ConsoleSettings,
                stage=self._stage,
                tables=self._data.tables,
                service="console",
                error_types=self._stage.error_types_sent,
            ),
            memory_mb=CONSOLE_MEMORY_MB,
            timeout_seconds=CONSOLE_TIMEOUT_SECONDS,
        )

    def _authorizer(self) -> FunctionSpec:
        auth = self._stage.auth
        jwks_arn = self._secret_arn("Jwks", auth.jwks_secret_name)
        hs256_arn = self._secret_arn("Hs256", auth.hs256_secret_name)
        return FunctionSpec(
            module="authorize",
            description="Verifies bearer tokens and API keys",
            serves_requests=True,
            no_dead_letter_queue="Invoked synchronously: the caller gets the error.",
            settings=settings_for(
                AuthorizerSettings,
                stage=self._stage,
                tables=self._data.tables,
                service="authorizer",
                issuer=auth.issuer,
                audience=auth.audience,
                cache_seconds=auth.cache_seconds,
                jwks_url=auth.jwks_url,
                jwks_secret_arn=jwks_arn,
                hs256_secret_arn=hs256_arn,
                index_key_arn=self._data.index_key.key_arn,
            ),
            statements=[
                data_key_statement(self._data.index_key, "index", "Decrypt"),
                *(
                    read_secret(sid, arn)
                    for sid, arn in (("Jwks", jwks_arn), ("Hs256", hs256_arn))
                    if arn is not None
                ),
            ],
            memory_mb=AUTHORIZER_MEMORY_MB,
            timeout_seconds=AUTHORIZER_TIMEOUT_SECONDS,
            reserved_concurrency=self._stage.concurrency.authorizer,
            snap_start=self._stage.snap_start,
        )

    def _secret_arn(self, construct_id: str, name: str | None) -> str | None:
        """ARN without the random suffix of a secret that whoever runs the stage made beforehand."""
        if name is None:
            return None
        return secretsmanager.Secret.from_secret_name_v2(self, construct_id, name).secret_arn
