"""Cold start: importing each handler from the built asset, with its bytecode and without."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.setting import BenchmarkDependencies
from local.workspace import PROJECT_ROOT
from stacks.lambda_asset import LambdaTarget, lambda_asset

TIMEOUT_SECONDS: Final = 60
_PROGRAM: Final = """
import sys, time
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
started = time.process_time()
__import__("runtime.functions." + sys.argv[2])
print(time.process_time() - started)
"""


def run(bench: BenchmarkDependencies) -> None:
    """Print the CPU time of each handler's import, in milliseconds, both ways."""
    asset = lambda_asset(LambdaTarget.this_machine(), PROJECT_ROOT / "build")
    handlers = sorted(p.stem for p in (asset / "runtime/functions").glob("*.py"))
    measured = [name for name in handlers if name in _entry_points()][: bench.size.most_handlers]
    runs = bench.size.bytecode_runs
    table = Table("import of a handler, CPU ms", "with bytecode", "without", "ratio", box=SIMPLE)
    with tempfile.TemporaryDirectory() as directory, bench.progress.step("Measure imports"):
        bare = Path(directory) / "asset"
        shutil.copytree(asset, bare, ignore=shutil.ignore_patterns("*.pyc", "__pycache__"))
        for handler in measured:
            compiled, source = _seconds(asset, handler, runs), _seconds(bare, handler, runs)
            table.add_row(
                handler,
                f"{compiled * 1000:.0f}",
                f"{source * 1000:.0f}",
                f"{source / compiled:.2f}",
            )
    bench.console.print(table)


def _entry_points() -> frozenset[str]:
    return frozenset({"authorize", "process", "query", "reconcile", "resolve"})


def _seconds(asset: Path, handler: str, runs: int) -> float:
    return median(_once(asset, handler) for _ in range(runs))


def _once(asset: Path, handler: str) -> float:
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(asset), handler],
        capture_output=True,
        check=True,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    return float(answer.stdout)
