"""A function that runs by the clock."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.alarms import Alarms

DELIVERY_ATTEMPTS: Final = 3
OLDEST_DELIVERED_MINUTES: Final = 10
"""A run that is later than this would only repeat what the next ones did meanwhile."""


class Schedule(Construct):
    """Invokes the alias `live` of a function every `minutes` with `{"schedule": name}`.

    A `timed` event also has the schedule's time, as `time`.
    A run that cannot be delivered or that fails twice goes to `dead_letters`; the
    function's policy must allow sqs:SendMessage there: Lambda writes failed runs in its name.
    """

    def __init__(  # noqa: PLR0913 - what one construct is made of
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        minutes: int,
        timed: bool,
        target: lambda_.Alias,
        dead_letters: sqs.IQueue,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        self.event = {"schedule": name}
        when = {"time": events.EventField.time} if timed else {}
        target.configure_async_invoke(
            max_event_age=Duration.minutes(OLDEST_DELIVERED_MINUTES),
            on_failure=destinations.SqsDestination(dead_letters),
            retry_attempts=1,
        )
        rule = events.Rule(
            self,
            "Rule",
            description=f"Runs the {name} every {minutes} min",
            schedule=events.Schedule.rate(Duration.minutes(minutes)),
            targets=[
                targets.LambdaFunction(
                    target,
                    dead_letter_queue=dead_letters,
                    event=events.RuleTargetInput.from_object({**self.event, **when}),
                    max_event_age=Duration.minutes(OLDEST_DELIVERED_MINUTES),
                    retry_attempts=DELIVERY_ATTEMPTS,
                )
            ],
        )
        alarms.undelivered(self, rule=rule)
