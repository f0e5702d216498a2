"""What the search of a request for card numbers costs, beside its definition taken literally.

The bodies are the worst that 64 KB can hold, and an ordinary one. CPU time of this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from local.progress import Progress
from runtime.domain.card_data import find_card_data
from tests.support.card_bodies import ORDINARY, worst_bodies
from tests.support.card_definition import holds_card_number_by_definition

MOST_MS: Final = 20.0
"""Target, printed beside the figures."""
TIMES: Final = 5
_SLOW_MS: Final = 200.0
"""What takes this long is measured once."""


def run(console: Console, progress: Progress) -> None:
    """Measure in this process, and print."""
    table = Table(
        "search for card numbers, CPU ms", "by definition", "measured", "target", box=SIMPLE
    )
    with progress.step("Measure the search for card numbers"):
        for name, body in {"an ordinary body": ORDINARY, **worst_bodies()}.items():
            literal = _cpu_ms(_by_definition, body)
            ours = _cpu_ms(find_card_data, body)
            table.add_row(name, f"{literal:.2f}", f"{ours:.2f}", f"< {MOST_MS:.0f}")
    console.print(table)


def _by_definition(value: Any) -> bool:
    if isinstance(value, dict):
        return any(holds_card_number_by_definition(str(name)) for name in value) or any(
            _by_definition(member) for member in value.values()
        )
    if isinstance(value, list):
        return any(_by_definition(member) for member in value)
    return holds_card_number_by_definition(str(value))


def _cpu_ms(search: Callable[[Any], object], body: Any) -> float:
    best = float("inf")
    for _ in range(TIMES):
        begun = time.process_time()
        search(body)
        best = min(best, (time.process_time() - begun) * 1000)
        if best > _SLOW_MS:
            break
    return best
