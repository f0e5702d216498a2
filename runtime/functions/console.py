"""The console's page and files, in stages that serve them beside the API.

The function has no rights but to write its log: the page signs in by itself, and everything that
it shows it asks the API for, with the token of whoever uses it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.console.files import FILES_PREFIX, ConsoleFiles
from runtime.core.echo import echoed_path
from runtime.core.errors import NotFound
from runtime.core.observability import logger
from runtime.http.event import HttpEvent
from runtime.http.responses import ERROR_TYPES, HttpResponse, problem
from runtime.settings import ConsoleSettings

DIRECTORY: Final = "console"
"""Where the files are in the function's package."""
_TASK_ROOT: Final = "LAMBDA_TASK_ROOT"
"""The variable with which Lambda names the directory of the package."""
_PROBLEM: Final = "application/problem+json"


def directory_in(environment: Mapping[str, str]) -> Path:
    """The files' directory in this execution environment."""
    return Path(environment[_TASK_ROOT]) / DIRECTORY


@cache
def console_files() -> ConsoleFiles:
    """The files of this execution environment, listed once."""
    return ConsoleFiles(directory_in(os.environ))


def handler_for(
    files: Callable[[], ConsoleFiles],
    error_types: Callable[[], str] = lambda: ERROR_TYPES,
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """Create the handler on the files of one execution environment.

    `error_types`: the form of what `type` of a problem begins with (decision 0146).
    """

    def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
        """Handle an event of the routes GET /console and GET /console/…."""
        request = HttpEvent.of(event)
        logger.append_keys(request_id=request.request_id)
        served = files()
        answer = served.answer(request.path, request.headers)
        if answer is None:
            types = request.api_url(error_types())
            answer = _not_found(request, types, served.headers)
        return answer.payload()

    return handler


def _not_found(request: HttpEvent, types: str, headers: Mapping[str, str]) -> HttpResponse:
    name = echoed_path(request.path.removeprefix(FILES_PREFIX))
    refusal = NotFound(f"The console has no file {name}")
    answer = problem(refusal, instance=request.path, request_id=request.request_id, types=types)
    sent = {**headers, "Cache-Control": "no-store", "X-Request-Id": request.request_id}
    return HttpResponse(answer.status, _PROBLEM, answer.body, sent)


def error_types_of_environment() -> str:
    """The setting `error_types`."""
    return ConsoleSettings.from_environment(os.environ).error_types or ERROR_TYPES


handler = handler_for(console_files, error_types_of_environment)
