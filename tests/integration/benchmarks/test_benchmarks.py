"""Every benchmark runs with a few operations each: nothing else would detect a broken one."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.emulator import make_tables
from benchmarks.registry import BENCHMARKS
from benchmarks.setting import TINY, BenchmarkDependencies
from local.progress import Progress
from runtime.core.observability import logger
from tests.support.engines.engine import Engine

REAL, IN_MEMORY, NONE = "dynamodb_local_engine", "in_memory_engine", None
"""Workers in processes of their own, and PynamoDB, need an engine that has an address."""


@dataclass(frozen=True)
class Expected:
    """What a benchmark measures on (the name of a fixture), and titles that it prints."""

    engine: str | None
    titles: tuple[str, ...]


EXPECTED = {
    "transfer": Expected(REAL, ("a transfer, on dynamodb-local", "attempts per success")),
    "rivals": Expected(
        REAL, ("transfers/s, 2 ms a trip", "2 processes, one hot account", "together")
    ),
    "cpu": Expected(REAL, ("CPU of a request", "repeated sale")),
    "client": Expected(REAL, ("CPU of a call to DynamoDB", "Query of 20")),
    "queries": Expected(REAL, ("a query", "summary of 30 days", "verification of its chain")),
    "sale": Expected(IN_MEMORY, ("ours, on in-memory", "refund of a sale", "Go example")),
    "price": Expected(NONE, ("a sale, quiet stage", "$ per million sales", "A million sales of")),
    "verification": Expected(NONE, ("a ledger verification of", "transfers in a year")),
    "payout": Expected(IN_MEMORY, ("write units of a payout", "locks of 5 ms")),
    "resolver": Expected(IN_MEMORY, ("The last one is resolved after", "gsi-open")),
    "reconcile": Expected(REAL, ("Write units of a chunk",)),
    "export": Expected(REAL, ("Exports of payments", "Read units of 1,000 payments")),
    "encryption": Expected(NONE, ("KMS calls of 1 warm payments", "of 1 MB")),
    "cold": Expected(REAL, ("cold start, CPU ms", "authorize: API key", "zipped, MB")),
    "card-scan": Expected(NONE, ("an ordinary body",)),
}


LONG = {"cold", "rivals"}
"""They start functions again and again, or another product; the others take seconds."""


@contextmanager
def in_this_process(_progress: Progress) -> Iterator[None]:
    """KMS and the tables, where one thread is enough; boto3's defaults lead there."""
    with mock_aws():
        make_tables(boto3.client("dynamodb"))
        yield


def engine_of(
    name: str, request: pytest.FixtureRequest
) -> Callable[[Progress], AbstractContextManager[Engine]]:
    fixture = EXPECTED[name].engine
    if fixture is None:
        return lambda _: pytest.fail("this benchmark needs no engine of tables")
    engine: Engine = request.getfixturevalue(fixture)
    return lambda _: nullcontext(engine)


def test_every_benchmark_of_the_registry_is_run_by_these_tests() -> None:
    assert set(EXPECTED) == set(BENCHMARKS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.deep] if name in LONG else []) for name in BENCHMARKS],
)
def test_a_benchmark_runs_and_prints_its_tables(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name_of_setting in ("BENCH_LINES", "DYNAMORM_SOURCE"):
        monkeypatch.delenv(name_of_setting, raising=False)
    printed = io.StringIO()
    progress = Progress(Console(file=io.StringIO()))
    levels = logger.log_level, logging.root.manager.disable, dict(os.environ)
    BENCHMARKS[name](
        BenchmarkDependencies(
            Console(file=printed, width=150, highlight=False),
            progress,
            TINY,
            engine_of(name, request),
            in_this_process,
        )
    )
    for title in EXPECTED[name].titles:
        assert title in printed.getvalue()
    for wrong in ("WRONG", "MISSED", "nan"):
        assert wrong not in printed.getvalue()
    assert (logger.log_level, logging.root.manager.disable, dict(os.environ)) == levels


def test_an_unknown_name_fails_with_a_list_of_known_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["transfers", "sale"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Unknown benchmark transfers." in captured.err
    assert ", ".join(BENCHMARKS) in captured.err


def test_help_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert [name for name in BENCHMARKS if name not in said] == []
    assert "--tiny" in said
    assert "--update-guides" in said
