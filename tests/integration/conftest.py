"""Engines, and an empty platform on them for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulator import ministack, ports, toolchain
from local.progress import Progress
from local.workspace import PROJECT_ROOT, Workspace
from tests.support.audit.harness import AuditHarness
from tests.support.audit.stage import AuditStage
from tests.support.engines import dynamodb_local
from tests.support.engines.choice import CHOSEN, ONE, engine_named
from tests.support.engines.engine import Engine
from tests.support.engines.memory_engine import in_memory
from tests.support.platform import Platform
from tests.support.stages.running_stage import Stage, running_stage


@pytest.fixture(scope="session")
def dynamodb_local_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """AWS's own engine."""
    if missing := dynamodb_local.missing_tools():
        reason = dynamodb_local.SKIP_REASON + f"this machine lacks {' and '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    log = tmp_path_factory.mktemp("dynamodb-local") / "log"
    with dynamodb_local.running(log) as endpoint_url:
        yield Engine("dynamodb-local", endpoint_url)


@pytest.fixture(scope="session")
def ministack_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The embedded AWS, in a process and directory of its own."""
    workspace = Workspace(root=PROJECT_ROOT, directory=tmp_path_factory.mktemp("ministack"))
    python = toolchain.ministack_python(workspace, Progress())
    emulator = ministack.start(workspace, python, ports.free_port())
    try:
        yield Engine("ministack", emulator.endpoint_url)
    finally:
        ministack.stop(workspace)


@pytest.fixture(scope="session")
def in_memory_engine() -> Engine:
    """The engine of the simulations."""
    return in_memory()


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine that most tests run on: in memory, unless ENGINE names AWS's own."""
    return engine_named(ONE, request)


@pytest.fixture
def platform(engine: Engine) -> Iterator[Platform]:
    """An empty platform."""
    platform = Platform(engine)
    yield platform
    platform.drop()


@pytest.fixture(params=CHOSEN)
def either_world(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """An empty platform on each engine that ENGINE names."""
    platform = Platform(engine_named(request.param, request))
    yield platform
    platform.drop()


@pytest.fixture(scope="module", params=CHOSEN)
def stage(request: pytest.FixtureRequest, ministack_engine: Engine) -> Iterator[Stage]:
    """The functions on the embedded AWS, their tables on each engine that ENGINE names."""
    with running_stage(ministack_engine, engine_named(request.param, request)) as running:
        yield running


@pytest.fixture
def auditor(platform: Platform, ministack_engine: Engine, tmp_path: Path) -> AuditHarness:
    return AuditHarness(platform, AuditStage.on(ministack_engine), tmp_path)


@pytest.fixture
def either_auditor(
    either_world: Platform, ministack_engine: Engine, tmp_path: Path
) -> AuditHarness:
    return AuditHarness(either_world, AuditStage.on(ministack_engine), tmp_path)
