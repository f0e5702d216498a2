"""Starts the emulator so that its state can be kept: run by the emulator's own interpreter.

ministack writes its state when it is stopped, and reads it again. It omits the change
streams of its tables, although it remembers how far each function has read them: after a restart
it would skip as many new records as had been read before. Here the streams are written with the
tables. Nothing is written unless the marker exists: most stages are stopped to be deleted.

To say that it does not know a service, ministack reads the models of all services of AWS, at the
first request to such a one. Meanwhile, for 7 s of a processor, it answers no one, not even the
health check: a command then takes it for dead and starts another. Only the names are read here.

Its workers import botocore.handlers, which our functions need in no other way, to count how
deeply functions invoke functions. Ours invoke none, and start without it.
"""

import copy
import gzip
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARKER = "keep"
"""A file in $STATE_DIR, made by `make down KEEP=1` before it stops the emulator."""
STREAMS = ("_stream_records", "_stream_trimmed", "_stream_seq_counter")
FIRST = "lambda"
"""Saved before the tables: a record read meanwhile is read once more, never skipped."""
_COUNTING = "\n    _ms_install_invoke_depth()\n"
"""Where a worker imports botocore.handlers."""
_HEAD_BYTES = 8192
"""A model begins with its metadata, some 600 bytes."""
_NAME = re.compile(rb'"(?:endpointPrefix|signingName)"\s*:\s*"([^"]+)"')

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


def know_services(router: Any, models: Path) -> None:
    """Give ministack's router the names of all services in botocore's directory of models.

    They are the ones that it would take from the models: of the service, its endpoint and its
    signatures.
    """
    names: set[str] = set()
    for model in models.glob("*/*/service-2.json*"):
        names.add(model.parent.parent.name)
        with gzip.open(model) if model.suffix == ".gz" else model.open("rb") as file:
            names.update(name.decode() for name in _NAME.findall(file.read(_HEAD_BYTES)))
    router._KNOWN_AWS_SERVICE_NAMES = frozenset(names)


def count_no_depths(workers: Any) -> None:
    """Make ministack's workers start without this import, which takes 0.2 s of a processor."""
    before, call, after = workers._PYTHON_WORKER_SCRIPT.partition(_COUNTING)
    if not call:
        raise RuntimeError("ministack's workers count otherwise: see count_no_depths")
    workers._PYTHON_WORKER_SCRIPT = f"{before}\n{after}"


def main() -> None:
    """Run the emulator until it is stopped."""
    app = importlib.import_module("ministack.app")
    botocore: Any = importlib.import_module("botocore")
    models = Path(botocore.__file__).with_name("data")
    know_services(importlib.import_module("ministack.core.router"), models)
    count_no_depths(importlib.import_module("ministack.core.lambda_runtime"))
    keep_streams(importlib.import_module("ministack.services.dynamodb"))
    save_if_marked(app, Path(os.environ["STATE_DIR"]))
    app.main()


if __name__ == "__main__":
    main()
