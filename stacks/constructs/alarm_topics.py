"""SNS topics that alarms notify: one per severity."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from stacks.constructs.acknowledge import acknowledge
from stacks.stage_parts import AlarmTarget


class AlarmTopic(Construct):
    """Encrypted, TLS only, and only CloudWatch's alarms of this account publish to it.

    A target with a topic of its own gets none here.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, target: AlarmTarget, key: kms.IKey
    ) -> None:
        super().__init__(scope, construct_id)
        self.is_ours = target.topic_arn is None
        if target.topic_arn is not None:
            self.topic = sns.Topic.from_topic_arn(self, "Topic", target.topic_arn)
            return
        topic = sns.Topic(self, "Topic", enforce_ssl=True, master_key=key)
        addresses: list[sns.ITopicSubscription] = [
            *map(subscriptions.EmailSubscription, target.email),
            *map(subscriptions.UrlSubscription, target.https),
        ]
        for subscription in addresses:
            acknowledge(
                topic.add_subscription(subscription),
                "Serverless-SNSRedrivePolicy",
                "A queue of undelivered alarms would need an alarm that is delivered. SNS retries "
                "for hours, alarms keep their state, and each severity can have several addresses.",
            )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        self.topic = topic
