"""`.local/stack.json`: what is deployed and how to reach it, for tests, tools and people."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from local.errors import NotRunning
from local.workspace import Workspace


class Schedule(BaseModel):
    """One EventBridge schedule: the function that it starts, and the event that it sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    function: str
    event: dict[str, Any]


class Stack(BaseModel):
    """The deployed local stage. `api_url` ends before `/v1`; names are keyed by their role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_url: str
    aws_endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    buckets: dict[str, str]
    tables: dict[str, str]
    functions: dict[str, str]
    schedules: dict[str, Schedule]

    def write(self, file: Path) -> None:
        """Replace `file` in one step, so that a reader never sees half of it."""
        half = file.with_suffix(".half")
        half.write_text(self.model_dump_json(indent=2) + "\n")
        half.replace(file)

    @classmethod
    def read(cls, file: Path) -> "Stack | None":
        """The stack in `file`; None when there is none, or when another version wrote it."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def require_stack(workspace: Workspace) -> Stack:
    """The deployed stack. Raises NotRunning when there is none."""
    stack = Stack.read(workspace.stack_file)
    if stack is None:
        raise NotRunning("The local stage is not deployed.", hint="Start it: make up")
    return stack
