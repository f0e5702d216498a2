"""The dashboard shows metrics that exist, and says how to read them."""

from __future__ import annotations

import itertools
import re

import pytest

from runtime.api.endpoints import ENDPOINTS
from stacks.dashboard.panels import COLUMNS
from stacks.dashboard.traffic import ROUTE_GROUPS
from stacks.runbooks import PAGE, Guide, Runbook
from stacks.stage import StageConfig, StageError
from tests.infrastructure.named_metrics import (
    OF_AWS,
    Named,
    dashboard,
    fault_of,
    of_alarms,
    of_widget,
)
from tests.infrastructure.synthesized import (
    ROOT,
    Json,
    Synthesized,
    cdk_json_context,
)
from tests.support.metric_filters import MetricFilter

MOST_WIDGETS, MOST_METRICS_OF_WIDGET, MOST_METRICS = 500, 500, 2_500
"""CloudWatch quotas, of a dashboard; expressions count as metrics."""
MOST_ALARMS_OF_WIDGET = 100
MOST_EXPRESSION_CHARACTERS = 2_048
"""CloudWatch API Reference, MetricDataQuery."""
ID = re.compile(r"\b[a-z]\w*\b")


def _graphs(stage: Synthesized) -> list[Json]:
    return [each for each in dashboard(stage)["widgets"] if each["type"] == "metric"]


def _metrics(stage: Synthesized) -> list[Named]:
    return [metric for graph in _graphs(stage) for metric in of_widget(graph)]


def test_every_metric_of_aws_is_published_for_a_resource_of_the_templates(
    prod: Synthesized,
) -> None:
    named = [*_metrics(prod), *of_alarms(prod)]
    of_aws = [metric for metric in named if metric.namespace.startswith("AWS/")]
    assert len(of_aws) > 500
    faults = {fault for metric in of_aws if (fault := fault_of(metric, prod)) is not None}
    assert sorted(faults) == []
    assert {metric.namespace for metric in of_aws} == set(OF_AWS), "a page that nothing needs"


def test_every_metric_of_our_own_is_made_from_log_lines(prod: Synthesized) -> None:
    filters = [MetricFilter.of(each.properties) for each in prod.all("AWS::Logs::MetricFilter")]
    made = {(each.namespace, each.name, frozenset(each.dimensions)) for each in filters}
    named = {
        (metric.namespace, metric.name, frozenset(metric.dimensions))
        for metric in (*_metrics(prod), *of_alarms(prod))
        if not metric.namespace.startswith("AWS/")
    }
    assert {namespace for namespace, _, _ in made} == {"payments/prod"}
    assert len(named) > 20
    assert sorted(map(str, named - made)) == []
    by_one_field = {name for _, name, dimensions in made - named if dimensions}
    assert by_one_field == {"Alerts", "TokensRefused"}, "for whoever looks for the reason"
    assert {name for _, name, dimensions in made - named if not dimensions} == set()


def test_widgets_lie_side_by_side_within_the_grid(cloud_stage: Synthesized) -> None:
    widgets = dashboard(cloud_stage)["widgets"]
    cells = [
        (column, row)
        for each in widgets
        for column in range(each["x"], each["x"] + each["width"])
        for row in range(each["y"], each["y"] + each["height"])
    ]
    assert len(cells) == len(set(cells)), "two widgets overlap"
    assert max(column for column, _ in cells) < COLUMNS


def test_the_dashboard_stays_within_the_quotas(prod: Synthesized) -> None:
    widgets = dashboard(prod)["widgets"]
    sizes = [len(each["properties"].get("metrics", ())) for each in widgets]
    assert len(widgets) <= MOST_WIDGETS
    assert max(sizes) <= MOST_METRICS_OF_WIDGET
    assert sum(sizes) <= MOST_METRICS
    for each in widgets:
        assert len(each["properties"].get("alarms", ())) <= MOST_ALARMS_OF_WIDGET


def test_expressions_use_ids_of_their_own_graph(prod: Synthesized) -> None:
    expressions = 0
    for graph in _graphs(prod):
        options = [each[-1] for each in graph["properties"]["metrics"]]
        ids = [each["id"] for each in options if "id" in each]
        assert len(ids) == len(set(ids)), graph["properties"]["title"]
        for each in options:
            if "expression" in each:
                expressions += 1
                assert set(ID.findall(each["expression"])) <= set(ids), each["expression"]
                assert len(each["expression"]) <= MOST_EXPRESSION_CHARACTERS
    assert expressions > 30


def test_each_graph_has_a_unit_and_below_it_how_to_read_it_with_a_runbook(
    prod: Synthesized,
) -> None:
    widgets = dashboard(prod)["widgets"]
    below = {(each["x"], each["y"]): each for each in widgets if each["type"] == "text"}
    headings = {each.heading for each in (*Runbook, *Guide)}
    for graph in _graphs(prod):
        title = graph["properties"]["title"]
        unit = graph["properties"]["yAxis"]["left"]["label"]
        assert re.fullmatch(rf"[A-Z].+ \({unit}\)", title), title
        text = below[graph["x"], graph["y"] + graph["height"]]["properties"]["markdown"]
        found = re.fullmatch(rf"[A-Z0-9][^\n]+[.;] \[(.+)\]\({PAGE}#\S+\)", text)
        assert found is not None, text
        assert found[1] in headings
    titles = [each["properties"]["title"] for each in _graphs(prod)]
    assert len(set(titles)) == len(titles)


def test_every_guide_is_a_heading_of_the_operations_page() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / PAGE).read_text(), re.MULTILINE)
    for each in Guide:
        assert headings.count(each.heading) == 1, each


def test_every_route_is_in_one_group() -> None:
    for endpoint in ENDPOINTS:
        groups = [group.title for group in ROUTE_GROUPS if group.includes(endpoint)]
        assert len(groups) == 1, (endpoint.operation, groups)
    tags = {endpoint.tag for endpoint in ENDPOINTS}
    assert set(itertools.chain.from_iterable(group.tags for group in ROUTE_GROUPS)) == tags


def test_the_dashboard_shows_the_state_of_every_alarm(prod: Synthesized) -> None:
    shown = [
        arn.rpartition(":alarm:")[2]
        for each in dashboard(prod)["widgets"]
        if each["type"] == "alarm"
        for arn in each["properties"]["alarms"]
    ]
    names = [prod.flat(each.properties["AlarmName"]) for each in prod.all("AWS::CloudWatch::Alarm")]
    lasting = [name for name in names if "$" not in name]
    assert sorted(shown) == sorted(lasting), "all but those that end with a deployment"


def test_the_dashboard_keeps_no_other_stack_from_being_rolled_back(prod: Synthesized) -> None:
    template = str(prod.templates["observability"])
    assert "Fn::ImportValue" not in template
    assert "Fn::GetStackOutput" in template


def test_the_local_stage_has_no_dashboard(stage: Synthesized) -> None:
    is_local = stage.name == "local"
    assert len(stage.all("AWS::CloudWatch::Dashboard")) == (0 if is_local else 1)
    assert ("observability" not in stage.stacks) is is_local


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_a_dashboard_without_the_log_lines_of_its_metrics_is_refused(level: str) -> None:
    stages = cdk_json_context()["stages"]
    stages["dev"]["log_level"] = level
    with pytest.raises(StageError, match="dashboard needs log_level INFO or DEBUG"):
        StageConfig.named("dev", stages)
    stages["dev"]["dashboard"] = False
    assert StageConfig.named("dev", stages).log_level == level
