"""What a stage stores after some months."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.costs.canary import CANARY, canary_run
from stacks.costs.prices import DAYS_PER_MONTH, GIGABYTE
from stacks.costs.resources import StageResources
from stacks.costs.uses import Operation, Uses
from stacks.costs.workload import Workload


@dataclass(frozen=True)
class Storage:
    """Gigabytes of table items, of their index entries, and of the audit log's archive."""

    item_gigabytes: float = 0.0
    entry_gigabytes: float = 0.0
    archive_gigabytes: float = 0.0

    @property
    def table_gigabytes(self) -> float:
        """Items and entries."""
        return self.item_gigabytes + self.entry_gigabytes

    def plus(self, other: Storage) -> Storage:
        """Both together."""
        return Storage(
            self.item_gigabytes + other.item_gigabytes,
            self.entry_gigabytes + other.entry_gigabytes,
            self.archive_gigabytes + other.archive_gigabytes,
        )


def stored_after(workload: Workload, resources: StageResources, uses: Uses, months: int) -> Storage:
    """What is left of so many equal months, with what the stage's canary leaves."""
    total = Storage()
    run = canary_run(resources, uses)
    if run is not None:
        total = stored_by(run, resources.runs[CANARY], months)
    for name, count in workload.operations().items():
        total = total.plus(stored_by(uses.operations[name], count, months))
    return total


def stored_by(operation: Operation, count_per_month: float, months: int) -> Storage:
    """What one operation leaves, done so often in each month. What expires stays so many days."""
    items = entries = 0.0
    for each in operation.stored:
        kept = float(months)
        if each.days is not None:
            kept = min(each.days / DAYS_PER_MONTH, kept)
        items += each.item_bytes * count_per_month * kept
        entries += each.entry_bytes * count_per_month * kept
    archived = operation.archived_bytes * count_per_month * months
    return Storage(items / GIGABYTE, entries / GIGABYTE, archived / GIGABYTE)
