"""The catalogue of mutations matches the current code, and the tool restores the code."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from simulation.mutations import __main__ as command
from simulation.mutations import trials
from simulation.mutations.mutation import DoesNotMatch, Edit, Mutation
from simulation.mutations.related_tests import RELATED, related_tests
from simulation.mutations.report import Result, load, save, summary, table
from simulation.mutations.scratch import Scratch
from simulation.mutations.table import BY_NAME, MUTATIONS
from simulation.mutations.trials import Effort, TrialResult, simulate

ROOT = Path(__file__).resolve().parents[3]


def test_the_catalogue_has_sixty_faults_and_nine_defects_with_unique_names() -> None:
    assert len(BY_NAME) == len(MUTATIONS)
    assert sum(not each.defect for each in MUTATIONS) >= 60
    assert sum(each.defect for each in MUTATIONS) == 9
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", name) for name in BY_NAME)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_a_mutation_matches_the_code_once_and_still_compiles(mutation: Mutation) -> None:
    for path, text in mutation.texts(ROOT).items():
        assert text != (ROOT / path).read_text("utf-8")
        compile(text, path, "exec")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_a_mutation_uses_no_renamed_name(mutation: Mutation) -> None:
    check = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "-q", "-"]
    for path, text in mutation.texts(ROOT).items():
        found = subprocess.run(check, input=text, text=True, capture_output=True, check=False)
        assert found.returncode == 0, f"{path}: a NameError is found by anything\n{found.stdout}"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_the_tests_of_a_mutated_file_exist(mutation: Mutation) -> None:
    tests = related_tests(mutation.paths)
    assert tests
    assert all((ROOT / name).is_file() for name in tests)


def test_the_testing_page_lists_every_mutation() -> None:
    page = (ROOT / "docs/testing.md").read_text("utf-8").partition("## Mutation check")[2]
    missing = [each.name for each in MUTATIONS if f"| `{each.name}` |" not in page]
    assert not missing, "run `make mutation-check`, and put its table there"


def test_only_mutated_files_have_tests_assigned() -> None:
    paths = {path.removeprefix("runtime/") for each in MUTATIONS for path in each.paths}
    assert all(any(path.startswith(start) for path in paths) for start in RELATED)


def test_a_file_without_tests_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"runtime/nothing\.py"):
        related_tests(["runtime/nothing.py"])


@pytest.mark.parametrize("text", ["nothing of it", "twice and twice"])
def test_a_text_that_is_missing_or_occurs_twice_is_an_error(text: str) -> None:
    with pytest.raises(DoesNotMatch):
        Edit("a.py", "twice", "once").applied(text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "runtime").mkdir(parents=True)
    (project / "runtime/a.py").write_text("limit = 1\n")
    return project


MUTATION = Mutation(
    "limit-off", "the limit is 2", "too much", (Edit("runtime/a.py", "= 1", "= 2"),)
)


def test_a_mutation_is_applied_in_the_copy_and_reverted(project: Path, tmp_path: Path) -> None:
    scratch = Scratch(project, tmp_path / "copy")
    with scratch.planted(MUTATION):
        assert (scratch.root / "runtime/a.py").read_text() == "limit = 2\n"
        assert (project / "runtime/a.py").read_text() == "limit = 1\n"
    assert (scratch.root / "runtime/a.py").read_text() == "limit = 1\n"


def test_each_mutation_has_its_own_modification_time(project: Path, tmp_path: Path) -> None:
    """Python considers a compiled file up to date by size and whole seconds."""
    scratch = Scratch(project, tmp_path / "copy")
    times = []
    for _ in range(2):
        with scratch.planted(MUTATION):
            times.append(int((scratch.root / "runtime/a.py").stat().st_mtime))
        times.append(int((scratch.root / "runtime/a.py").stat().st_mtime))
    assert len(set(times)) == len(times)


def test_results_are_kept_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "results.json"
    assert load(file) == {}
    by_test = TrialResult(
        "integration/payments/test_rate_limits.py::test_one[a]", 0, 1.5, "assert 2 == 1"
    )
    results = {"limit-off": Result(TrialResult("mutation-1", 42, 3.0), by_test)}
    save(file, results)
    assert load(file) == results
    assert table([MUTATION], results).splitlines()[-1] == (
        "| `limit-off` | the limit is 2: too much | 42 · mutation-1 | "
        "`test_rate_limits::test_one` |"
    )


def test_a_summary_lists_mutations_that_were_not_found() -> None:
    results = {"limit-off": Result(TrialResult(None, 6_000, 9.0), None)}
    assert summary([MUTATION], results).splitlines() == [
        "1 of 1 faults tried, 0 found",
        "by the simulation 0 of 1, by tests 0 of 0",
        "explained why the simulation does not see them: 0",
        "not found: limit-off",
    ]


def test_a_summary_counts_mutations_invisible_to_the_simulation() -> None:
    slow = replace(MUTATION, unseen="nothing is wrong but the speed")
    results = {"limit-off": Result(TrialResult(None, 6_000, 9.0), TrialResult("a::b", 0, 1.0))}
    assert summary([slow], results).splitlines() == [
        "1 of 1 faults tried, 1 found",
        "by the simulation 0 of 1, by tests 1 of 1",
        "explained why the simulation does not see them: 1",
    ]


class Runs:
    """Stands for runs of the simulation: seeds that violate a rule after 42 operations."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *violating: str) -> None:
        self.seeds: list[str] = []
        self.violating = violating
        monkeypatch.setattr(trials, "_run", self._run)

    def _run(self, _root: Path, arguments: Sequence[str], _seconds: float) -> tuple[int, str]:
        words = dict(pairwise(arguments))
        seed, operations, violations = words["--seed"], int(words["--operations"]), 0
        self.seeds.append(seed)
        reported = ""
        if seed in self.violating:
            operations, violations = 42, 1
            reported = f"VIOLATION in seed {seed} after 7 commits\n  t=1: floor: is at -1\n"
        last = f"seed {seed} operations {operations} commits 7 violations {violations}"
        return violations, f"{reported}history sha256:{'0' * 64} {last}\n"


@pytest.mark.parametrize(
    ("kinds", "by"),
    [("all", "mutation-2"), ("cards,bank", "mutation-2, cards, bank alone")],
)
def test_seeds_are_run_in_sequence_until_one_finds_the_mutation(
    monkeypatch: pytest.MonkeyPatch, kinds: str, by: str
) -> None:
    runs = Runs(monkeypatch, "mutation-2")
    found = simulate(ROOT, Effort(3_000, 1_000, kinds))
    assert runs.seeds == ["mutation-1", "mutation-2"]
    assert (found.by, found.operations, found.detail, found.seeds) == (
        *(by, 1_042, "t=1: floor: is at -1"),
        2,
    )


def test_earlier_runs_count_and_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(monkeypatch)
    before = TrialResult(None, 2_000, 60.0, seeds=2)
    found = simulate(ROOT, Effort(3_500, 1_000), before)
    assert runs.seeds == ["mutation-3", "mutation-4"]
    assert (found.by, found.operations, found.seeds) == (None, 3_500, 4)
    assert found.seconds >= before.seconds


def test_a_resumed_check_continues_with_mutations_not_found_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    edits = (Edit("runtime/a.py", "= 1", "= 2"),)
    faults = [Mutation(name, "what", "why", edits) for name in ("found", "missed", "new")]
    monkeypatch.setattr(command, "PROJECT", project)
    monkeypatch.setattr(command, "MUTATIONS", faults)
    monkeypatch.setattr(command, "BY_NAME", {each.name: each for each in faults})
    runs, kept = Runs(monkeypatch), tmp_path / "kept.json"
    by_test = TrialResult("a::b", 0, 1.0)
    results = {
        "found": Result(TrialResult("mutation-1", 9, 1.0, seeds=1), by_test),
        "missed": Result(TrialResult(None, 1_000, 1.0, seeds=1), by_test),
    }
    save(kept, results)
    reported = command.main(["--resume", str(kept), "--operations", "2000", "--per-seed", "1000"])
    sound = ["mutation-1", "mutation-2"]
    assert runs.seeds == [*sound, "mutation-2", "mutation-1", "mutation-2"]
    after = load(kept)
    assert after["found"] == results["found"]
    assert after["missed"].simulation is not None
    assert (after["missed"].simulation.seeds, after["missed"].tests) == (2, by_test)
    assert reported == 1, "the new one was not found"
