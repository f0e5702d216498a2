"""What stacks/costs/uses.json says is what the code uses: counted again, and compared."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.bill.__main__ import counted_uses_of, rounded_use
from benchmarks.bill.canary_run import counted_canary
from benchmarks.bill.counting import Sample, counted_operation
from benchmarks.bill.go_example import counted_go_sale
from runtime.core.fields import ProcessorMode
from stacks.costs.uses import Operation, Use, counted_uses

COUNT_AGAIN = (
    "what an operation uses has changed: run make cost-uses, then make cost ARGS=--update-guide"
)
OF_THE_MACHINE = {"cpu_seconds", "log_bytes"}
"""CPU differs, and so do the digits of the durations in a log line."""


def counted(uses: Mapping[str, Use]) -> dict[str, dict[str, float]]:
    """What does not depend on the machine."""
    return {
        function: {n: v for n, v in rounded_use(use) if n not in OF_THE_MACHINE}
        for function, use in uses.items()
    }


def assert_same(name: str, again: Operation, written: Operation) -> None:
    assert counted(again.alone) == counted(written.alone), f"{name}: {COUNT_AGAIN}"
    assert counted(again.together) == counted(written.together), f"{name}: {COUNT_AGAIN}"
    assert sum(each.item_bytes for each in again.stored) == pytest.approx(
        sum(each.item_bytes for each in written.stored), rel=0.01
    ), f"{name}: {COUNT_AGAIN}"


def test_a_sale_uses_what_the_file_says() -> None:
    again = counted_operation("sale", 0.0, Sample())
    assert_same("sale", again, counted_uses().operations["sale"])


def test_a_sale_of_the_go_example_uses_what_the_file_says() -> None:
    assert_same("Go example", counted_go_sale(), counted_uses().go_example_sale)


@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_run_of_the_canary_uses_what_the_file_says(mode: ProcessorMode) -> None:
    again, written = counted_canary(mode, 0.0), counted_uses().canary[mode]
    assert_same(f"canary ({mode})", again, written)
    assert again.routes == written.routes


@pytest.mark.deep
def test_everything_uses_what_the_file_says() -> None:
    again, written = counted_uses_of(0.0, ""), counted_uses()
    assert again.operations.keys() == written.operations.keys()
    for name, operation in again.operations.items():
        assert_same(name, operation, written.operations[name])
    assert counted({name: run.fixed for name, run in again.runs.items()}) == counted(
        {name: run.fixed for name, run in written.runs.items()}
    ), COUNT_AGAIN
    assert again.tables == written.tables, COUNT_AGAIN
