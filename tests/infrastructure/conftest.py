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


@pytest.fixture(scope="session")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the Lambda asset, whose own tests build the real one."""
    directory = tmp_path_factory.mktemp("asset")
    (directory / "handler.py").write_text("")
    return directory


@pytest.fixture(scope="session")
def synthesize(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesize:
    """A stage of cdk.json. Test processes of one run share it: the first that asks makes it."""
    worker = "PYTEST_XDIST_WORKER" in os.environ
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if worker else own

    @cache
    def synthesize(stage: str) -> Synthesized:
        kept = shared / f"{stage}.pickle"
        with (shared / f"{stage}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                made = Synthesized.make(stage, asset, tmp_path_factory.mktemp(f"cdk-{stage}"))
                kept.write_bytes(pickle.dumps(made))
                return made
        found: Synthesized = pickle.loads(kept.read_bytes())  # noqa: S301 - of this run
        return found

    return synthesize


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, synthesize: Synthesize) -> Synthesized:
    """Every stage in turn."""
    return synthesize(request.param)


@pytest.fixture(params=CLOUD_STAGES)
def cloud_stage(request: pytest.FixtureRequest, synthesize: Synthesize) -> Synthesized:
    """Every stage that runs on AWS, in turn."""
    return synthesize(request.param)


@pytest.fixture(scope="session")
def with_origins(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stage dev, whose API browsers may call from one origin."""
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["dev"]["cors_origins"] = ["https://shop.example"]
    return Synthesized.make("dev", asset, tmp_path_factory.mktemp("cdk-origins"), context)


@pytest.fixture(scope="session")
def with_hs256(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stage dev with a shared secret for tokens, whose functions start from snapshots."""
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["dev"] |= {"snap_start": True, "dashboard": False}
    context["stages"]["dev"]["auth"]["hs256_secret_name"] = "tokens/hs256"
    directory = tmp_path_factory.mktemp("cdk-hs256")
    return Synthesized.make("dev", asset, directory, context, judged=False)


@pytest.fixture(scope="session")
def with_jwt(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stage dev, whose tokens API Gateway judges itself."""
    context = copy.deepcopy(cdk_json_context())
    auth = {"mode": "jwt", "issuer": "https://issuer.test", "audience": "payments-api"}
    context["stages"]["dev"]["auth"] = auth
    return Synthesized.make("dev", asset, tmp_path_factory.mktemp("cdk-jwt"), context)


@pytest.fixture(scope="session")
def with_domain(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stage dev under a domain name of its own, with a budget that notifies of tickets."""
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["dev"] |= {
        "domain": {
            "name": "api.payments.test",
            "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/5a-b",
            "hosted_zone_id": "Z0123456789",
        },
        "budget": {"monthly_usd": 500},
        "alarms": {"ticket": {"email": ["team@payments.test"]}},
    }
    return Synthesized.make("dev", asset, tmp_path_factory.mktemp("cdk-domain"), context)


@pytest.fixture(scope="session")
def with_console(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stage dev with the documented console behind CloudFront."""
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["dev"] |= {**documented_console(), "dashboard": False}
    return Synthesized.make("dev", asset, tmp_path_factory.mktemp("cdk-console"), context)


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
