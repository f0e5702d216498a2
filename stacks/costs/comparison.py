"""The bill beside other ways: what changes it most, and the Go example's layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from stacks.costs.bill import Bill, bill_of
from stacks.costs.prices import PriceList
from stacks.costs.resources import StageResources
from stacks.costs.storage import stored_by
from stacks.costs.uses import Operation, Uses
from stacks.costs.workload import Workload


@dataclass(frozen=True)
class Change:
    """A difference in the workload or the stage, and the dollars that it adds to a month."""

    what: str
    dollars: float


def sensitivity(
    bill: Bill, resources: StageResources, uses: Uses, prices: PriceList
) -> Iterator[Change]:
    """What the month would cost more or less, one difference at a time."""
    ours = bill.workload
    different: dict[str, dict[str, object]] = {
        "every operation derived by itself": {"busy": 0.0},
        "every operation derived in full batches": {"busy": 1.0},
        "no sale names a customer": {"customers": 0.0},
        "every payment is authorized first": {"holds": 1.0},
        "no webhooks": {"webhooks": 0.0},
        "one more read of each payment": {"reads": ours.reads + 1.0},
        "a year later": {"months": ours.months + 12},
    }
    for what, changes in different.items():
        changed = Workload.model_validate({**ours.model_dump(), **changes})
        other = bill_of(changed, resources, uses, prices)
        yield Change(what, other.dollars - bill.dollars)
    functions = {name: replace(f, is_traced=False) for name, f in resources.functions.items()}
    untraced = bill_of(ours, replace(resources, functions=functions), uses, prices)
    yield Change("no traces (X-Ray)", untraced.dollars - bill.dollars)


@dataclass(frozen=True)
class Sales:
    """A month of plain sales in one layout: dollars by what they are for."""

    write_units: float
    read_units: float
    calls: float
    dollars: dict[str, float]

    @property
    def total(self) -> float:
        """The sum."""
        return sum(self.dollars.values())


def sales_of(
    operation: Operation,
    function_names: tuple[str, ...],
    workload: Workload,
    resources: StageResources,
    prices: PriceList,
) -> Sales:
    """As many plain sales as the workload has payments: only what each layout needs for them.

    `function_names`: whose work is counted. Without logs, traces and point-in-time recovery, which
    are settings of a stage, not of a layout. Stored data are those of the workload's months.
    """
    count = workload.payments
    uses = {
        name: operation.use(name, workload.together_share(resources.windows.get(name, 0.0)))
        for name in function_names
    }
    lambda_dollars = sum(
        prices["lambda-request"].of(use.invocations * count)
        + prices[f"lambda-{resources.functions[name].architecture}"].of(
            use.seconds(resources.functions[name].memory_megabytes)
            * resources.functions[name].memory_megabytes
            / 1_024
            * count
        )
        for name, use in uses.items()
    )
    writes = sum(use.write_units for use in uses.values())
    reads = sum(use.read_units for use in uses.values())
    storage = stored_by(operation, count, workload.months)
    dollars = {
        "writes": prices["dynamodb-write"].of(writes * count),
        "reads": prices["dynamodb-read"].of(reads * count),
        "Lambda": lambda_dollars,
        "API Gateway": prices["gateway-request"].of(count),
        "S3": prices["s3-put"].of(sum(use.s3_puts for use in uses.values()) * count)
        + prices["s3-storage"].of(storage.archive_gigabytes),
        "stored in tables": prices["dynamodb-storage"].of(storage.table_gigabytes),
    }
    return Sales(writes, reads, sum(use.calls for use in uses.values()), dollars)
