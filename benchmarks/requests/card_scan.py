"""The cost of searching a request for card numbers, compared with the literal definition.

The bodies are the most expensive ones of 64 KB, and an ordinary one. CPU time of this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.setting import BenchmarkDependencies
from runtime.http.card_data import find_card_data
from tests.support.oracles.card_bodies import ORDINARY, worst_bodies
from tests.support.oracles.card_definition import holds_card_number_by_definition

MOST_MS: Final = 20.0
"""Target, printed beside the figures."""
_SLOW_MS: Final = 200.0
"""Anything slower than this is measured only once."""


def run(bench: BenchmarkDependencies) -> None:
    """Measure in this process, and print."""
    table = Table(
        "search for card numbers, CPU ms", "by definition", "measured", "target", box=SIMPLE
    )
    times, bodies = bench.size.card_scan_times, {"an ordinary body": ORDINARY, **worst_bodies()}
    with bench.progress.step("Measure the search for card numbers"):
        for name, body in islice(bodies.items(), bench.size.most_bodies):
            literal = _cpu_ms(_by_definition, body, times)
            ours = _cpu_ms(find_card_data, body, times)
            table.add_row(name, f"{literal:.2f}", f"{ours:.2f}", f"< {MOST_MS:.0f}")
    bench.console.print(table)


def _by_definition(value: Any) -> bool:
    if isinstance(value, dict):
        return any(holds_card_number_by_definition(str(name)) for name in value) or any(
            _by_definition(member) for member in value.values()
        )
    if isinstance(value, list):
        return any(_by_definition(member) for member in value)
    return holds_card_number_by_definition(str(value))


def _cpu_ms(search: Callable[[Any], object], body: Any, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        begun = time.process_time()
        search(body)
        best = min(best, (time.process_time() - begun) * 1000)
        if best > _SLOW_MS:
            break
    return best
