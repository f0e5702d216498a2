"""A throw-away emulator with our tables, for one measurement."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local import ministack
from local.aws import Clients
from local.cdk import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from local.ports import free_port
from local.progress import Progress
from local.toolchain import ministack_python
from local.workspace import Workspace
from runtime.models import ALL_TABLES

STATE_DIRECTORY: Final = Path(".local-bench")


@dataclass
class Meter:
    """Counts what a DynamoDB client does: calls, and the write units that the engine reports.

    The engine reports those of the tables; what indexes cost on top it does not say.
    """

    calls: int = 0
    write_units: float = 0.0

    def watch(self, client: Any) -> None:
        """Count every call of `client` from now on."""
        events = client.meta.events
        events.register("provide-client-params.dynamodb.*", self._ask)
        events.register("after-call.dynamodb.*", self._note)

    def reset(self) -> None:
        """Begin again at zero."""
        self.calls, self.write_units = 0, 0.0

    def _ask(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**params, "ReturnConsumedCapacity": "TOTAL"}

    def _note(self, parsed: dict[str, Any], **_: Any) -> None:
        self.calls += 1
        consumed = parsed.get("ConsumedCapacity", [])
        for table in consumed if isinstance(consumed, list) else [consumed]:
            self.write_units += float(table.get("WriteCapacityUnits", 0.0))


@dataclass(frozen=True)
class Bench:
    """The emulator's clients, with the tables under their schema names."""

    clients: Clients
    meter: Meter = field(default_factory=Meter)


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
        for schema in ALL_TABLES:
            clients.dynamodb.create_table(**schema.create_table_arguments(schema.name))
        yield Bench(clients)
    finally:
        os.environ.clear()
        os.environ.update(before)
        ministack.stop(workspace)
