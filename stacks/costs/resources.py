"""What the templates of a stage say about its costs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stacks.costs.prices import DAYS_PER_MONTH
from stacks.stage import StageError

Json = Mapping[str, Any]

MINUTES: Final[Mapping[str, int]] = {"minute": 1, "hour": 60, "day": 1_440}
CRON_FIELDS: Final = 6
"""Minutes, hours, day of the month, month, day of the week, year."""
ESM_METRICS: Final = 7
"""Metrics of an event source mapping with the group EventCount: polled, filtered out, invoked,
failed, dropped, deleted, delivered to the destination (Lambda Developer Guide, "Event source
mapping metrics")."""
ROUTE_METRICS: Final = 6
"""Of a route with detailed metrics: 4xx, 5xx, Count, IntegrationLatency, Latency, DataProcessed
(API Gateway Developer Guide, "Working with metrics for HTTP APIs")."""


@dataclass(frozen=True)
class FunctionResource:
    """A function, as far as its price goes."""

    memory_megabytes: int
    architecture: str
    is_traced: bool = False
    has_snapshots: bool = False
    environment: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Backups:
    """A rule that backs up tables.

    `every_days`: between two full copies. `kept_days`: for how long each is kept. `vaults`: how
    many have it.
    """

    every_days: float
    kept_days: float
    vaults: int = 1

    def copies(self, months: int) -> float:
        """All copies, in tables of today's size, that have grown evenly for so many months."""
        age = months * DAYS_PER_MONTH
        kept = range(max(int(self.kept_days / self.every_days), 1))
        return self.vaults * sum(max(1.0 - at * self.every_days / age, 0.0) for at in kept)


@dataclass(frozen=True)
class StageResources:
    """Counts of what is billed whether it is used or not, and what decides the rest.

    `runs`: of each schedule, in a month. `windows`: seconds for which the batches of a function's
    change streams wait. `log_days`: for how long logs are kept; None: forever.
    """

    types: Mapping[str, int]
    functions: Mapping[str, FunctionResource]
    runs: Mapping[str, float]
    windows: Mapping[str, float]
    polled_queues: int
    stream_mappings_with_metrics: int
    routes_with_metrics: int
    alarm_metrics: int
    dashboards: int
    own_metrics: int
    keys: int
    signing_keys: int
    log_days: float | None
    has_recovery: bool
    records_functions: bool
    backups: tuple[Backups, ...]
    announced_buckets: int

    @staticmethod
    def of(templates: Iterable[Json]) -> StageResources:
        """The resources of all stacks of a stage."""
        templates = list(templates)
        found = [each for template in templates for each in template["Resources"].values()]
        resources = _ByType(found)
        functions = dict(_functions(resources))
        mappings = list(resources.properties("AWS::Lambda::EventSourceMapping"))
        streams = [each for each in mappings if "StartingPosition" in each]
        stages = list(resources.properties("AWS::ApiGatewayV2::Stage"))
        detailed = any(
            s.get("DefaultRouteSettings", {}).get("DetailedMetricsEnabled") for s in stages
        )
        tables = list(resources.properties("AWS::DynamoDB::Table"))
        keys = list(resources.properties("AWS::KMS::Key"))
        return StageResources(
            types=Counter(each["Type"] for each in found),
            functions=functions,
            runs=dict(_runs(resources)),
            windows=dict(_windows(streams)),
            polled_queues=len(mappings) - len(streams),
            stream_mappings_with_metrics=sum("MetricsConfig" in each for each in streams),
            routes_with_metrics=resources.count("AWS::ApiGatewayV2::Route") if detailed else 0,
            alarm_metrics=sum(map(_alarm_metrics, resources.properties("AWS::CloudWatch::Alarm"))),
            dashboards=resources.count("AWS::CloudWatch::Dashboard"),
            own_metrics=len(set(_own_metrics(resources))),
            keys=len(keys),
            signing_keys=sum(key.get("KeyUsage") == "SIGN_VERIFY" for key in keys),
            log_days=_log_days(resources),
            has_recovery=any("PointInTimeRecoverySpecification" in table for table in tables),
            records_functions=any(
                map(_records_functions, resources.properties("AWS::CloudTrail::Trail"))
            ),
            backups=tuple(_backups(templates)),
            announced_buckets=sum(
                "EventBridgeConfiguration" in bucket.get("NotificationConfiguration", {})
                for bucket in resources.properties("AWS::S3::Bucket")
            ),
        )


def from_templates(folder: Path) -> StageResources:
    """The resources of the templates in a folder, such as cdk.out. Raises StageError."""
    files = sorted(folder.glob("*.template.json"))
    if not files:
        raise StageError(f"{folder} has no templates: run make synth")
    return StageResources.of(json.loads(file.read_text("utf-8")) for file in files)


class _ByType:
    """Resources of the templates, by type."""

    def __init__(self, resources: Iterable[Json]) -> None:
        self._of: dict[str, list[Json]] = {}
        for each in resources:
            self._of.setdefault(each["Type"], []).append(each.get("Properties", {}))

    def properties(self, name: str) -> Iterator[Json]:
        """The properties of each resource of a type."""
        return iter(self._of.get(name, ()))

    def count(self, name: str) -> int:
        """How many resources of a type there are."""
        return len(self._of.get(name, ()))


def _functions(resources: _ByType) -> Iterator[tuple[str, FunctionResource]]:
    for each in resources.properties("AWS::Lambda::Function"):
        environment = each["Environment"]["Variables"]
        yield (
            environment["SERVICE"],
            FunctionResource(
                memory_megabytes=int(each["MemorySize"]),
                architecture=each.get("Architectures", ["x86_64"])[0],
                is_traced=each.get("TracingConfig", {}).get("Mode") == "Active",
                has_snapshots=each.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
                environment=environment,
            ),
        )


def runs_per_month(expression: str) -> float:
    """How often a rate is due in a month. Raises ValueError for any other expression."""
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if found is None:
        raise ValueError(f"{expression!r} must be a rate of minutes, hours or days")
    return DAYS_PER_MONTH * MINUTES["day"] / (int(found[1]) * MINUTES[found[2]])


def _runs(resources: _ByType) -> Iterator[tuple[str, float]]:
    for rule in resources.properties("AWS::Events::Rule"):
        if "ScheduleExpression" not in rule:
            continue
        for target in rule["Targets"]:
            # A placeholder such as <time> stands for a part of the schedule's event.
            made = target.get("InputTransformer", {}).get("InputTemplate", "")
            event = target.get("Input") or re.sub(r"<\w+>", "null", made)
            name = json.loads(event)["schedule"]
            yield name, runs_per_month(rule["ScheduleExpression"])


def _windows(streams: Iterable[Json]) -> Iterator[tuple[str, float]]:
    """Seconds by function: the logical id of its alias begins with its name."""
    for each in streams:
        name = re.search(r'"Ref": "(\w+?)Live[0-9A-F]{8}"', json.dumps(each["FunctionName"]))
        if name is None:
            raise ValueError(f"a stream feeds no alias `live`: {each['FunctionName']}")
        yield name[1].lower(), float(each.get("MaximumBatchingWindowInSeconds", 0))


def _alarm_metrics(alarm: Json) -> int:
    """Each metric of an alarm is billed; an expression over metrics is not."""
    if "Metrics" in alarm:
        return sum("MetricStat" in each for each in alarm["Metrics"])
    return 1


def _own_metrics(resources: _ByType) -> Iterator[tuple[str, str]]:
    """Metrics that logs are turned into, by namespace and name."""
    for each in resources.properties("AWS::Logs::MetricFilter"):
        for made in each["MetricTransformations"]:
            yield made["MetricNamespace"], made["MetricName"]


def _log_days(resources: _ByType) -> float | None:
    days = {each.get("RetentionInDays") for each in resources.properties("AWS::Logs::LogGroup")}
    return None if None in days else max((float(each) for each in days if each), default=0.0)


def _records_functions(trail: Json) -> bool:
    """Whether a trail records the calls of all callers to tables or buckets.

    A selector of callers (userIdentity.arn) leaves the stage's own functions out, whose calls are
    nearly all there are.
    """
    if any(each.get("DataResources") for each in trail.get("EventSelectors", ())):
        return True
    return any(
        _fields(each).get("eventCategory") == ["Data"] and "userIdentity.arn" not in _fields(each)
        for each in trail.get("AdvancedEventSelectors", ())
    )


def _fields(selector: Json) -> Json:
    return {each["Field"]: each.get("Equals") for each in selector["FieldSelectors"]}


def _backups(templates: Iterable[Json]) -> Iterator[Backups]:
    """The rules of the plans that select tables. Copies of buckets share what did not change."""
    for template in templates:
        resources = template["Resources"]
        selections = [
            each["Properties"]
            for each in resources.values()
            if each["Type"] == "AWS::Backup::BackupSelection"
        ]
        with_tables = {
            selection["BackupPlanId"]["Fn::GetAtt"][0]
            for selection in selections
            if _names_table(selection["BackupSelection"]["Resources"], resources)
        }
        for name in sorted(with_tables):
            for rule in resources[name]["Properties"]["BackupPlan"]["BackupPlanRule"]:
                yield _backup_rule(rule)


def _names_table(selected: Any, resources: Json) -> bool:
    """Whether any of the selected addresses is that of a table of the template."""
    names = re.findall(r'"Fn::GetAtt": \["(\w+)", "Arn"\]', json.dumps(selected))
    return any(resources[name]["Type"] == "AWS::DynamoDB::Table" for name in names)


def _backup_rule(rule: Json) -> Backups:
    """Raises ValueError for backups without an end."""
    days = rule.get("Lifecycle", {}).get("DeleteAfterDays")
    if days is None:
        raise ValueError(f"backup rule {rule.get('RuleName')} keeps its backups forever")
    vaults = 1 + len(rule.get("CopyActions", ()))
    return Backups(_days_between(rule["ScheduleExpression"]), float(days), vaults)


def _days_between(cron: str) -> float:
    """Days between two backups: monthly where the day of the month is fixed, else weekly or daily.

    Raises ValueError for anything but a cron expression of EventBridge's six fields.
    """
    fields = cron.removeprefix("cron(").removesuffix(")").split()
    if len(fields) != CRON_FIELDS:
        raise ValueError(f"{cron!r} must be a cron expression of six fields")
    _, _, day_of_month, _, day_of_week, _ = fields
    if day_of_month not in ("*", "?"):
        return DAYS_PER_MONTH
    return 7.0 if day_of_week not in ("*", "?") else 1.0
