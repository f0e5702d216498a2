"""Starts the emulator so that its state can be kept: run by the emulator's own interpreter.

ministack writes its state when it is stopped, and reads it again. It omits the change
streams of its tables, although it remembers how far each function has read them: after a restart
it would skip as many new records as had been read before. Here the streams are written with the
tables. Nothing is written unless the marker exists: most stages are stopped to be deleted.
"""

import copy
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARKER = "keep"
"""A file in $STATE_DIR, made by `make down KEEP=1` before it stops the emulator."""
STREAMS = ("_stream_records", "_stream_trimmed", "_stream_seq_counter")
FIRST = "lambda"
"""Saved before the tables: a record read meanwhile is read once more, never skipped."""

State = dict[str, Any]


def keep_streams(dynamodb: Any) -> None:
    """Make ministack's module for DynamoDB save its streams, and load them again."""
    save: Callable[[], State] = dynamodb.get_state
    load: Callable[[State], None] = dynamodb.load_persisted_state

    def get_state() -> State:
        return save() | {name: copy.deepcopy(getattr(dynamodb, name)) for name in STREAMS}

    def load_persisted_state(state: State) -> None:
        load(state)
        for name in STREAMS:
            if name in state:
                setattr(dynamodb, name, state[name])

    dynamodb.get_state, dynamodb.load_persisted_state = get_state, load_persisted_state


def save_if_marked(app: Any, directory: Path) -> None:
    """Make ministack save only if the marker exists, its functions first."""
    save: Callable[[State], None] = app.save_all

    def save_all(services: State) -> None:
        if (directory / MARKER).exists():
            save(dict(sorted(services.items(), key=lambda service: service[0] != FIRST)))

    app.save_all = save_all


def main() -> None:
    """Run the emulator until it is stopped."""
    app = importlib.import_module("ministack.app")
    keep_streams(importlib.import_module("ministack.services.dynamodb"))
    save_if_marked(app, Path(os.environ["STATE_DIR"]))
    app.main()


if __name__ == "__main__":
    main()
