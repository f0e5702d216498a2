"""Plant each fault in a copy of the project, and print what finds it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from simulation.mutations.mutation import Mutation
from simulation.mutations.report import Result, load, save, summary, table
from simulation.mutations.scratch import Scratch
from simulation.mutations.table import BY_NAME, MUTATIONS
from simulation.mutations.trials import Found, run_tests, simulate

PROJECT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = PROJECT / ".local" / "mutation-check.json"


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 when a fault was found by nothing that was tried."""
    options = _parsed(arguments)
    chosen = [BY_NAME[name] for name in options.only] if options.only else list(MUTATIONS)
    results = load(options.results)
    if not options.report:
        _try_all(chosen, results, options)
    print(table(chosen, results))
    print(summary(chosen, results))
    tried = {each.name: results[each.name] for each in chosen if each.name in results}
    missed = [name for name, each in tried.items() if not each.is_found]
    return int(any(BY_NAME[name].equivalent is None for name in missed))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation.mutations", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=sorted(BY_NAME), metavar="NAME")
    parser.add_argument("--operations", type=int, default=2_000, help="0: no simulation")
    parser.add_argument("--per-seed", type=int, default=1_000, help="operations from each seed")
    parser.add_argument("--tests", action="store_true", help="run the tests of the mutated files")
    parser.add_argument("--processes", type=int, default=1, help="faults that are tried at once")
    parser.add_argument("--report", action="store_true", help="show the kept results, try nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of kept results")
    return parser.parse_args(arguments)


def _try_all(
    mutations: Sequence[Mutation], results: dict[str, Result], options: argparse.Namespace
) -> None:
    """Try the faults, and keep each result at once. What was not tried again is kept."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as directory:
        idle: SimpleQueue[Scratch] = SimpleQueue()
        for number in range(options.processes):
            idle.put(Scratch(PROJECT, Path(directory) / str(number)))
        _require_soundness(idle, mutations, options)

        def tried(mutation: Mutation) -> tuple[Mutation, Found | None, Found | None]:
            scratch = idle.get()
            try:
                with scratch.planted(mutation):
                    return mutation, *_tried(scratch, mutation.paths, options)
            finally:
                idle.put(scratch)

        with ThreadPoolExecutor(max_workers=options.processes) as pool:
            for mutation, simulation, tests in pool.map(tried, mutations):
                known = results.get(mutation.name, Result())
                results[mutation.name] = replace(
                    known,
                    simulation=simulation or known.simulation,
                    tests=tests or known.tests,
                )
                save(options.results, results)
                _say(mutation, simulation, tests)


def _require_soundness(
    idle: SimpleQueue[Scratch], mutations: Sequence[Mutation], options: argparse.Namespace
) -> None:
    """Without a fault nothing is found: else what is found says nothing. Raises SystemExit."""
    scratch = idle.get()
    paths = list(dict.fromkeys(path for each in mutations for path in each.paths))
    simulation, tests = _tried(scratch, paths, options)
    idle.put(scratch)
    for found in (simulation, tests):
        if found is not None and found.by is not None:
            raise SystemExit(f"without any fault: {found.by} {found.detail}")


def _tried(
    scratch: Scratch, paths: Sequence[str], options: argparse.Namespace
) -> tuple[Found | None, Found | None]:
    simulation = (
        simulate(scratch.root, operations=options.operations, per_seed=options.per_seed)
        if options.operations
        else None
    )
    return simulation, run_tests(scratch.root, paths) if options.tests else None


def _say(mutation: Mutation, *found: Found | None) -> None:
    for by, each in zip(("simulation", "tests"), found, strict=True):
        if each is not None:
            said = f"{each.by} ({each.detail})" if each.by else "NOT FOUND"
            effort = f"{each.operations} operations, {each.seconds:.0f} s"
            print(f"{mutation.name}: {by}: {said}, {effort}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
