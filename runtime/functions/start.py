"""Lambda's entry point: `runtime.functions.start.<name>` is the handler of `functions/<name>.py`.

A caller may be waiting while a function is imported. What makes that shorter is done here, before
the first import (decision 0077).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """The handler of the function `name`, imported without interruptions by garbage collection.

    Nothing that an import creates is garbage, and looking for it takes 6 % of the time. Collections
    do not look at these objects later, either. Pydantic's plugins are other packages' validators:
    there are none, and finding that out means reading the metadata of all packages.
    """
    if name.startswith("_"):  # such as __path__, which Python's imports look for
        raise AttributeError(name)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()
    try:
        handler = import_module(f"runtime.functions.{name}").handler
        log_version(os.environ)
        if starts_from_snapshot(os.environ):
            import_module("runtime.functions.snapshot").register_hooks()
    finally:
        gc.freeze()
        gc.enable()
    return handler


def log_version(environment: Mapping[str, str]) -> None:
    """Have each log line name the version of the function that wrote it."""
    observability = import_module("runtime.core.observability")  # the handler has loaded it
    version = environment.get("AWS_LAMBDA_FUNCTION_VERSION")
    observability.logger.append_keys(**{observability.VERSION_FIELD: version})


def starts_from_snapshot(environment: Mapping[str, str]) -> bool:
    """Whether this environment is initialized in order to take a snapshot of it (SnapStart)."""
    return environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
