"""SQS queues: encrypted, TLS only, and nothing is ever dropped silently."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.acknowledge import acknowledge
from stacks.constructs.alarms import dead_letter_alarm

MAX_RECEIVES: Final = 5
VISIBILITY_PER_TIMEOUT: Final = 6
"""A message stays hidden for six times its consumer's timeout (Lambda Developer Guide, on SQS)."""
LONGEST_RETENTION_DAYS: Final = 14
"""SQS keeps a message no longer."""
DATA_KEY_REUSE_HOURS: Final = 1


class DeadLetterQueue(Construct):
    """Where given-up work waits for a person, with the alarm that calls one."""

    def __init__(self, scope: Construct, construct_id: str, *, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            data_key_reuse=Duration.hours(DATA_KEY_REUSE_HOURS),
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(LONGEST_RETENTION_DAYS),
        )
        for rule in ("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy"):
            acknowledge(self.queue, rule, "It is the dead-letter queue; an alarm watches it.")
        dead_letter_alarm(self, "Waiting", queue=self.queue)


class WorkQueue(Construct):
    """Work for one function: tried five times, then put aside.

    `consumer_timeout_seconds` is the timeout of the function that it feeds.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey,
        consumer_timeout_seconds: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = DeadLetterQueue(self, "DeadLetters", key=key).queue
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
