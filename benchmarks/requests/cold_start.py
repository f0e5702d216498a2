"""CPU time of a cold start: importing a function from the built asset, and its first request.

Each run is a new interpreter with nothing but the asset and Lambda's environment variables.
DynamoDB answers at once with recorded answers, over a socket, without TLS; so does KMS.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from benchmarks.figures import Figures
from benchmarks.requests.recorded_aws import RecordedAws
from benchmarks.requests.replay import Exchange, recorded
from benchmarks.requests.request_cpu import (
    Scenario,
    Shop,
    answer_to,
    expect,
    forget_services,
    stage,
)
from benchmarks.setting import BenchmarkDependencies
from local.workspace import PROJECT_ROOT
from runtime.functions import authorize
from stacks.asset_sizes import sizes_of, table_of
from stacks.lambda_asset import PRODUCTION, LambdaTarget, find_interpreter, lambda_asset
from tests.support.http import Context

TIMEOUT_SECONDS: Final = 60
_PROGRAM: Final = """
import importlib, json, sys, time
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
event = json.load(sys.stdin)
class Context:
    aws_request_id, function_name, memory_limit_in_mb = "request", "function", 1024
    invoked_function_arn = "arn:aws:lambda:eu-west-1:1:function:function"
    get_remaining_time_in_millis = lambda self: 10_000
started = time.process_time()
handler = getattr(importlib.import_module("runtime.functions.start"), sys.argv[2])
imported = time.process_time()
answer = handler(event, Context())
answered = time.process_time()
print()
print(json.dumps([imported - started, answered - imported, answer]))
"""


@dataclass(frozen=True)
class FirstRequest:
    """A function's first request, and the answers of DynamoDB to it."""

    function: str
    name: str
    event: Mapping[str, Any]
    exchanges: tuple[Exchange, ...]
    is_answer: Callable[[Any], bool]
    most_ms: int


class Run(NamedTuple):
    """CPU seconds of one cold start."""

    imported: float
    answered: float

    @property
    def together(self) -> float:
        """Both."""
        return self.imported + self.answered


def run(bench: BenchmarkDependencies) -> None:
    """Measure in new processes, and print CPU times and the asset's sizes."""
    target, python = _target()
    asset = lambda_asset(target, PROJECT_ROOT / "build")
    titles = (
        "cold start, CPU ms", "calls", "import", "first request", "together", "median", "target",
    )  # fmt: skip
    on = f"functions on Python {_version_of(python)}, best of {bench.size.cold_starts}"
    rows = []
    with bench.table_engine(bench.progress) as engine, stage(engine) as aws:
        requests = list(_requests(aws))
        with bench.progress.step("Measure cold starts"):
            for request in requests:
                runs = [_once(python, asset, request, aws) for _ in range(bench.size.cold_starts)]
                best = min(runs, key=lambda each: each.together)
                row = (
                    f"{request.function}: {request.name}",
                    str(len(request.exchanges)),
                    *(f"{seconds * 1000:.0f}" for seconds in (*best, best.together)),
                    f"{median(each.together for each in runs) * 1000:.0f}",
                    f"≤ {request.most_ms}",
                )
                rows.append(row)
    bench.show(Figures("cold", titles, rows, on))
    bench.console.print(table_of(sizes_of(asset), f"the asset, {target.label}"))


def _target() -> tuple[LambdaTarget, str]:
    """Lambda's version of Python on this machine's processor if it is installed, else our own."""
    own = LambdaTarget.this_machine()
    python = find_interpreter(PRODUCTION.python_version) if platform.system() == "Linux" else None
    if python is None:
        return own, sys.executable
    return LambdaTarget(own.architecture, PRODUCTION.python_version), python


def _version_of(python: str) -> str:
    probe = "import platform; print(platform.python_version())"
    asked = subprocess.run([python, "-I", "-c", probe], capture_output=True, check=True, text=True)
    return asked.stdout.strip()


def _requests(aws: RecordedAws) -> Iterator[FirstRequest]:
    """A request of each kind, made once by functions without any cached data."""
    shop = Shop()
    for scenario in shop.scenarios():
        if scenario.name in ("transfer", "sale", "GET payment", "list of 20"):
            yield _api_request(scenario)
    yield _authorization("token", _token(aws))
    scope = {"name": "till", "merchant_id": shop.merchant, "permissions": ["payments"]}
    yield _authorization("API key", shop.api_key(scope))


def _api_request(scenario: Scenario) -> FirstRequest:
    event = scenario.make(uuid.uuid4().hex)
    forget_services()
    with recorded() as recording:
        expect(scenario, answer_to(event))
    function = "query" if event["requestContext"]["http"]["method"] == "GET" else "process"
    exchanges = _of_dynamodb(recording.exchanges)

    def is_answer(answer: Any) -> bool:
        return bool(answer["statusCode"] == scenario.status)

    return FirstRequest(function, scenario.name, event, exchanges, is_answer, most_ms=300)


def _authorization(name: str, credential: str) -> FirstRequest:
    event = {
        "version": "2.0",
        "type": "REQUEST",
        "routeKey": "$default",
        "headers": {"authorization": f"Bearer {credential}"},
        "requestContext": {
            "requestId": "request",
            "http": {"sourceIp": "192.0.2.1", "userAgent": "bench"},
        },
    }
    authorize.authorizer_services.cache_clear()
    context: Any = Context()
    with recorded() as recording:
        answer = authorize.handler(event, context)
    assert _identifies(answer), f"{name} was refused: {answer}"  # noqa: S101
    exchanges = _of_dynamodb(recording.exchanges)
    return FirstRequest("authorize", name, event, exchanges, _identifies, most_ms=200)


def _identifies(answer: Any) -> bool:
    return "refused" not in json.dumps(answer["context"])


def _of_dynamodb(exchanges: list[Exchange]) -> tuple[Exchange, ...]:
    return tuple(each for each in exchanges if each.operation not in ("Decrypt", "GenerateDataKey"))


def _token(aws: RecordedAws) -> str:
    """A token of the issuer whose public keys `aws` has."""
    key = rsa.generate_private_key(65537, 2048)
    public = {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "1", "alg": "RS256"}
    aws.public_keys = {"keys": [public]}
    os.environ["JWKS_URL"] = f"{aws.url}/jwks.json"
    claims = {
        "sub": "bench",
        "iss": os.environ["ISSUER"],
        "aud": os.environ["AUDIENCE"],
        "exp": 9_999_999_999,
        "permissions": ["payments"],
    }
    return jwt.encode(claims, key, "RS256", {"kid": "1"})


def _once(python: str, asset: Path, request: FirstRequest, aws: RecordedAws) -> Run:
    aws.replay(request.exchanges)
    done = subprocess.run(
        [python, "-I", "-S", "-c", _PROGRAM, str(asset), request.function],
        capture_output=True,
        check=False,
        env={**os.environ, "AWS_ENDPOINT_URL": aws.url, "AWS_ENDPOINT_URL_DYNAMODB": aws.url},
        input=json.dumps(request.event),
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    if done.returncode != 0:
        raise AssertionError(f"{request.function} failed: {done.stdout}{done.stderr}")
    imported, answered, answer = json.loads(done.stdout.splitlines()[-1])
    assert request.is_answer(answer), f"{request.name} was answered {answer}"  # noqa: S101
    return Run(imported, answered)
