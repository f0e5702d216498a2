"""A small load test of the deployed stage, as `make load` runs it."""

from __future__ import annotations

import pytest

from local.progress import Progress
from operations.load.client import Habits
from operations.load.pacing import Pace
from operations.load.run import Plan, load
from operations.load.target import Wanted
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.emulator("make load STAGE=… tests a deployed stage")

IMPATIENT = Habits(impatient_share=0.3, repeated_share=0.3)


def test_a_little_load_is_served_and_every_answer_is_found_in_the_api(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(Pace(rate=6, seconds=8, clients=4), IMPATIENT)
    load(plan, Wanted(), deployment.workspace, Progress())
    printed = capsys.readouterr().out
    assert "the merchant's account has what is left" in printed
    assert "statements add up to balances" in printed
    assert "Unknown outcomes" not in printed
