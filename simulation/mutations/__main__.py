"""Plant each fault in a copy of the project, and print what finds it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from simulation.mutations.mutation import Mutation
from simulation.mutations.report import NOT_TRIED, Result, load, save, summary, table
from simulation.mutations.scratch import Scratch
from simulation.mutations.table import BY_NAME, MUTATIONS
from simulation.mutations.trials import NOTHING, Effort, TrialResult, run_tests, simulate

PROJECT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = PROJECT / ".local" / "mutation-check.json"


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 when a fault was found by nothing that was tried."""
    options = _parsed(arguments)
    chosen = [BY_NAME[name] for name in options.only] if options.only else list(MUTATIONS)
    results = load(options.results)
    if not options.report:
        wanted = [each for each in chosen if _is_open(results.get(each.name), options)]
        if len(wanted) < len(chosen):
            print(f"{len(chosen) - len(wanted)} of {len(chosen)} tried before", file=sys.stderr)
        if wanted:
            _try_all(wanted, results, options)
    print(table(chosen, results))
    print(summary(chosen, results))
    tried = {each.name: results[each.name] for each in chosen if each.name in results}
    missed = [name for name, each in tried.items() if not each.is_found]
    return int(any(BY_NAME[name].equivalent is None for name in missed))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation.mutations", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=sorted(BY_NAME), metavar="NAME")
    parser.add_argument("--operations", type=int, default=3_000, help="0: no simulation")
    parser.add_argument("--per-seed", type=int, default=1_000, help="operations from each seed")
    parser.add_argument("--kinds", default="all", help="of clients, as of python -m simulation")
    parser.add_argument("--tests", action="store_true", help="run the tests of the mutated files")
    parser.add_argument("--processes", type=int, default=1, help="faults that are tried at once")
    parser.add_argument("--report", action="store_true", help="show the kept results, try nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of kept results")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="keep results in FILE, and go on where it ends: found faults are not tried again, "
        "others from the seeds that follow, up to the number of operations",
    )
    options = parser.parse_args(arguments)
    options.results = options.resume or options.results
    return options


def _is_open(known: Result | None, options: argparse.Namespace) -> bool:
    """Whether a fault is to be tried. All are, unless the run resumes an earlier one."""
    if options.resume is None or known is None:
        return True
    simulation, tests = known.simulation, known.tests
    more = simulation is None or (
        simulation.by is None and simulation.operations < options.operations
    )
    return bool(options.operations and more) or (options.tests and tests is None)


def _try_all(
    mutations: Sequence[Mutation], results: dict[str, Result], options: argparse.Namespace
) -> None:
    """Try the faults, and keep each result at once. What was not tried again is kept."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as directory:
        idle: SimpleQueue[Scratch] = SimpleQueue()
        for number in range(options.processes):
            idle.put(Scratch(PROJECT, Path(directory) / str(number)))
        _require_soundness(idle, mutations, options)

        def tried(mutation: Mutation) -> tuple[Mutation, TrialResult | None, TrialResult | None]:
            known = results.get(mutation.name, Result()) if options.resume else Result()
            scratch = idle.get()
            try:
                with scratch.planted(mutation):
                    return mutation, *_tried(scratch, mutation.paths, options, known)
            finally:
                idle.put(scratch)

        with ThreadPoolExecutor(max_workers=options.processes) as pool:
            ended = as_completed([pool.submit(tried, each) for each in mutations])
            for number, future in enumerate(ended, start=1):
                mutation, simulation, tests = future.result()
                known = results.get(mutation.name, Result())
                results[mutation.name] = replace(
                    known,
                    simulation=simulation or known.simulation,
                    tests=tests or known.tests,
                )
                save(options.results, results)
                _say(f"{number}/{len(mutations)} {mutation.name}", simulation, tests)


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
    scratch: Scratch,
    paths: Sequence[str],
    options: argparse.Namespace,
    known: Result = NOT_TRIED,
) -> tuple[TrialResult | None, TrialResult | None]:
    """What the simulation and the tests find, and is not `known`; None: not tried."""
    before, simulation, tests = known.simulation or NOTHING, None, None
    if options.operations and before.by is None:
        effort = Effort(options.operations, options.per_seed, options.kinds)
        simulation = simulate(scratch.root, effort, before)
    if options.tests and known.tests is None:
        tests = run_tests(scratch.root, paths)
    return simulation, tests


def _say(fault: str, *found: TrialResult | None) -> None:
    for by, each in zip(("simulation", "tests"), found, strict=True):
        if each is not None:
            said = f"{each.by} ({each.detail})" if each.by else "NOT FOUND"
            effort = f"{each.operations} operations, {each.seconds:.0f} s"
            print(f"{fault}: {by}: {said}, {effort}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
