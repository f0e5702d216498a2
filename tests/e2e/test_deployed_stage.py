"""The end-to-end tests themselves, on a stage that they did not deploy: by outputs and a token."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Final

import pytest

from local.auth import Grant, token
from local.workspace import PROJECT_ROOT
from operations.upload_settlement import TOKEN_VARIABLE
from tests.e2e.conftest import Deployment
from tests.support.stages.deployed_stage import STAGE_VARIABLE, URL_VARIABLE

pytestmark = [
    pytest.mark.deep,
    pytest.mark.emulator("it lets the local stage play a deployed one"),
]

FILES: Final = ("test_exceptions.py", "test_operations.py", "test_timeline.py")
"""They read outputs, use an operator's token and keys, upload through a link, and have skips."""
TIMEOUT_SECONDS: Final = 600


def test_tests_reach_a_stage_by_its_outputs_and_an_operators_token(deployment: Deployment) -> None:
    stack = deployment.stack
    given = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    given |= {
        STAGE_VARIABLE: "local",
        URL_VARIABLE: stack.api_url,
        TOKEN_VARIABLE: token(Grant.operator(), deployment.workspace),
        "AWS_ENDPOINT_URL": stack.aws_endpoint_url,
        "AWS_REGION": stack.region,
        "AWS_ACCESS_KEY_ID": stack.access_key_id,
        "AWS_SECRET_ACCESS_KEY": stack.secret_access_key,
    }
    files = [f"tests/e2e/{name}" for name in FILES]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *files],
        cwd=PROJECT_ROOT,
        env=given,
        capture_output=True,
        check=False,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    ended = re.search(r"(\d+) passed, (\d+) skipped", run.stdout)
    assert ended is not None, run.stdout[-500:]
    assert int(ended[1]) >= len(FILES)
    assert "needs the emulator: it runs a schedule at once" in run.stdout
