"""`make bench`: run every measurement and print its table.

Times are those of this machine and an emulator, never of AWS; only the ratios say something.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console

from benchmarks import (
    bytecode,
    card_scan,
    encryption,
    export,
    payout,
    reconcile,
    resolver,
    sale,
    transfer,
)
from local.errors import LocalError
from local.progress import Progress

_MEASUREMENTS = {
    "transfer": transfer.run,
    "sale": sale.run,
    "payout": payout.run,
    "resolver": resolver.run,
    "reconcile": reconcile.run,
    "export": export.run,
    "encryption": encryption.run,
    "bytecode": bytecode.run,
    "card-scan": card_scan.run,
}


def _chosen(names: list[str]) -> list[Callable[[Console, Progress], None]]:
    unknown = sorted(set(names) - set(_MEASUREMENTS))
    if unknown:
        raise LocalError(
            f"There is no measurement {', '.join(unknown)}.",
            hint=f'Known: {", ".join(_MEASUREMENTS)}. Example: make bench ARGS="transfer"',
        )
    return [run for name, run in _MEASUREMENTS.items() if name in names or not names]


def main() -> int:
    """Exit code 1 with one message when the emulator or the build is not to be had."""
    progress = Progress()
    console = Console(highlight=False)
    if not console.is_terminal:  # in a file rich assumes 80 columns, and would break every title
        console = Console(highlight=False, width=150)
    try:
        for measurement in _chosen(sys.argv[1:]):
            measurement(console, progress)
    except LocalError as error:
        progress.failed(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
