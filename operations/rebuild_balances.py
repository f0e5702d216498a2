"""`make rebuild-balances`: compare hot accounts with the transfers, report and add missing ones.

In the local stage, or with `--stage NAME` in your own AWS account, with your credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace
from operations.balances_reconciler import (
    CUT,
    BalanceDifference,
    BalancesDependencies,
    BalancesReport,
    check_balances,
)
from operations.stage_tables import stage_tables
from runtime.core.money import format_amount
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition.real_outside import real_outside
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.projection import ShardProjection
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.transfers.repository import TransferRepository
from runtime.verification.books_repository import VerificationReads

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PATIENT_SECONDS: Final = 60.0
"""How long one call may be retried while the tables are busy."""
REBUILT_BY: Final = "system:rebuild-balances"
"""The author of repaired balances in the audit log; CloudTrail has the user."""
_TABLES: Final = ("accounts", "entries", "transfers")


class BalancesAreWrong(LocalError):
    """Hot accounts lack transfers, which were not added."""


def rebuild_balances(
    workspace: Workspace,
    progress: Progress,
    *,
    repair: bool,
    stage: str | None,
    restored: str | None = None,
) -> None:
    """Check all hot accounts and print what was found.

    Raises:
        BalancesAreWrong: hot accounts lack transfers, and are not repaired.
        LocalError: the stage is not deployed, or cannot be reached.
    """
    client, tables = stage_tables(workspace, progress, stage, restored)
    with progress.rows() as bars:
        task = bars.add_task("transfers", total=None)
        deps = _dependencies(client, tables, lambda rows: bars.advance(task, rows))
        report = check_balances(deps, repair=repair)
        bars.update(task, total=bars.tasks[task].completed)
    _print(report)


def _dependencies(
    client: DynamoDBClient, tables: Mapping[str, str], counted: Callable[[int], None]
) -> BalancesDependencies:
    mine = {name: tables[name] for name in _TABLES}
    store = Store(client, mine, Codec(NoCipher()), lambda: PATIENT_SECONDS, real_outside())
    shard_rows = ShardRepository(store)
    outside = store.outside
    run_id = outside.new_id("rbd", outside.now())

    return BalancesDependencies(
        books=VerificationReads(store),
        transfers=TransferRepository(store),
        shard_rows=shard_rows,
        folding=ShardProjection(
            shard_rows,
            AccountRepository(store),
            outside,
            lambda: run_id,
            _NoParking(),
            REBUILT_BY,
        ),
        entries=EntryRepository(store),
        outside=outside,
        progress=counted,
    )


class _NoParking:
    """Credits added here come from no stream, so no record can be parked."""

    def park(self, table: str, sequence_number: str, raw: Mapping[str, Any], reason: str) -> None:
        raise AssertionError(f"{sequence_number} of {table} came from no stream: {reason}")


def _print(report: BalancesReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    minutes = int(CUT.total_seconds() // 60)
    console.print(f"{report.transfers} transfers; those of the last {minutes} minutes are left out")
    left = {each.account_id for each in report.left}
    for each in report.differences:
        became = "[red]wrong[/]" if each.account_id in left else "[green]repaired[/]"
        console.print(f"  {each.account_id}: {_told(each)}, {became}")
    if any(each.ahead for each in report.left):
        raise BalancesAreWrong(
            "Hot accounts contain operations that have no entries; nothing was added to them.",
            hint="Tables of different instants? Restore them again: docs/runbooks/restore.md.",
        )
    if not report.holds:
        raise BalancesAreWrong(
            "Hot accounts lack transfers.",
            hint='Add them: make rebuild-balances ARGS="--repair"; see docs/operations.md.',
        )
    console.print("The hot accounts have all of their transfers.")


def _told(each: BalanceDifference) -> str:
    expected, found = (format_amount(sum_, each.currency) for sum_ in (each.expected, each.found))
    more = ", …" if each.missing > len(each.named) else ""
    return (
        f"expected {expected}, found {found}; {each.missing} transfers have no entry: "
        f"{', '.join(each.named)}{more}{_ahead(each)}"
    )


def _ahead(each: BalanceDifference) -> str:
    if not each.ahead:
        return ""
    return f"; its shards {', '.join(each.ahead)} contain operations without entries"
