"""Notes the AWS calls of the functions while tests run, in the directory that RECORD_CALLS names.

Every client of a function comes from `Outside.aws`, so this sees botocore's clients, the lean ones
and simulated ones alike. Without the variable nothing is noted and no client is touched.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from permissions.actions import Call, Names, absent_object, calls_of

VARIABLE: Final = "RECORD_CALLS"
ENDING: Final = ".calls"
_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_SERVICE_OF: Final[Mapping[str, str]] = {
    "data_key_kms": "kms",
    "dynamodb": "dynamodb",
    "events": "events",
    "kms": "kms",
    "s3": "s3",
    "secrets_manager": "secretsmanager",
    "signing_s3": "s3",
    "sqs": "sqs",
}
"""Methods of AwsClients, with the services of their clients."""


@dataclass(frozen=True)
class Caller:
    """The function that calls, and its settings."""

    function: str
    names: Names


Who = Callable[[], Caller | None]
"""Who calls at this moment; None if it is no function, but a test that prepares something."""


class Recording:
    """Calls of this process: each kind is written once, to a file of the process."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._lock, self._seen = threading.Lock(), set[Call]()

    def note(self, call: Call) -> None:
        """Write the call, unless this process has written it."""
        with self._lock:
            if call in self._seen:
                return
            self._seen.add(call)
            # By process at the time of the call: a forked one must not write into another's file.
            with (self._directory / f"{os.getpid()}{ENDING}").open("a", encoding="utf-8") as file:
                file.write(call.to_json() + "\n")


_recordings: dict[str, Recording] = {}


def _recording() -> Recording | None:
    directory = os.environ.get(VARIABLE)
    if not directory:
        return None
    if directory not in _recordings:
        _recordings[directory] = Recording(Path(directory))
    return _recordings[directory]


def recorded(outside: Any, function: str, environment: Mapping[str, str]) -> Any:
    """An Outside for one function, whose calls are noted."""
    if _recording() is None:
        return outside
    caller = Caller(function, Names(environment))
    return replace(outside, aws=_Clients(outside.aws, lambda: caller))


def recorded_clients(module: Any, who: Who) -> dict[str, Callable[..., Any]]:
    """What to put in place of a module's functions that make clients, to note their calls.

    Empty if nothing is to be noted. See functions/composition/aws_clients.py.
    """
    if _recording() is None:
        return {}
    made = {name: getattr(module, name) for name in _SERVICE_OF}
    clients = _Clients(SimpleNamespace(**made), who)
    return {name: getattr(clients, name) for name in made}


def record_client(client: Any, service: str, who: Who) -> Any:
    """Note the calls of one client; it is returned."""
    recording = _recording()
    if recording is not None:
        _attach(client, _Notes(service, who, recording))
    return client


class Running:
    """The function whose handler runs in this process, if it is one and no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[Caller] = []

    def __call__(self) -> Caller | None:
        """Who calls at this moment."""
        with self._lock:
            if len({caller.function for caller in self._running}) != 1:
                return None  # none, or which of them calls is unknown
            return self._running[0]

    @contextmanager
    def of(self, caller: Caller) -> Iterator[None]:
        """The handler of `caller` runs in this block."""
        with self._lock:
            self._running.append(caller)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(caller)


class _Clients:
    """AwsClients whose calls are noted."""

    def __init__(self, aws: Any, who: Who) -> None:
        self._aws, self._who = aws, who

    def __getattr__(self, name: str) -> Callable[..., Any]:
        service, make = _SERVICE_OF[name], getattr(self._aws, name)

        def made(**options: Any) -> Any:
            return record_client(make(**options), service, self._who)

        return made


@dataclass(frozen=True)
class _Notes:
    service: str
    who: Who
    recording: Recording

    def begin(self, operation: str, parameters: Mapping[str, Any]) -> list[Call]:
        """Note a call before it is made; returns what was noted."""
        caller = self.who()
        if caller is None:
            return []
        calls = list(calls_of(caller.function, caller.names, self.service, operation, parameters))
        for call in calls:
            self.recording.note(call)
        return calls

    def failed(self, calls: list[Call], code: str) -> None:
        """Note what the answer to a call took."""
        if self.service == "s3" and code in _ABSENT:
            for call in calls:
                if call.action.startswith("s3:GetObject"):
                    self.recording.note(absent_object(call))


def _attach(client: Any, notes: _Notes) -> None:
    own = vars(client)
    build = own.get("_build")
    if build is not None:  # built when it is first used (functions/composition/aws_clients.py)

        def built() -> Any:
            made = build()
            _attach(made, notes)
            return made

        client._build = built
    elif "meta" in own:
        _attach_to_events(client.meta.events, notes)
    else:
        _attach_to_methods(client, notes)


def _attach_to_events(events: Any, notes: _Notes) -> None:
    """botocore: also what it calls by itself for paginators, uploads and signed links."""

    def before(params: Mapping[str, Any], model: Any, context: Any = None, **_: Any) -> None:
        calls = notes.begin(model.name, params)
        if context is not None:
            context[VARIABLE] = calls

    def after(parsed: Mapping[str, Any], context: Any, **_: Any) -> None:
        notes.failed(context.get(VARIABLE, []), parsed.get("Error", {}).get("Code", ""))

    events.register(f"provide-client-params.{notes.service}", before)
    if notes.service == "s3":
        events.register("after-call.s3", after)


def _attach_to_methods(client: Any, notes: _Notes) -> None:
    for name in dir(client):
        if name.startswith("_") or name in _NO_OPERATIONS:
            continue
        method = getattr(client, name)
        if name == "generate_presigned_url":
            setattr(client, name, _noting_link(method, notes))
        elif callable(method):
            setattr(client, name, _noting(method, _operation(name), notes))


_NO_OPERATIONS: Final = frozenset({"close", "exceptions", "get_paginator", "upload_fileobj"})
"""What these do, they do by calling operations."""


def _operation(method: str) -> str:
    """`list_objects_v2` → `ListObjectsV2`."""
    return "".join(part.title() for part in method.split("_"))


def _noting(method: Callable[..., Any], operation: str, notes: _Notes) -> Callable[..., Any]:
    def call(**parameters: Any) -> Any:
        calls = notes.begin(operation, parameters)
        try:
            return method(**parameters)
        except Exception as error:
            response: Mapping[str, Any] = getattr(error, "response", None) or {}
            notes.failed(calls, response.get("Error", {}).get("Code", ""))
            raise

    return call


def _noting_link(method: Callable[..., Any], notes: _Notes) -> Callable[..., Any]:
    def link(operation: str, **options: Any) -> Any:
        notes.begin(_operation(operation), options["Params"])
        return method(operation, **options)

    return link
