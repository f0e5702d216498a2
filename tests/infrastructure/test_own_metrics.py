"""Every metric of our own counts lines that the platform really logs.

A simulated stage with faults is played, tampered with and brought into each kind of failure; its
log lines are given to the metric filters of the templates.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import pytest

from runtime.core.observability import VERSION_FIELD, logger
from simulation.platform.plan import Part, Plan
from simulation.platform.world import Platform
from stacks.own_metrics import LINE_METRICS, OwnMetric
from tests.infrastructure.synthesized import Resource, Synthesized
from tests.support.metric_filters import MetricFilter
from tests.support.simulation.log_lines import LogLines
from tests.support.simulation.provoked import canary_runs, provoke

OPERATIONS = 150
LINES_OF_A_KIND = 20
MOST_FILTERS_OF_A_GROUP = 100
MOST_PATTERN_CHARACTERS = 1_024
MOST_DIMENSIONS = 3
"""CloudWatch Logs API Reference, PutMetricFilter."""

Line = Mapping[str, object]


@pytest.fixture(scope="module")
def lines() -> Iterator[Mapping[str, list[Line]]]:
    """Log lines by function."""
    plan = Plan.drawn("metrics", OPERATIONS, parts=(Part.FAULTS, Part.EDITS))
    platform = Platform("metrics", plan)
    heard = LogLines(platform.scheduler, LINES_OF_A_KIND)
    heard.install()
    logger.append_keys(**{VERSION_FIELD: "7"})  # as runtime/functions/start.py does
    platform.run()
    platform.settle()
    assert platform.tamper() == []
    with pytest.MonkeyPatch.context() as patched:
        provoke(platform, patched)
    with heard.as_function("canary"):
        canary_runs()
    yield heard.by_function
    logger.remove_keys([VERSION_FIELD])


def _function_of(group: Resource, stage: Synthesized) -> str:
    """The service whose function logs into the group that a metric filter reads."""
    name = stage.flat(group.properties["LogGroupName"])
    (service,) = (
        service
        for service, function in stage.functions().items()
        if stage.flat(function.properties["LoggingConfig"]["LogGroup"]) == name
    )
    return service


def test_every_metric_counts_lines_of_its_function(
    prod: Synthesized, lines: Mapping[str, list[Line]]
) -> None:
    counted: Counter[str] = Counter()
    for resource in prod.all("AWS::Logs::MetricFilter"):
        made = MetricFilter.of(resource.properties)
        values = [made.counts(line) for line in lines[_function_of(resource, prod)]]
        counted[made.name] += sum(value is not None for value in values)
    assert set(OwnMetric) <= set(counted)
    assert [name for name, times in counted.items() if not times] == []


def test_metrics_of_values_have_values_above_zero(
    prod: Synthesized, lines: Mapping[str, list[Line]]
) -> None:
    most: dict[str, float] = defaultdict(float)
    of_values = {each.metric for each in LINE_METRICS if each.value.startswith("$")}
    for resource in prod.all("AWS::Logs::MetricFilter"):
        made = MetricFilter.of(resource.properties)
        if made.name in of_values:
            values = [made.counts(line) or 0.0 for line in lines[_function_of(resource, prod)]]
            most[made.name] = max(most[made.name], *values)
    assert most.keys() == of_values
    assert [name for name, value in most.items() if value <= 0] == []


def test_filters_stay_within_the_quotas(stage: Synthesized) -> None:
    groups: Counter[str] = Counter()
    for resource in stage.all("AWS::Logs::MetricFilter"):
        made = MetricFilter.of(resource.properties)
        groups[stage.flat(resource.properties["LogGroupName"])] += 1
        assert len(made.pattern) <= MOST_PATTERN_CHARACTERS
        assert len(made.dimensions) <= MOST_DIMENSIONS
        assert "merchant" not in str(made.dimensions), "a metric for each merchant costs too much"
    assert max(groups.values()) <= MOST_FILTERS_OF_A_GROUP
