"""Nothing in runtime uses a clock, sleep, randomness or threads except through its `Outside`.

What a module may use itself is in ALLOWED, with the reason. `INSTEAD` (tests/support) lists what is
forbidden; the inside of libraries is not checked (docs/decisions/0055).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.oracles.outside_check import INSTEAD, offences

RUNTIME: Final = Path(__file__).parents[3] / "runtime"


class Allowed(NamedTuple):
    """What one file may use, by the names of INSTEAD, and why."""

    names: frozenset[str]
    reason: str


def allowed(reason: str, *names: str) -> Allowed:
    return Allowed(frozenset(names), reason)


_ENTRY: Final = "the real outside is the default of what Lambda runs"
ALLOWED: Final = {
    "functions/authorize.py": allowed(_ENTRY, "runtime.functions.composition.real_outside"),
    "functions/snapshot.py": allowed(
        "renews the real outside, which it alone knows, after a restore",
        "importlib.import_module",
        "random",
        "runtime.functions.composition.real_outside",
        "ssl",
    ),
    "functions/start.py": allowed(
        "loads the function that Lambda names", "importlib.import_module"
    ),
    "functions/composition/services.py": allowed(
        _ENTRY, "runtime.functions.composition.real_outside"
    ),
    "functions/composition/real_outside.py": allowed(
        "this is the real outside",
        "concurrent.futures",
        "datetime.datetime.now",
        "os.urandom",
        "random",
        "runtime.functions.composition.aws_clients",
        "threading",
        "time",
    ),
    "functions/composition/aws_clients.py": allowed(
        "the real clients, which sign with the machine's clock and are built once",
        "boto3.client",
        "datetime.datetime.now",
        "random",
        "threading",
        "time",
    ),
    "functions/composition/lean_clients.py": allowed(
        "botocore's own credentials, where Lambda has none in its environment", "botocore.session"
    ),
    "access/jwks_http.py": allowed(
        "real sockets with a real deadline; AuthorizerServices can be given another source",
        "concurrent.futures",
        "time",
        "urllib.request",
    ),
    "canary/client.py": allowed(
        "real HTTP; CanaryServices can be given another client of the API", "requests"
    ),
    "functions/canary.py": allowed(_ENTRY, "runtime.functions.composition.real_outside"),
    "payments/processors/stripe/client.py": allowed(
        "what Stripe's library sends with; PaymentPartners can name another", "requests"
    ),
    "aws/transport.py": allowed(
        "real sockets, below the client that an Outside makes", "http.client", "ssl"
    ),
    "aws/http_response.py": allowed(
        "real sockets, below the client that an Outside makes", "http.client"
    ),
    "webhooks/http_sender.py": allowed(
        "real sockets with a real deadline; DeliverServices can be given another sender",
        "concurrent.futures",
        "http.client",
        "socket",
        "ssl",
        "threading",
        "time",
    ),
    "functions/process.py": allowed(_ENTRY, "runtime.functions.composition.real_outside"),
    "functions/query.py": allowed(_ENTRY, "runtime.functions.composition.real_outside"),
}
ENVIRONMENT: Final = allowed("settings are read at Lambda's entry point", "os.environ")
"""For every module of functions that builds a function's services."""
MODULES: Final = sorted(str(file.relative_to(RUNTIME)) for file in RUNTIME.rglob("*.py"))


def names_allowed(module: str) -> frozenset[str]:
    names = ALLOWED[module].names if module in ALLOWED else frozenset()
    return names | ENVIRONMENT.names if module.startswith("functions/") else names


def test_the_outside_is_used_only_through_outside() -> None:
    found = [
        f"runtime/{module}:{each.line} uses {each.used}; use {each.instead}"
        for module in MODULES
        for each in offences((RUNTIME / module).read_text())
        if each.rule not in names_allowed(module)
    ]
    assert found == [], "\n" + "\n".join(found)


@pytest.mark.parametrize("module", sorted(ALLOWED))
def test_every_exception_is_needed(module: str) -> None:
    needed = {each.rule for each in offences((RUNTIME / module).read_text())}
    assert needed - ENVIRONMENT.names == ALLOWED[module].names
    assert ALLOWED[module].reason


PLANTED: Final = {
    "a clock": ("from datetime import UTC, datetime\nx = datetime.now(UTC)", 2, "outside.now"),
    "a clock by another name": (
        "from datetime import datetime as moment\nx = moment.now()",
        2,
        "outside.now",
    ),
    "a clock of a renamed module": (
        "import datetime as dt\nx = dt.datetime.now(dt.UTC)",
        2,
        "outside.now",
    ),
    "today": ("import datetime\nx = datetime.date.today()", 2, "outside.now"),
    "a clock bound to a name": (
        "from datetime import datetime\nD = datetime\ndef f():\n    return D.now()",
        4,
        "outside.now",
    ),
    "a clock that is not called": (
        "from datetime import datetime\ndef f(clock=datetime.now):\n    return clock()",
        2,
        "outside.now",
    ),
    "a clock in a field's default": (
        "from dataclasses import field\nfrom datetime import datetime\n"
        "class A:\n    clock: object = field(default=lambda: datetime.now())",
        4,
        "outside.now",
    ),
    "a keyword's default": ("import time\ndef f(*, now=time.time):\n    ...", 2, "monotonic"),
    "sleep": ("from time import sleep\ndef f():\n    sleep(1)", 3, "outside.sleep"),
    "sleep by another name": ("from time import sleep as rest\nrest(1)", 2, "outside.sleep"),
    "perf_counter": ("import time as t\nx = t.perf_counter()", 2, "outside.monotonic"),
    "everything of a module": ("from time import *", 1, "outside.sleep"),
    "a module handed on": ("import time\nf(time)", 2, "outside.sleep"),
    "a module read by name": ("import time\ngetattr(time, 'sle' + 'ep')(1)", 2, "outside.sleep"),
    "an import inside a function": (
        "def f():\n    import time\n    return time.monotonic()",
        3,
        "outside.monotonic",
    ),
    "a lambda": ("import time\nf = lambda: time.time()", 2, "outside.now"),
    "a decorator": ("import threading\n@threading.local\nclass A:\n    ...", 2, "outside.lock"),
    "a base class": ("import threading\nclass A(threading.Thread):\n    ...", 2, "outside.lock"),
    "a comprehension": ("import random\nx = [random.random() for _ in y]", 2, "outside.chance"),
    "an f-string": ("import uuid\nx = f'{uuid.uuid4()}'", 2, "outside.new_id"),
    "a match": (
        "import time\nmatch x:\n    case 1 if time.time() > 1:\n        ...",
        3,
        "outside.now",
    ),
    "a seedless generator": ("from random import Random\nx = Random()", 2, "outside.chance"),
    "entropy": ("import os\nx = os.urandom(8)", 2, "outside.entropy"),
    "entropy by its own name": ("from os import urandom\nx = urandom(8)", 2, "outside.entropy"),
    "secrets": ("import secrets\nx = secrets.token_bytes(8)", 2, "outside.entropy"),
    "a new ULID": ("from ulid import ULID\nx = ULID()", 2, "outside.new_id"),
    "a ULID of a time": ("from ulid import ULID\nx = ULID.from_datetime(y)", 2, "outside.new_id"),
    "a pool": (
        "from concurrent.futures import ThreadPoolExecutor as Pool\nwith Pool(2) as p:\n    ...",
        2,
        "outside.threads",
    ),
    "a pool by its module": (
        "import concurrent.futures\nx = concurrent.futures.ThreadPoolExecutor()",
        2,
        "outside.threads",
    ),
    "waiting for a pool": (
        "from concurrent import futures\nfutures.wait(x)",
        2,
        "outside.threads",
    ),
    "a lock": ("from threading import Lock\nx = Lock()", 2, "outside.lock"),
    "a lock in a factory": (
        "import threading\nfrom dataclasses import field\n"
        "x = field(default_factory=threading.Lock)",
        3,
        "outside.lock",
    ),
    "a client": ("import boto3\nx = boto3.client('s3')", 2, "outside.aws"),
    "our clients": (
        "from runtime.functions.composition import aws_clients as clients\nx = clients.sqs()",
        2,
        "outside.aws",
    ),
    "the real outside": (
        "from runtime.functions.composition.real_outside import real_outside\nx = real_outside()",
        2,
        "the Outside passed as an argument",
    ),
    "a socket": ("import socket\nsocket.create_connection(x)", 2, "a gateway"),
    "a request": ("from urllib.request import urlopen\nurlopen(x)", 2, "a gateway"),
    "the environment": ("import os\nx = os.environ['A']", 2, "settings"),
    "an import by name": ("__import__('time').sleep(1)", 1, "an import statement"),
    "an import by a library": (
        "from importlib import import_module\nimport_module('time')",
        2,
        "an import statement",
    ),
    "hash()": ("x = hash('a') % 8", 1, "hashlib"),
}


@pytest.mark.parametrize("name", list(PLANTED))
def test_a_forbidden_use_is_found(name: str) -> None:
    source, line, instead = PLANTED[name]
    found = offences(source)
    assert [each.line for each in found] == [line]
    assert instead in found[0].instead


HARMLESS: Final = {
    "the outside": "def f(outside):\n    outside.sleep(1)\n    return outside.now()",
    "another datetime": "from datetime import datetime\nx = datetime.fromisoformat(y)",
    "a time of day": "from datetime import time\nx = time(12)",
    "a type": (
        "from __future__ import annotations\nfrom random import Random\n"
        "def f(chance: Random, *more: Random) -> Random:\n    x: Random = chance\n    return x"
    ),
    "a future": "from concurrent.futures import Future\nx = Future()",
    "a ULID of bytes": "from ulid import ULID\nx = ULID.from_bytes(y)",
    "a ULID with an argument": "from ulid import ULID\nx = ULID(y)",
    "a field of that name": "class A:\n    time: int\n    hash: str\nx = a.time + a.hash",
    "a method of that name": "class A:\n    def hash(self):\n        return self.hash()",
    "HTTP's statuses": "from http import HTTPStatus\nx = HTTPStatus.OK",
    "a text": "x = 'time.sleep(1)'",
}


@pytest.mark.parametrize("name", list(HARMLESS))
def test_an_allowed_use_is_not_found(name: str) -> None:
    assert offences(HARMLESS[name]) == []


def test_every_finding_has_its_line_and_the_replacement() -> None:
    source = "import time\n\n\ndef f():\n    time.sleep(1)\n    time.time()\n"
    assert [(each.line, each.used) for each in offences(source)] == [
        (5, "time.sleep"),
        (6, "time.time"),
    ]
    assert all(INSTEAD.values())
