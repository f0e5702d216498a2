"""`make bench`: run every measurement and print its table.

Times are those of this machine and an emulator, never of AWS; only the ratios say something.
"""

from __future__ import annotations

import sys

from rich.console import Console

from benchmarks import bytecode, sale
from local.errors import LocalError
from local.progress import Progress


def main() -> int:
    """Exit code 1 with one message when the emulator or the build is not to be had."""
    progress = Progress()
    console = Console(highlight=False)
    try:
        sale.run(console, progress)
        bytecode.run(console, progress)
    except LocalError as error:
        progress.failed(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
