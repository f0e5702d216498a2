"""All checks of a platform at rest, after its clients have ended and everything has settled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from runtime.domain.instants import to_instant
from simulation.outside import BEGINNING
from simulation.watch.answers import answer_faults
from simulation.watch.histories import linearizable
from simulation.watch.settled.books import account_amounts, ledger_faults
from simulation.watch.settled.effects import effect_faults
from simulation.watch.settled.model import model_faults
from simulation.watch.settled.open_things import open_faults
from simulation.watch.settled.rows import Rows
from simulation.watch.settled.sandbox import sandbox_faults
from simulation.watch.settled.settlements import settlement_faults
from simulation.watch.settled.totals import total_faults
from simulation.watch.settled.webhooks import webhook_faults

if TYPE_CHECKING:
    from simulation.platform.world import Platform


def check_settled(platform: Platform) -> list[str]:
    """What is wrong with a platform at rest; empty if nothing is. Each begins with its rule."""
    return list(_named(platform))


def _named(platform: Platform) -> Iterator[str]:
    watch = platform.watch
    rows = Rows({name: platform.database.tables[t].items for name, t in platform.tables.items()})
    edited = {edit.key[0] for edit in watch.edits}
    now = to_instant(BEGINNING + timedelta(seconds=platform.scheduler.now))
    checks: dict[str, Iterable[str]] = {
        "defect": (repr(error) for error in platform.log.defects),
        "answer": answer_faults(platform.history),
        "linearizability": linearizable(platform.history, edited),
        "ledger at rest": ledger_faults(rows, watch.rules.ledger, edited),
        "model": model_faults(platform.history, account_amounts(rows), now),
        "effects": effect_faults(platform.history, watch.rules.made, rows),
        "open": open_faults(rows, now),
        "totals": total_faults(rows, edited),
        "sandbox": sandbox_faults(rows),
        "settlement": settlement_faults(rows),
        "webhooks": webhook_faults(watch.rules.news, platform.deliveries),
    }
    for rule, faults in checks.items():
        for fault in faults:
            yield f"{rule}: {fault}"
