"""SQS queues: encrypted, TLS only, and nothing is ever dropped silently."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.acknowledge import acknowledge
from stacks.constructs.alarms import Alarms
from stacks.runbooks import Runbook

MAX_RECEIVES: Final = 5
VISIBILITY_PER_TIMEOUT: Final = 6
"""A message stays hidden for six times its consumer's timeout (Lambda Developer Guide, on SQS)."""
LONGEST_RETENTION_DAYS: Final = 14
"""SQS keeps a message no longer."""
DATA_KEY_REUSE_HOURS: Final = 1
NO_REDRIVE: Final = ("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy")
"""Rules that demand a redrive policy."""


CONSUMER_ACTIONS: Final = (
    "DeleteMessage",
    "GetQueueAttributes",
    "ReceiveMessage",
)
"""What an event source mapping asks of a queue in its function's name (Lambda Developer Guide,
"Configuring your Lambda function to use Amazon SQS")."""


class DeadLetterQueue(Construct):
    """Where given-up work waits for a person, with the alarm that calls one.

    `waiting`: what the alarm says of a message there. `redriven`: it is fed by the redrive policy
    of another queue, by which AwsSolutions knows it. `name`: its physical name; one of its own, so
    that the API can count its messages without an export of its stack (decision 0148).
    """

    def __init__(  # noqa: PLR0913 - what one queue is made of
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey,
        alarms: Alarms,
        waiting: str = "A message failed repeatedly and is in the dead-letter queue.",
        runbook: Runbook = Runbook.DEAD_LETTER,
        redriven: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=name,
            data_key_reuse=Duration.hours(DATA_KEY_REUSE_HOURS),
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(LONGEST_RETENTION_DAYS),
        )
        rules = ["Serverless-SQSRedrivePolicy"] if redriven else list(NO_REDRIVE)
        for rule in rules:
            acknowledge(self.queue, rule, "Messages wait there for a person; an alarm calls one.")
        alarms.waiting_message(self, queue=self.queue, description=waiting, runbook=runbook)


class WorkQueue(Construct):
    """Work for one function: tried five times, then moved to the dead-letter queue.

    `consumer_timeout_seconds` is the timeout of the function that it feeds. `dead_letters`: the
    physical name of its dead-letter queue.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey,
        alarms: Alarms,
        consumer_timeout_seconds: int,
        dead_letters: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = DeadLetterQueue(
            self, "DeadLetters", key=key, alarms=alarms, redriven=True, name=dead_letters
        ).queue
        self.queue = sqs.Queue(
            self,
            "Queue",
            data_key_reuse=Duration.hours(DATA_KEY_REUSE_HOURS),
            dead_letter_queue=sqs.DeadLetterQueue(
                max_receive_count=MAX_RECEIVES, queue=self.dead_letters
            ),
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(LONGEST_RETENTION_DAYS),
            visibility_timeout=Duration.seconds(VISIBILITY_PER_TIMEOUT * consumer_timeout_seconds),
        )
        alarms.old_message(self, queue=self.queue)


def feed_from_queue(
    scope: Construct,
    construct_id: str,
    *,
    queue: sqs.IQueue,
    target: lambda_.Alias,
    batch_size: int,
    max_concurrency: int,
) -> None:
    """Hand a queue's messages to a function, which says which of them must come again."""
    source = lambda_.EventSourceMapping(
        scope,
        construct_id,
        target=target,
        event_source_arn=queue.queue_arn,
        batch_size=batch_size,
        max_concurrency=max_concurrency,
        report_batch_item_failures=True,
    )
    acknowledge(
        source,
        "Serverless-LambdaEventSourceMappingDestination",
        "Lambda has these for streams only; here the queue's redrive policy keeps what failed.",
    )
