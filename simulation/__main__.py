"""`python -m simulation`: the whole platform under faults, from one seed.

The last line of its output is always
`history sha256:<64 hex> seed <seed> operations <n> commits <n> violations <n>`,
and the exit status is 1 when there are violations; a run that crashes is one.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from simulation.outcome import Outcome, play
from simulation.parts import Choice, hash_over, parted, play_parts
from simulation.platform.plan import ClientKind, Part, Plan
from simulation.shrinking import MOST_TRIES, Shrinking

ALL_KINDS: Final = Choice().kinds
STORY_LINES: Final = 40
"""Requests of a minimal history that are printed: the last ones before the violation."""
STORY_FILE: Final = Path(".local/simulation-violation.txt")
"""Where all of them are."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, print, and say by the exit status whether a rule was violated."""
    options = _options(arguments)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    try:
        choice = Choice(_parts(options), _kinds(options), _clients(options.clients))
        _play_all(options, choice, outcomes)
    except Exception as crash:  # noqa: BLE001 - whatever it is, the run proves nothing
        print(f"crash: {type(crash).__name__}: {crash}")
        fault = f"crash: {crash}"
        outcomes.append(Outcome(options.seed, 0, 0, 0.0, "0" * 64, (fault,), "crash"))
    violations = sum(len(outcome.violations) for outcome in outcomes)
    print(f"{time.monotonic() - began:.0f} s")
    print(
        f"history sha256:{hash_over(outcomes)} seed {options.seed} "
        f"operations {sum(outcome.operations for outcome in outcomes)} "
        f"commits {sum(outcome.commits for outcome in outcomes)} violations {violations}",
        flush=True,
    )
    return 1 if violations else 0


def _play_all(options: argparse.Namespace, choice: Choice, outcomes: list[Outcome]) -> None:
    """Every part, until one violates a rule; that one is shrunk and reported."""
    plans = [choice.plan(*part) for part in parted(options.seed, options.operations)]
    for number, (plan, outcome) in enumerate(play_parts(plans, options.processes), start=1):
        outcomes.append(outcome)
        print(
            f"part {number} of {len(plans)}: seed {plan.seed}, {outcome.operations} operations, "
            f"{outcome.commits} commits, {outcome.seconds:.0f} s of virtual time, "
            f"{len(outcome.violations)} violations, {outcome.hash[:16]}",
            flush=True,
        )
        if outcome.violations:
            _tell(plan, outcome, options, choice)
            return


def _tell(plan: Plan, outcome: Outcome, options: argparse.Namespace, choice: Choice) -> None:
    """The violation, and the smallest run that was found to show it."""
    print(f"VIOLATION in seed {plan.seed} after {outcome.commits} commits")
    for violation in outcome.violations[:10]:
        print(f"  {violation}")
    shrinking = Shrinking(plan, outcome, play, options.tries)
    if options.shrink:
        shrinking.shrink()
    smallest, found = shrinking.plan, shrinking.outcome
    print(f"minimal history: {smallest.operations} operations, {found.commits} commits")
    for violation in found.violations[:3]:
        print(f"  {violation.splitlines()[0]}")
    for line in found.story[-STORY_LINES:]:
        print(f"    {line[:300]}")
    STORY_FILE.parent.mkdir(exist_ok=True)
    STORY_FILE.write_text("\n".join([*found.violations, *found.story]) + "\n")
    operations = dict(parted(options.seed, options.operations))[plan.seed]
    print(f"replay: {replay_command(smallest, operations, choice)}", flush=True)


def replay_command(plan: Plan, operations: int, choice: Choice) -> str:
    """The command that plays this plan, which was made smaller from the `choice` of a run."""
    clients = ",".join(f"{client.name}:{client.operations}" for client in plan.clients)
    parts = ",".join(sorted(plan.parts)) or "none"
    values = {"SEED": plan.seed, "OPERATIONS": operations, "CLIENTS": clients, "PARTS": parts}
    if choice.kinds != ALL_KINDS:
        values["KINDS"] = ",".join(choice.kinds)
    words = (f"{name}={shlex.quote(str(value))}" for name, value in values.items())
    return f"make simulate-faults {' '.join(words)}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seed", default="1", help="everything follows from it")
    parser.add_argument("--operations", type=int, default=2_000, help="of all clients together")
    parser.add_argument("--processes", type=int, default=1, help="how many parts at once")
    parser.add_argument("--parts", default="all", help=f"all, none, or some of {_listed(Part)}")
    parser.add_argument("--kinds", default="all", help=f"all, or some of {_listed(ClientKind)}")
    parser.add_argument("--clients", default="", help="name:operations,… of a violation's replay")
    parser.add_argument("--tries", type=int, default=MOST_TRIES, help="runs of one shrinking")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    return parser.parse_args(arguments)


def _parts(options: argparse.Namespace) -> frozenset[Part]:
    names = _names(options.parts)
    return frozenset(Part) if names == ["all"] else frozenset(map(Part, names))


def _kinds(options: argparse.Namespace) -> tuple[ClientKind, ...]:
    names = _names(options.kinds)
    return ALL_KINDS if names == ["all"] else tuple(map(ClientKind, names))


def _clients(text: str) -> tuple[tuple[str, int], ...]:
    pairs = (name.rpartition(":") for name in _names(text))
    return tuple((name, int(operations)) for name, _, operations in pairs)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name and name != "none"]


def _listed(values: type[Part] | type[ClientKind]) -> str:
    return ", ".join(values)


if __name__ == "__main__":
    sys.exit(main())
