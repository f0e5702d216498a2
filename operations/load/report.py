"""How a load test is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from operations.load.measurements import Measurements
from operations.load.pacing import LATE_SECONDS, Pace
from operations.load.requests import Operation

if TYPE_CHECKING:
    from operations.load.run import Result

SHOWN: Final = 10
"""Problems of a check, and requests of unknown outcome, that are printed."""


def print_report(console: Console, pace: Pace, result: Result) -> None:
    """Latencies, errors, requests of unknown outcome, and the checks."""
    _print_latencies(console, result.measured)
    done = result.paced
    console.print(
        f"  {done.started} requests in {done.seconds:.1f} s: {done.rate:.1f}/s, wanted "
        f"{pace.rate:g}/s by up to {pace.clients} clients at once.",
        soft_wrap=True,
    )
    if done.late:
        console.print(
            f"  {done.late} of them began more than {LATE_SECONDS:g} s late: all clients were "
            "waiting for answers, or this machine was busy.",
            soft_wrap=True,
        )
    _print_errors(console, result.measured)
    if result.unknown:
        console.print(f"  Unknown outcomes: {len(result.unknown)}")
        for request in result.unknown[:SHOWN]:
            console.print(f"    {escape(str(request))}", soft_wrap=True)
    _print_checks(console, result)


def _print_latencies(console: Console, measured: Measurements) -> None:
    titles = ("attempts", "answers", "p50 ms", "p95 ms", "p99 ms", "max ms")
    columns = [Column(title, justify="right") for title in titles]
    table = Table("operation", *columns, box=SIMPLE)
    for operation in Operation:
        attempts = measured.attempts[operation]
        if not attempts:
            continue
        answers = len(measured.latencies.get(operation, ()))
        found = measured.summarized(operation)
        shown = ["-"] * 4 if found is None else [f"{each * 1000:.0f}" for each in found]
        table.add_row(operation, str(attempts), str(answers), *shown)
    console.print(table)


def _print_errors(console: Console, measured: Measurements) -> None:
    if not measured.errors:
        return
    table = Table("operation", "not done", Column("attempts", justify="right"), box=SIMPLE)
    for (operation, kind), count in sorted(measured.errors.items()):
        table.add_row(operation, escape(kind), str(count))
    console.print(table)


def _print_checks(console: Console, result: Result) -> None:
    table = Table("check", Column("compared", justify="right"), "holds", box=SIMPLE)
    for check in result.checks:
        holds = "[green]yes[/]" if check.holds else f"[red]no: {len(check.problems)}[/]"
        table.add_row(check.name, str(check.counted), holds)
    console.print(table)
    for check in result.checks:
        for problem in check.problems[:SHOWN]:
            console.print(f"  {check.name}: {escape(problem)}", soft_wrap=True)
