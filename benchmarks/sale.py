"""A sale: our two transactions, beside the same rows written one call at a time.

The second column is how such a sketch is usually written: claim, payment, then after the
processor's answer payment, transaction, transfer and claim again, each in a call of its own. It has
the same rows and indexes and none of the promises: a crash between any two calls parts them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final
from uuid import uuid4

import boto3
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.emulator import Meter, emulator
from local.progress import Progress
from runtime.bootstrap import ProcessServices
from runtime.contract.call import Call
from runtime.contract.caller import Caller
from runtime.contract.merchants import MerchantRequest
from runtime.contract.payments import PaymentRequest
from runtime.repositories.expressions import Write
from runtime.services.merchants import create_merchant
from runtime.services.payments import create_payment
from runtime.settings import ProcessSettings

SANDBOX_UNITS: Final = 2
SALES: Final = 200
CLIENTS: Final = (1, 8)
SALE: Final = PaymentRequest(amount=1000, currency="USD", payment_method="tok_approved")
_LONG_MILLISECONDS: Final = 3_600_000


@dataclass(frozen=True)
class Measured:
    """One way of writing a sale."""

    trips: float
    write_units: float
    per_second: dict[int, float]


def run(console: Console, progress: Progress) -> None:
    """Measure both ways on one emulator and print them side by side."""
    with emulator(progress) as bench, progress.step(f"Measure {SALES} sales, both ways"):
        services, merchant_id = services_of()
        meter = bench.meter
        meter.watch(services.client)
        ours = _measure(lambda: _sell(services, merchant_id), meter)
        _write_one_by_one(services)
        theirs = _measure(lambda: _sell(services, merchant_id), meter)
    _print(console, ours, theirs)


def services_of() -> tuple[ProcessServices, str]:
    """The process function's services on the running emulator, and a new merchant's id."""
    kms = boto3.client("kms")
    key_arn = kms.create_key()["KeyMetadata"]["Arn"]
    tables = {
        name: name.removesuffix("_table")
        for name in ProcessSettings.model_fields
        if name.endswith("_table")
    }
    settings = ProcessSettings.model_validate(
        {
            **tables,
            "stage": "bench",
            "service": "bench",
            "pii_key_arn": key_arn,
            "pci_key_arn": key_arn,
            "index_key_arn": key_arn,
            "merchant_cache_seconds": 300,
        }
    )
    services = ProcessServices(settings)
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: _LONG_MILLISECONDS)
    services.begin(context)
    request = MerchantRequest(name="Bench", email="bench@shops.example")
    operator = Caller("bench", None, frozenset({"admin"}), "bench")
    made = create_merchant(request, a_call(operator, "merchant"), services.merchant_desk)
    merchant_id: str = made.body.partition('"id":"')[2].partition('"')[0]
    return services, merchant_id


def a_call(caller: Caller, key: str) -> Call:
    """A request under an idempotency key of its own."""
    now = datetime.now(UTC)
    return Call(caller, "POST", "/v1/payments", now, fingerprint=key, idempotency_key=key)


def _sell(services: ProcessServices, merchant_id: str) -> None:
    caller = Caller("bench", merchant_id, frozenset({"payments"}), "bench")
    answer = create_payment(SALE, a_call(caller, uuid4().hex), services.payment_desk)
    if answer.status != HTTPStatus.CREATED:
        raise RuntimeError(f"a sale was answered {answer.status}: {answer.body}")


def _write_one_by_one(services: ProcessServices) -> None:
    """From now on every write of a transaction becomes a transaction of its own."""
    store = services.store
    together: Callable[..., None] = type(store).transact

    def one_by_one(writes: Sequence[Write], *, token: str) -> None:
        del token
        for write in writes:
            together(store, [write], token=uuid4().hex)

    object.__setattr__(store, "transact", one_by_one)


def _measure(sell: Callable[[], None], meter: Meter) -> Measured:
    sell()
    meter.reset()
    sell()
    trips, units = meter.calls, meter.write_units
    rates = {}
    for clients in CLIENTS:
        started = time.monotonic()
        with ThreadPoolExecutor(max_workers=clients) as pool:
            for done in [pool.submit(sell) for _ in range(SALES)]:
                done.result()
        rates[clients] = SALES / (time.monotonic() - started)
    return Measured(trips, units, rates)


def _print(console: Console, ours: Measured, theirs: Measured) -> None:
    table = Table("a sale, sandbox processor included", "ours", "one by one", "ratio", box=SIMPLE)

    def row(name: str, mine: float, other: float) -> None:
        table.add_row(name, f"{mine:.1f}", f"{other:.1f}", f"{other / mine:.2f}")

    row("DynamoDB round trips", ours.trips, theirs.trips)
    # Written one by one they would be plain writes, at half the price of a transaction's.
    plain = (theirs.write_units - SANDBOX_UNITS) / 2 + SANDBOX_UNITS
    row("write units of the tables", ours.write_units, plain)
    for clients in CLIENTS:
        row(f"sales/s, {clients} client(s)", ours.per_second[clients], theirs.per_second[clients])
    console.print(table)
    console.print(
        "  The sandbox processor's own memory is one round trip and 2 write units of both columns."
    )
