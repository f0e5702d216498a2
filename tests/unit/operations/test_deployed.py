"""The region of a deployed stage is the one that the shell names, by either variable."""

from __future__ import annotations

import os

import boto3
import pytest

from operations.cli import main
from operations.deployed import use_region


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({}, None),
    ],
    ids=str,
)
def test_either_variable_chooses_the_region(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    use_region(os.environ)
    assert boto3.Session().region_name == expected


def test_every_command_uses_the_region_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")  # so that it is set back afterwards
    with pytest.raises(SystemExit):
        main(["--help"])
    assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-3"
