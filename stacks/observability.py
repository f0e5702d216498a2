"""The dashboard of a stage: alarms, then what clients see, then what works behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aws_cdk import ArnFormat, CrossStackReferences, ReferenceStrength, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.dashboard import cost, health, traffic, work
from stacks.dashboard.panels import COLUMNS, rows_of
from stacks.dashboard.watched import Watched
from stacks.runbooks import Guide, Severity

MAX_ALARMS_PER_WIDGET: Final = 100
"""CloudWatch's limit (CloudWatch User Guide, "Dashboard body structure and syntax")."""
ALARMS_HEIGHT: Final = 4
INTRODUCTION_HEIGHT: Final = 2


class ObservabilityStack(Stack):
    """The dashboard `payments-<stage>`. Nothing depends on this stack.

    It refers to what it shows weakly (`Fn::GetStackOutput`): an export would keep an earlier
    version of another stack from being deployed.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, watched: Watched, **kwargs: Any
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        CrossStackReferences.of(self).consume(ReferenceStrength.WEAK)
        self._watched = watched
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=f"payments-{watched.stage_name}",
            period_override=cloudwatch.PeriodOverride.INHERIT,
            widgets=[[self._introduction()], *self._alarms(), *self._sections()],
        )

    def _introduction(self) -> cloudwatch.IWidget:
        guide = Guide.DASHBOARD.link(self._watched.runbooks)
        return cloudwatch.TextWidget(
            markdown=f"# Payments, stage {self._watched.stage_name}\n"
            f"Below each graph: how to read it, and its runbook. [Guide]({guide})",
            width=COLUMNS,
            height=INTRODUCTION_HEIGHT,
        )

    def _alarms(self) -> Iterator[list[cloudwatch.IWidget]]:
        """The state of every alarm, those that call someone at any hour first."""
        made = self._watched.alarms.made
        for severity, title in (
            (Severity.PAGE, "Alarms that call at any hour"),
            (Severity.TICKET, "Alarms for working hours"),
        ):
            names = sorted(name for name, calls in made.items() if calls is severity)
            for start in range(0, len(names), MAX_ALARMS_PER_WIDGET):
                yield [
                    cloudwatch.AlarmStatusWidget(
                        title=title,
                        alarms=[
                            cloudwatch.Alarm.from_alarm_arn(self, name, self._alarm_arn(name))
                            for name in names[start : start + MAX_ALARMS_PER_WIDGET]
                        ],
                        sort_by=cloudwatch.AlarmStatusWidgetSortBy.STATE_UPDATED_TIMESTAMP,
                        width=COLUMNS,
                        height=ALARMS_HEIGHT,
                    )
                ]

    def _alarm_arn(self, name: str) -> str:
        """By its name, which needs no reference to the stack that makes it."""
        return self.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _sections(self) -> Iterator[list[cloudwatch.IWidget]]:
        for module in (traffic, cost, work, health):
            for section in module.sections(self._watched):
                yield from rows_of(section, self._watched.runbooks)
