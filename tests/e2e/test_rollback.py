"""A function goes back to the version before a deployment, while requests go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from local.progress import Progress
from operations.rollback import LIVE, Target, read_functions, roll_back
from tests.e2e.conftest import Deployment, Shop

pytestmark = pytest.mark.emulator("it publishes versions of a function")


def test_a_deployed_version_is_rolled_back_and_forward_again(
    deployment: Deployment, shop: Shop
) -> None:
    functions = deployment.aws.functions
    name = deployment.stack.functions["query"]
    target = Target({"query": name}, functions)
    (before,) = read_functions(target)
    functions.update_function_configuration(FunctionName=name, Description="The next version")
    newer = functions.publish_version(FunctionName=name)["Version"]
    assert int(newer) > before.live
    functions.update_alias(FunctionName=name, Name=LIVE, FunctionVersion=newer)
    assert shop.client.get("/v1/payments").require(200)["data"] == []

    deployed = max(version.published for version in before.versions)
    progress = Progress(Console(quiet=True), live=False)
    (line,) = roll_back(target, deployed, progress)
    assert line.startswith(f"query: version {newer} → {before.live}")
    assert shop.client.get("/v1/payments").require(200)["data"] == []
    assert roll_back(target, deployed, progress) == []

    (line,) = roll_back(target, datetime.now(UTC) + timedelta(minutes=1), progress)
    assert line.startswith(f"query: version {before.live} → {newer}")
    assert shop.client.get("/v1/payments").require(200)["data"] == []
