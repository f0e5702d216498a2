"""Engines, and an empty platform on them for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ministack, ports, toolchain
from local.progress import Progress
from local.workspace import PROJECT_ROOT, Workspace
from tests.support import dynamodb_local
from tests.support.audit_stage import AuditStage
from tests.support.auditor import Auditor
from tests.support.engines import Engine
from tests.support.stage import Stage, running_stage
from tests.support.world import World


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


@pytest.fixture
def world(dynamodb_local_engine: Engine) -> Iterator[World]:
    """An empty platform on AWS's own engine."""
    world = World(dynamodb_local_engine)
    yield world
    world.drop()


@pytest.fixture(params=["dynamodb-local", "ministack"])
def either_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """An empty platform on each engine that can run."""
    name = "dynamodb_local_engine" if request.param == "dynamodb-local" else "ministack_engine"
    world = World(request.getfixturevalue(name))
    yield world
    world.drop()


@pytest.fixture(scope="module", params=["dynamodb-local", "ministack"])
def stage(request: pytest.FixtureRequest, ministack_engine: Engine) -> Iterator[Stage]:
    """The functions on the embedded AWS; the tables also on AWS's own engine."""
    tables_on = ministack_engine
    if request.param == "dynamodb-local":
        tables_on = request.getfixturevalue("dynamodb_local_engine")
    with running_stage(ministack_engine, tables_on) as running:
        yield running


@pytest.fixture
def auditor(world: World, ministack_engine: Engine, tmp_path: Path) -> Auditor:
    return Auditor(world, AuditStage.on(ministack_engine), tmp_path)


@pytest.fixture
def either_auditor(either_world: World, ministack_engine: Engine, tmp_path: Path) -> Auditor:
    return Auditor(either_world, AuditStage.on(ministack_engine), tmp_path)
