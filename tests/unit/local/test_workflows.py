"""The workflows: pinned actions, least rights, and only commands that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
MAKE = re.compile(r"\bmake (?:-C \S+ )?(\S+)")
ENVIRONMENTS = {"ephemeral": "dev", "staging": "staging", "prod": "prod"}
every_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def _read(file: Path) -> Any:
    document = yaml.safe_load(file.read_text())
    # YAML 1.1 takes the key `on` for true.
    return {("on" if key is True else key): value for key, value in document.items()}


def _jobs(file: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = _read(file)["jobs"]
    return jobs


def _scripts(job: Any) -> Iterator[str]:
    yield from (step["run"] for step in job["steps"] if "run" in step)


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_there_are_workflows_for_pull_requests_and_deployments() -> None:
    assert [file.name for file in WORKFLOWS] == ["deploy.yml", "pull-request.yml"]


def _judged_by_schema(*files: Path) -> tuple[int, str]:
    """Exit status and output of the check by the schema that comes with check-jsonschema."""
    options = ["--builtin-schema", "vendor.github-workflows"]
    answer = CliRunner().invoke(check_jsonschema, [*options, *map(str, files)])
    return answer.exit_code, answer.output


def test_workflows_are_valid_by_the_published_schema(tmp_path: Path) -> None:
    assert _judged_by_schema(*WORKFLOWS) == (0, "ok -- validation done\n")
    misspelled = tmp_path / "misspelled.yml"
    text = WORKFLOWS[0].read_text().replace("timeout-minutes:", "timeout_minutes:", 1)
    misspelled.write_text(text)
    status, output = _judged_by_schema(misspelled)
    assert status == 1
    assert "timeout_minutes" in output


@every_workflow
def test_actions_are_pinned_to_commits_with_their_version(file: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in file.read_text().splitlines()]
    used = [line for line in used if line.startswith("uses:")]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_version_in_all_workflows() -> None:
    versions: dict[str, set[str]] = {}
    for file in WORKFLOWS:
        for name, version in re.findall(r"uses: (\S+)@(.+)", file.read_text()):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@every_workflow
def test_a_workflow_may_only_read_and_a_job_what_it_needs(file: Path) -> None:
    assert _read(file)["permissions"] == {"contents": "read"}
    for name, job in _jobs(file).items():
        rights = job.get("permissions", {})
        written = {right for right, level in rights.items() if level == "write"}
        if "id-token" in written:
            assert job["environment"] in ENVIRONMENTS, f"{name}: the role trusts environments"
        if written - {"id-token"}:
            assert written == {"pull-requests"}
            assert not any("make" in script for script in _scripts(job)), (
                f"{name} may write, so it must not run the pull request's code"
            )
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


@every_workflow
def test_no_script_contains_what_an_event_says(file: Path) -> None:
    """An expression is put into the script's text before the shell reads it."""
    for job in _jobs(file).values():
        assert [script for script in _scripts(job) if "${{" in script] == []


@every_workflow
def test_every_job_ends_by_itself(file: Path) -> None:
    assert all(job["timeout-minutes"] <= 90 for job in _jobs(file).values())


@every_workflow
def test_every_make_target_exists(file: Path) -> None:
    called = {
        target for job in _jobs(file).values() for s in _scripts(job) for target in MAKE.findall(s)
    }
    matrices = [job.get("strategy", {}).get("matrix", {}) for job in _jobs(file).values()]
    called |= {target for matrix in matrices for target in matrix.get("target", ())}
    called.discard('"$TARGET"')
    assert called
    assert called - _targets() == set()


def test_a_pull_request_runs_all_parts_of_make_test_and_the_deep_tests() -> None:
    """As `.ci/run`: no suite is left out of what decides about a change."""
    (matrix,) = (
        job["strategy"]["matrix"]["target"]
        for job in _jobs(ROOT / ".github/workflows/pull-request.yml").values()
        if "strategy" in job
    )
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\ntest: ")[2].partition("\n.PHONY")[0]
    (others,) = re.findall(r"^TEST_PARTS := (.*)$", makefile, re.MULTILINE)
    assert "$(call SIDE_BY_SIDE,$(TEST_PARTS),test-e2e $(TEST_PARTS))" in recipe
    assert set(matrix) == {"test-e2e", *others.split(), "test-deep"}


def test_production_follows_staging_which_follows_tests_in_an_account_of_their_own() -> None:
    jobs = _jobs(ROOT / ".github/workflows/deploy.yml")
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "ephemeral": None,
        "staging": "ephemeral",
        "prod": "staging",
    }
    for name, job in jobs.items():
        assert job["environment"] == name
        scripts = list(_scripts(job))
        assert scripts[0].startswith(f"make deploy-{name}")
        tests = [script for script in scripts if script.startswith("make test-e2e")]
        assert tests == ([] if name == "prod" else [f"make test-e2e STAGE={ENVIRONMENTS[name]}"])
    removal = jobs["ephemeral"]["steps"][-1]
    assert (removal["if"], removal["run"]) == ("always()", "make destroy-ephemeral")
