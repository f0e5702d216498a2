"""A monthly budget that reports what a stage, or its account, costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aws_cdk import Aws, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.constructs.alarm_topics import AlarmTopic
from stacks.stage import StageConfig
from stacks.stage_account import BudgetConfig

FORECAST_FROM_PERCENT: Final = 100
"""Thresholds from here on are judged by the forecast as well: it says in time that the month will
cost more than the budget."""
SERVICE: Final = "budgets.amazonaws.com"

_Notification = budgets.CfnBudget.NotificationWithSubscribersProperty


class CostBudget(Construct):
    """Notifies the addresses of the budget, or the topic of tickets if it has none."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: StageConfig,
        config: BudgetConfig,
        tickets: AlarmTopic,
        key: kms.Key,
    ) -> None:
        super().__init__(scope, construct_id)
        if not config.email and tickets.is_ours:
            _let_budgets_publish(tickets.topic, key)
        subscribers = [_subscriber("EMAIL", each) for each in config.email] or [
            _subscriber("SNS", tickets.topic.topic_arn)
        ]
        budget = budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=Stack.of(self).stack_name.removesuffix("-data"),
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=config.monthly_usd, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:stage${stage.name}"]}
                if config.only_this_stage
                else None,
            ),
            notifications_with_subscribers=[
                _Notification(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type=kind,
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=subscribers,
                )
                for kind, percent in _thresholds(config)
            ],
        )
        # The subscribers are accepted only once the topic lets AWS Budgets publish.
        policy = tickets.topic.node.try_find_child("Policy")
        if policy is not None:
            budget.node.add_dependency(policy)


def _thresholds(config: BudgetConfig) -> Iterator[tuple[str, int]]:
    for percent in sorted(set(config.percent)):
        yield "ACTUAL", percent
        if percent >= FORECAST_FROM_PERCENT:
            yield "FORECASTED", percent


def _subscriber(kind: str, address: str) -> budgets.CfnBudget.SubscriberProperty:
    return budgets.CfnBudget.SubscriberProperty(subscription_type=kind, address=address)


def _let_budgets_publish(topic: sns.ITopic, key: kms.Key) -> None:
    """Allow it in the policies of the topic and of the key that encrypts its messages.

    AWS Cost Management User Guide, "Creating an Amazon SNS topic for budget notifications", has the
    topic's statement with both conditions, and the key's with these actions. The key's has the same
    conditions here: of the services that publish to encrypted topics, the Amazon SNS Developer
    Guide ("Key management") excludes only EventBridge from them.
    """
    conditions = {
        "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
        "ArnLike": {"aws:SourceArn": f"arn:{Aws.PARTITION}:budgets::{Aws.ACCOUNT_ID}:*"},
    }
    budgets_service = iam.ServicePrincipal(SERVICE)
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            sid="Budgets",
            principals=[budgets_service],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions=conditions,
        )
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="BudgetsToTopics",
            principals=[budgets_service],
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=["*"],
            conditions=conditions,
        )
    )
