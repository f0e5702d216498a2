"""`make bench`: measure, and print the tables.

When all benchmarks are run, or with `--update-guides`, the tables of docs/ are replaced. Times are
those of this machine and an emulator, never of AWS; only the ratios are meaningful.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from benchmarks.figures import Figures, measured_today, update_guides
from benchmarks.registry import BENCHMARKS, IN_THE_GUIDES
from benchmarks.setting import FULL, TINY, Benchmark, BenchmarkDependencies
from local.errors import LocalError
from local.progress import Progress
from local.workspace import PROJECT_ROOT


def _chosen(names: Sequence[str]) -> list[Benchmark]:
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        raise LocalError(
            f"Unknown benchmark {', '.join(unknown)}.",
            hint=f'Known: {", ".join(BENCHMARKS)}. Example: make bench ARGS="transfer"',
        )
    return [run for name, run in BENCHMARKS.items() if name in names or not names]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"{', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument(
        "--update-guides",
        action="store_true",
        help=f"replace their tables in docs/ (default names: {', '.join(IN_THE_GUIDES)})",
    )
    parser.add_argument(
        "--tiny", action="store_true", help="a few operations of each; the figures mean nothing"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 with one message when a name is wrong, or the emulator or the build fails."""
    options = _parser().parse_args(arguments)
    progress = Progress()
    console = Console(highlight=False)
    if not console.is_terminal:  # in a file rich assumes 80 columns, and would break every title
        console = Console(highlight=False, width=150)
    size = TINY if options.tiny else FULL
    names = options.names or (IN_THE_GUIDES if options.update_guides else ())
    updates = options.update_guides or not (names or options.tiny)
    try:
        for benchmark in _chosen(names):
            figures: list[Figures] = []
            benchmark(BenchmarkDependencies(console, progress, size, figures=figures))
            if updates:
                update_guides(PROJECT_ROOT / "docs", figures, measured_today())
    except LocalError as error:
        progress.failed(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
