"""The tests' evaluator of metric filters does what CloudWatch documents."""

from __future__ import annotations

import pytest

from tests.support.metric_filters import MetricFilter, matches

LINE = {"message": "served", "status": 201, "replayed": False, "database": {"retries": 2}}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.message = "served" }', True),
        ('{ $.message = "refused" }', False),
        ('{ ($.message = "served") && ($.status = 201) && ($.replayed IS FALSE) }', True),
        ('{ ($.message = "served") && ($.replayed IS TRUE) }', False),
        ('{ ($.message = "refused") || ($.status >= 200) }', True),
        ("{ $.status >= 500 }", False),
        ('{ ($.message = "served") && (($.status = 404) || ($.status = 201)) }', True),
        ('{ $.status = "201" }', False),
        ("{ $.database.retries = 2 }", True),
        ("{ $.missing = 2 }", False),
    ],
)
def test_a_pattern_matches_by_the_fields_of_a_line(pattern: str, expected: bool) -> None:
    assert matches(pattern, LINE) is expected


@pytest.mark.parametrize(
    "pattern",
    ["served", "{ $.status != 3 }", '{ ($.a = "b") && ($.c = 1) || ($.d = 2) }', "{ ($.a = 1 }"],
)
def test_syntax_that_is_not_evaluated_is_an_error(pattern: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        matches(pattern, {"a": "b", "c": 1})


def test_a_line_counts_by_a_field_and_only_with_its_dimensions() -> None:
    made = {"MetricNamespace": "n", "MetricName": "m", "MetricValue": "$.database.retries"}
    of = {"FilterPattern": '{ $.message = "served" }', "MetricTransformations": [made]}
    assert MetricFilter.of(of).counts(LINE) == 2.0
    assert MetricFilter.of(of).counts({"message": "served", "database": {}}) is None
    made_by_kind = {**made, "Dimensions": [{"Key": "Kind", "Value": "$.kind"}]}
    of_kind = {**of, "MetricTransformations": [made_by_kind]}
    assert MetricFilter.of(of_kind).counts(LINE) is None
    assert MetricFilter.of(of_kind).counts({**LINE, "kind": "x"}) == 2.0
