"""AWS clients are built when they are used, once, whoever is first."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import boto3
import pytest

from runtime.functions.composition import aws_clients

THREADS = 8


def test_a_client_is_built_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, Any]] = []
    all_here = Barrier(THREADS)

    class Client:
        name = "the client"

    def client(service: str, config: Any) -> Client:
        built.append((service, config))
        return Client()

    monkeypatch.setattr(boto3, "client", client)
    kms: Any = aws_clients.kms()
    assert built == []

    def use(_: int) -> str:
        all_here.wait()
        return str(kms.name)

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(use, range(THREADS))) == {"the client"}
    ((service, config),) = built
    assert service == "kms"
    assert (config.connect_timeout, config.read_timeout) == (
        aws_clients.CONNECT_TIMEOUT_SECONDS,
        aws_clients.READ_TIMEOUT_SECONDS,
    )
    assert config.retries["total_max_attempts"] == aws_clients.MAX_ATTEMPTS


def test_a_client_that_could_not_be_built_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [OSError("no credentials yet"), boto3]

    def client(service: str, config: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(boto3, "client", client)
    sqs: Any = aws_clients.sqs()
    with pytest.raises(OSError, match="no credentials yet"):
        _ = sqs.__version__
    assert sqs.__version__ == boto3.__version__


@pytest.mark.parametrize("function", ["process", "query", "authorize"])
def test_functions_of_the_api_are_imported_without_boto3(function: str) -> None:
    script = (
        f"import sys, runtime.functions.{function}\n"
        "print([n for n in ('boto3', 'botocore.session', 'urllib3', 'requests') "
        "if n in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
