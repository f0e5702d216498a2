"""`make rebuild-totals`: compare the totals with the payments, report and repair differences.

In the local stage, or with `--stage NAME` in your own AWS account, with your credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import TaskID

from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace
from operations.stage_tables import stage_tables
from operations.totals.books import TotalsScan
from operations.totals.reconciler import (
    CheckReport,
    Difference,
    TotalsReconcilerDependencies,
    check_totals,
)
from operations.totals.snapshot import SnapshotDependencies
from runtime.core.money import format_amount
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition.real_outside import real_outside
from runtime.merchants.repository import MerchantRepository
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.repository import PaymentRepository
from runtime.reporting.totals.models import FIGURES
from runtime.reporting.totals.reader import TotalsReader
from runtime.reporting.totals.repository import TotalsRepository

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PATIENT_SECONDS: Final = 60.0
"""How long one call may be retried while the tables are busy."""
_TABLES: Final = ("merchants", "payments", "totals")
_AMOUNTS: Final = frozenset({"captured", "refunded", "fees"})


class TotalsAreWrong(LocalError):
    """Totals differ from the payments, and were not repaired."""


def rebuild_totals(
    workspace: Workspace,
    progress: Progress,
    *,
    repair: bool,
    stage: str | None,
    restored: str | None = None,
) -> None:
    """Check all totals and print what was found.

    Raises:
        TotalsAreWrong: totals differ from the payments, and are not repaired.
        LocalError: the stage is not deployed, or cannot be reached.
    """
    client, tables = stage_tables(workspace, progress, stage, restored)
    with progress.rows() as bars:
        tasks: dict[str, TaskID] = {}

        def counted(table: str, rows: int) -> None:
            # DynamoDB counts a table's rows only every few hours.
            if table not in tasks:
                about = client.describe_table(TableName=tables[table])["Table"]["ItemCount"]
                tasks[table] = bars.add_task(table, total=about or None)
            bars.advance(tasks[table], rows)

        report = check_totals(_dependencies(client, tables, counted), repair=repair)
        for task in tasks.values():
            bars.update(task, total=bars.tasks[task].completed)
    _print(report)


def _dependencies(
    client: DynamoDBClient, tables: Mapping[str, str], counted: Callable[[str, int], None]
) -> TotalsReconcilerDependencies:
    mine = {name: tables[name] for name in _TABLES}
    store = Store(client, mine, Codec(NoCipher()), lambda: PATIENT_SECONDS, real_outside())
    totals, payments = TotalsRepository(store), PaymentRepository(store)
    merchants = MerchantRepository(store)
    return TotalsReconcilerDependencies(
        books=TotalsScan(store),
        totals=totals,
        payments=payments,
        look=SnapshotDependencies(
            totals,
            TotalsReader(totals, store.outside.sleep),
            payments,
            PaymentLists(store),
            merchants,
        ),
        outside=store.outside,
        progress=counted,
    )


def _print(report: CheckReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{report.payments} payments in {report.groups} groups of merchant, day, currency"
    )
    for difference in report.differences:
        for line in _lines(difference):
            console.print(f"  {' '.join(difference.group)}: {line}")
    for group in report.unsettled:
        console.print(f"  {' '.join(group)} kept changing; run the command again")
    if not report.holds:
        raise TotalsAreWrong(
            "Totals differ from the payments.",
            hint='Repair them: make rebuild-totals ARGS="--repair"; see docs/operations.md.',
        )
    others = "All other totals" if report.unsettled else "The totals"
    console.print(f"{others} agree with the payments.")


def _lines(difference: Difference) -> Iterator[str]:
    """The errors of a group: each figure, and the payments that are counted incorrectly."""
    expected, found = difference.expected.model_dump(), difference.found.model_dump()
    became = "[green]repaired[/]" if difference.repaired else "[red]wrong[/]"
    for name in FIGURES:
        if expected[name] != found[name]:
            right, there = (
                format_amount(each, difference.group.currency) if name in _AMOUNTS else str(each)
                for each in (expected[name], found[name])
            )
            yield f"{name.replace('_', ' ')}: expected {right}, found {there}, {became}"
    if difference.miscounted:
        yield f"counted with outdated values: {', '.join(difference.miscounted)}, {became}"
