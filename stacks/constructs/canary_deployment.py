"""Deployments in two steps: CodeDeploy moves the alias `live`, and back when the new version fails.

What stops a deployment is measured on the new version alone, by alarms that are created with it. An
alarm that is on before a deployment begins would stop it too: one on the whole API, or one that
watched the version before, would refuse the deployment that ends an incident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from runtime.core.observability import VERSION_FIELD
from runtime.http.identity import Refusal
from stacks.constructs.acknowledge import acknowledge
from stacks.constructs.alarms import Alarms
from stacks.constructs.api_alarms import SLOW_MILLISECONDS
from stacks.constructs.service_function import LIVE, ServiceFunction
from stacks.runbooks import Runbook

DEPLOYMENT: Final = codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES
FAILED_ANSWERS: Final = 5
"""In a minute: more than requests that were turned away because accounts were busy (503)."""
SLOW_MINUTES: Final = 2
ALIAS_ACTIONS: Final = (
    "lambda:GetAlias",
    # CodeDeploy asks for it before it moves an alias, whether or not there is any.
    "lambda:GetProvisionedConcurrencyConfig",
    "lambda:UpdateAlias",
)


class CanaryDeployments(Construct):
    """A deployment group for each function: a tenth of its requests for five minutes, then all.

    Deployment groups of one stack run at the same time, so a deployment takes five minutes longer.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: Mapping[str, ServiceFunction],
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        self._alarms = alarms
        application = codedeploy.LambdaApplication(self, "Application")
        role = self._role(application, functions.values())
        for name, function in functions.items():
            group = Construct(self, name.capitalize())
            codedeploy.LambdaDeploymentGroup(
                group,
                "Group",
                alias=function.live,
                application=application,
                # With a failed deployment, one that was stopped by an alarm or by hand.
                auto_rollback=codedeploy.AutoRollbackConfig(
                    deployment_in_alarm=True, failed_deployment=True, stopped_deployment=True
                ),
                alarms=self._alarms_of(group, function),
                deployment_config=DEPLOYMENT,
                # Frozen: the CDK would add AWS's managed policy, which is for all functions.
                role=role.without_policy_updates(),
            )

    def _alarms_of(self, scope: Construct, function: ServiceFunction) -> list[cloudwatch.IAlarm]:
        """For crashes, failed answers and slow invocations of the newest version."""
        version = function.function.current_version.version
        crashes = self._alarms.at_least(
            scope,
            "Crashes",
            metric=_invocations(function, "Errors", "Sum"),
            threshold=1,
            periods=1,
            description="A new version of the function crashes.",
            runbook=Runbook.DEPLOYMENT_FAILS,
            version=version,
        )
        failures = self._alarms.at_least(
            scope,
            "Failures",
            metric=self._failures(scope, function),
            threshold=FAILED_ANSWERS,
            periods=1,
            description="A new version of the function answers with server errors.",
            runbook=Runbook.DEPLOYMENT_FAILS,
            version=version,
        )
        duration = self._alarms.at_least(
            scope,
            "Duration",
            metric=_invocations(function, "Duration", "p99"),
            threshold=SLOW_MILLISECONDS,
            periods=SLOW_MINUTES,
            description="A new version of the function is slow.",
            runbook=Runbook.DEPLOYMENT_FAILS,
            version=version,
        )
        for alarm in (crashes, failures, duration):
            acknowledge(
                alarm,
                "NIST.800.53.R5-CloudWatchAlarmAction",
                "Its action is CodeDeploy's: it ends the deployment, which then goes back.",
            )
        return [crashes, failures, duration]

    def _failures(self, scope: Construct, function: ServiceFunction) -> cloudwatch.Metric:
        """Answers 500 to 599; of the authorizer, refusals by its own fault."""
        function.log_group.add_metric_filter(
            f"{scope.node.id}FailuresByVersion",
            filter_pattern=logs.FilterPattern.any(
                logs.FilterPattern.number_value("$.status", ">=", 500),
                logs.FilterPattern.string_value("$.reason", "=", Refusal.FAILURE),
            ),
            metric_namespace=self._alarms.namespace,
            metric_name=f"{scope.node.id}Failures",
            metric_value="1",
            dimensions={"Version": f"$.{VERSION_FIELD}"},
        )
        return cloudwatch.Metric(
            namespace=self._alarms.namespace,
            metric_name=f"{scope.node.id}Failures",
            dimensions_map={"Version": function.function.current_version.version},
            period=Duration.minutes(1),
            statistic="Sum",
        )

    def _role(
        self, application: codedeploy.ILambdaApplication, functions: Iterable[ServiceFunction]
    ) -> iam.Role:
        stack = Stack.of(self)
        groups = stack.format_arn(
            service="codedeploy",
            resource="deploymentgroup",
            resource_name=f"{application.application_name}/*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        arns = [each.function.function_arn for each in functions]
        policy = iam.ManagedPolicy(
            self,
            "Policy",
            description="Moves the alias of the API's functions, and reads alarms",
            statements=[
                iam.PolicyStatement(
                    sid="Aliases",
                    actions=list(ALIAS_ACTIONS),
                    resources=[*arns, *(f"{arn}:{LIVE}" for arn in arns)],
                ),
                iam.PolicyStatement(
                    sid="Alarms", actions=["cloudwatch:DescribeAlarms"], resources=["*"]
                ),
            ],
        )
        acknowledge(
            policy,
            "AwsSolutions-IAM5[Resource::*]",
            "CloudWatch returns composite alarms only to who may describe all alarms; AWS's own "
            "policy for CodeDeploy (AWSCodeDeployRoleForLambdaLimited) grants the same.",
        )
        return iam.Role(
            self,
            "Role",
            # CodeDeploy User Guide, "Cross-service confused deputy prevention".
            assumed_by=iam.ServicePrincipal(
                "codedeploy.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "ArnLike": {"aws:SourceArn": groups},
                },
            ),
            managed_policies=[policy],
        )


def _invocations(function: ServiceFunction, metric_name: str, statistic: str) -> cloudwatch.Metric:
    """A metric of the newest version, as far as the alias invokes it.

    With a weighted alias, ExecutedVersion tells its two versions apart (Lambda Developer Guide,
    "Types of metrics for Lambda functions").
    """
    name = function.function.function_name
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name=metric_name,
        dimensions_map={
            "FunctionName": name,
            "Resource": f"{name}:{LIVE}",
            "ExecutedVersion": function.function.current_version.version,
        },
        period=Duration.minutes(1),
        statistic=statistic,
    )
