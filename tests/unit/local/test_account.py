"""The CDK's own stack is made from the template of the installed CLI, or the reason is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.emulator.account import prepare_account
from local.errors import DeployFailed


class FakeCloudFormation:
    """Answers with the statuses of the only stack, one after the other."""

    def __init__(self, *statuses: str) -> None:
        self.created: dict[str, Any] = {}
        self._statuses: Iterator[str] = iter(statuses)

    def create_stack(self, **request: Any) -> None:
        self.created = request

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        assert StackName == self.created["StackName"]
        return {"Stacks": [{"StackStatus": next(self._statuses), "StackStatusReason": "no room"}]}


@pytest.fixture
def node_modules(tmp_path: Path) -> Path:
    file = tmp_path / "aws-cdk" / "lib" / "api" / "bootstrap" / "bootstrap-template.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("Resources: {}")
    return tmp_path


def test_the_stack_is_made_from_the_clis_template(node_modules: Path) -> None:
    stacks: Any = FakeCloudFormation("CREATE_IN_PROGRESS", "CREATE_COMPLETE")
    prepare_account(stacks, node_modules)
    assert stacks.created["StackName"] == "CDKToolkit"
    assert stacks.created["TemplateBody"] == "Resources: {}"


def test_a_stack_that_fails_is_reported_with_its_reason(node_modules: Path) -> None:
    stacks: Any = FakeCloudFormation("CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE")
    with pytest.raises(DeployFailed, match="CDKToolkit is ROLLBACK_COMPLETE: no room"):
        prepare_account(stacks, node_modules)
