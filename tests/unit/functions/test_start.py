"""What makes a start of a function short: functions/start.py, and models that are built late."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import runtime
from runtime.functions import process, start

STARTED = """
import gc, sys
import runtime.functions.start as start
handler = getattr(start, sys.argv[1])
"""
MODELS_BUILT = """
from pydantic import BaseModel
def all_below(shape):
    for each in shape.__subclasses__():
        yield each
        yield from all_below(each)
print(sorted(
    each.__qualname__ for each in all_below(BaseModel)
    if each.__module__.startswith("runtime.") and each.__pydantic_complete__
    and not each.__module__.startswith("runtime.verification.")
))
"""


BUILT = {
    "Amounts",
    "Figures",
    "Flows",
    "Page",
    "RateLimits",
    "ReconciliationTerms",
    "RequestedLimits",
    "RequestedTerms",
}
"""Generic models, and models of constants."""


def said_after_start(function: str, script: str) -> str:
    command = [sys.executable, "-c", STARTED + script, function]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_an_attribute_is_the_handler_of_the_function_with_its_name() -> None:
    assert start.process is process.handler


@pytest.mark.parametrize("name", ["missing", "__path__"])
def test_other_names_fail(name: str) -> None:
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        getattr(start, name)


def test_what_was_imported_is_left_out_of_garbage_collection() -> None:
    script = "print(gc.isenabled(), gc.get_freeze_count() > 10_000)"
    assert said_after_start("authorize", script) == "True True"


def test_garbage_is_collected_again_after_an_import_that_failed() -> None:
    script = "import gc\ntry: start.missing\nexcept ImportError: print(gc.isenabled())"
    assert said_after_start("authorize", script) == "True"


def test_pydantic_does_not_look_for_plugins() -> None:
    script = "import os; print(os.environ['PYDANTIC_DISABLE_PLUGINS'])"
    assert said_after_start("authorize", script) == "__all__"


@pytest.mark.parametrize("function", ["authorize", "process", "query"])
def test_hardly_any_validator_is_built_by_an_import(function: str) -> None:
    built = set(literal_eval(said_after_start(function, MODELS_BUILT)))
    assert built <= BUILT


def modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(runtime.__path__, "runtime."):
        yield module.name


def test_every_validator_can_be_built() -> None:
    """An annotation that cannot be resolved would fail in the first request that uses the model."""
    built = 0
    for name in modules():
        for shape in vars(importlib.import_module(name)).values():
            if inspect.isclass(shape) and issubclass(shape, BaseModel) and shape is not BaseModel:
                shape.model_rebuild()
                built += 1
    assert built > 200


def test_annotations_of_shapes_and_rows_are_not_text() -> None:
    """Pydantic would evaluate each of them: a tenth of a cold start's CPU time (decision 0077)."""
    late = "from __future__ import annotations"
    root = Path(runtime.__file__).parent
    declared = [file for file in root.rglob("*.py") if re.fullmatch(r"api|(.+_)?models", file.stem)]
    assert len(declared) > 30
    assert [str(file) for file in declared if late in file.read_text()] == []


def test_log_lines_name_the_version_that_wrote_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "42")
    script = "from runtime.core.observability import logger; logger.info('a line')"
    assert json.loads(said_after_start("authorize", script))["function_version"] == "42"
