"""Each stage is synthesized once per run: it takes seconds, and no test changes it."""

from __future__ import annotations

import copy
import fcntl
import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.infrastructure.synthesized import (
    CLOUD_STAGES,
    STAGES,
    Synthesized,
    cdk_json_context,
    documented_console,
    documented_large_stage,
)

Synthesize = Callable[[str], Synthesized]
Once = Callable[[str, Callable[[Path], Synthesized]], Synthesized]


@pytest.fixture(scope="session")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the Lambda asset, whose own tests build the real one."""
    directory = tmp_path_factory.mktemp("asset")
    (directory / "handler.py").write_text("")
    return directory


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """What is made under a name, in a directory of its own. Test processes of one run share it: the
    first that asks makes it."""
    worker = "PYTEST_XDIST_WORKER" in os.environ
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if worker else own

    def once(name: str, make: Callable[[Path], Synthesized]) -> Synthesized:
        kept = shared / f"{name}.pickle"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                made = make(tmp_path_factory.mktemp(f"cdk-{name}"))
                kept.write_bytes(pickle.dumps(made))
                return made
        found: Synthesized = pickle.loads(kept.read_bytes())  # noqa: S301 - of this run
        return found

    return once


@pytest.fixture(scope="session")
def synthesize(asset: Path, once: Once) -> Synthesize:
    """A stage of cdk.json."""

    @cache
    def synthesize(stage: str) -> Synthesized:
        return once(stage, lambda directory: Synthesized.make(stage, asset, directory))

    return synthesize


@pytest.fixture(scope="session")
def unjudged(asset: Path, once: Once) -> Synthesize:
    """A stage of cdk.json for `make test-deep`, which reads its templates only. `make test` judges
    it, and the first judgment of a process takes longer than the synthesis."""

    @cache
    def unjudged(stage: str) -> Synthesized:
        return once(
            f"{stage}-unjudged",
            lambda directory: Synthesized.make(stage, asset, directory, judged=False),
        )

    return unjudged


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, synthesize: Synthesize) -> Synthesized:
    """Every stage in turn."""
    return synthesize(request.param)


@pytest.fixture(params=CLOUD_STAGES)
def cloud_stage(request: pytest.FixtureRequest, synthesize: Synthesize) -> Synthesized:
    """Every stage that runs on AWS, in turn."""
    return synthesize(request.param)


@pytest.fixture(scope="session")
def with_options(asset: Path, once: Once) -> Synthesized:
    """The stage dev with settings that do not touch one another.

    A shared secret for tokens (HS256), functions that start from snapshots, reserved concurrency,
    botocore's client of DynamoDB, and a role for emergencies.
    """
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["dev"] |= {
        "snap_start": True,
        "concurrency": {"authorizer": 50, "process": 400},
        "dynamodb_client": "botocore",
        "break_glass_role": "security/BreakGlass",
        "dashboard": False,
    }
    context["stages"]["dev"]["auth"]["hs256_secret_name"] = "tokens/hs256"
    return once("options", lambda into: Synthesized.make("dev", asset, into, context, judged=False))


@pytest.fixture(scope="session")
def with_jwt(asset: Path, once: Once) -> Synthesized:
    """The stage dev, whose tokens API Gateway judges itself."""
    context = copy.deepcopy(cdk_json_context())
    auth = {"mode": "jwt", "issuer": "https://issuer.test", "audience": "payments-api"}
    context["stages"]["dev"]["auth"] = auth
    return once("jwt", lambda into: Synthesized.make("dev", asset, into, context))


@pytest.fixture(scope="session")
def with_domain(asset: Path, once: Once) -> Synthesized:
    """The stage dev under a domain name of its own, with a budget that notifies of tickets, whose
    API browsers may call from one origin."""
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["dev"] |= {
        "cors_origins": ["https://shop.example"],
        "domain": {
            "name": "api.payments.test",
            "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/5a-b",
            "hosted_zone_id": "Z0123456789",
        },
        "budget": {"monthly_usd": 500},
        "alarms": {"ticket": {"email": ["team@payments.test"]}},
    }
    return once("domain", lambda into: Synthesized.make("dev", asset, into, context))


@pytest.fixture(scope="session")
def with_console(asset: Path, once: Once) -> Synthesized:
    """The stage dev with the documented console behind CloudFront."""
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["dev"] |= {**documented_console(), "dashboard": False}
    return once("console", lambda into: Synthesized.make("dev", asset, into, context))


@pytest.fixture(scope="session")
def large(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stage prod with the documented settings for 20,000 payments per second."""
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["prod"] = documented_large_stage()
    directory = tmp_path_factory.mktemp("cdk-large")
    return Synthesized.make("prod", asset, directory, context, judged=False)


@pytest.fixture
def prod(synthesize: Synthesize) -> Synthesized:
    return synthesize("prod")
