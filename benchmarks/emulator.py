"""Throw-away engines for one measurement."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local.emulator import ministack
from local.emulator.aws import Clients
from local.emulator.cdk import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from local.emulator.ports import free_port
from local.emulator.toolchain import ministack_python
from local.progress import Progress
from local.workspace import Workspace
from runtime.tables import ALL_TABLES
from tests.support.engines import dynamodb_local
from tests.support.engines.engine import Engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STATE_DIRECTORY: Final = Path(".local-bench")


@dataclass(frozen=True)
class Bench:
    """The emulator's clients, with the tables under their schema names."""

    clients: Clients


@contextmanager
def table_engine(progress: Progress) -> Iterator[Engine]:
    """An empty table engine: AWS's own if Java and npm are installed, else the embedded AWS."""
    if not dynamodb_local.missing_tools():
        log = Path(tempfile.mkdtemp()) / "log"
        with dynamodb_local.running(log) as endpoint_url:
            yield Engine("AWS DynamoDB Local", endpoint_url)
        return
    with emulator(progress) as bench:
        yield Engine("ministack", bench.clients.dynamodb.meta.endpoint_url)


@contextmanager
def emulator(progress: Progress) -> Iterator[Bench]:
    """Start an empty emulator with our tables; boto3's defaults point to it until the end."""
    workspace = Workspace.find(STATE_DIRECTORY)
    workspace.prepare()
    python = ministack_python(workspace, progress)
    ministack.stop(workspace)
    started = ministack.start(workspace, python, free_port())
    before = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL": started.endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }
    try:
        clients = Clients(started.endpoint_url)
        make_tables(clients.dynamodb)
        yield Bench(clients)
    finally:
        os.environ.clear()
        os.environ.update(before)
        ministack.stop(workspace)


def make_tables(client: DynamoDBClient) -> None:
    """Every table of the platform, under its schema's name."""
    for schema in ALL_TABLES:
        client.create_table(**schema.create_table_arguments(schema.name))
