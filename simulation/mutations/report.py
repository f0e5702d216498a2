"""Results of trials: kept in a file, and shown as the table of docs/testing.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from simulation.mutations.mutation import Mutation
from simulation.mutations.trials import TrialResult

_HEAD: Final = (
    "| fault | what | simulation: operations · seed | tests: the first that fails |\n"
    "|---|---|---|---|"
)
_NOT_TRIED: Final = "not tried"


@dataclass(frozen=True, slots=True)
class Result:
    """What found one fault; None: not tried."""

    simulation: TrialResult | None = None
    tests: TrialResult | None = None

    @property
    def is_found(self) -> bool:
        """Whether anything found it."""
        return any(
            each is not None and each.by is not None for each in (self.simulation, self.tests)
        )


NOT_TRIED: Final = Result()


def load(file: Path) -> dict[str, Result]:
    """Results by the name of the fault; empty without a file."""
    if not file.is_file():
        return {}
    stored = json.loads(file.read_text("utf-8"))
    return {
        name: Result(
            *(TrialResult(**each) if each else None for each in (one["simulation"], one["tests"]))
        )
        for name, one in stored.items()
    }


def save(file: Path, results: Mapping[str, Result]) -> None:
    """Write the results to `file`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    stored = {name: asdict(result) for name, result in results.items()}
    file.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


def table(mutations: Sequence[Mutation], results: Mapping[str, Result]) -> str:
    """The results in Markdown, in the order of `mutations`."""
    return "\n".join((_HEAD, *(_row(each, results.get(each.name, Result())) for each in mutations)))


def summary(mutations: Iterable[Mutation], results: Mapping[str, Result]) -> str:
    """How many faults were found, by what, and the names of those that were not."""
    judged = [each for each in mutations if each.equivalent is None]
    tried = {each.name: results[each.name] for each in judged if each.name in results}
    simulation = [each.simulation for each in tried.values() if each.simulation is not None]
    tests = [each.tests for each in tried.values() if each.tests is not None]
    missed = [name for name, result in tried.items() if not result.is_found]
    explained = [each for each in judged if each.unseen and not _is_seen(results.get(each.name))]
    lines = [
        f"{len(tried)} of {len(judged)} faults tried, {len(tried) - len(missed)} found",
        f"by the simulation {_share(simulation)}, by tests {_share(tests)}",
        f"explained why the simulation does not see them: {len(explained)}",
    ]
    if missed:
        lines.append(f"not found: {', '.join(missed)}")
    return "\n".join(lines)


def _is_seen(result: Result | None) -> bool:
    return bool(result and result.simulation and result.simulation.by)


def _share(found: Sequence[TrialResult]) -> str:
    return f"{sum(each.by is not None for each in found)} of {len(found)}"


def _row(mutation: Mutation, result: Result) -> str:
    cells = (
        f"`{mutation.name}`",
        f"{mutation.what}: {mutation.why}",
        _simulation_cell(mutation, result.simulation),
        _tests_cell(mutation, result.tests),
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _simulation_cell(mutation: Mutation, found: TrialResult | None) -> str:
    if mutation.equivalent is not None:
        return f"equivalent: {mutation.equivalent}"
    if found is None:
        return _NOT_TRIED
    if found.by is not None:
        return f"{found.operations} · {found.by}"
    reason = f": {mutation.unseen}" if mutation.unseen else ""
    return f"not in {found.operations}{reason}"


def _tests_cell(mutation: Mutation, found: TrialResult | None) -> str:
    if mutation.equivalent is not None:
        return "none"
    if found is None:
        return _NOT_TRIED
    return f"`{_short(found.by)}`" if found.by is not None else "none"


def _short(test: str) -> str:
    """A test's file and name, without its folders and parameters."""
    file, _, name = test.partition("::")
    file = file.rpartition("/")[2].removesuffix(".py")
    return f"{file}::{name.partition('[')[0]}" if name else file
