"""The cost of field encryption and refused tokens: KMS calls, and CPU time with and without.

A warm function has its data keys cached. The customer is read as in the query function,
once encrypted and once with a cipher that does nothing; the difference is the cost of encryption.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from rich.box import SIMPLE
from rich.table import Table

from benchmarks.requests.services import SALE, a_call, services_of
from benchmarks.setting import BenchmarkDependencies
from runtime.access.token_keys import PublicKeys
from runtime.access.tokens import TokenKeys, verify_token
from runtime.core.scope import UNRESTRICTED
from runtime.customers.api import CustomerRequest, MethodRequest
from runtime.customers.customers import create_customer
from runtime.customers.models import Customer, CustomerProfile, MethodType
from runtime.customers.payment_methods import add_method
from runtime.dynamodb.codec import Codec, FieldLocation
from runtime.dynamodb.schema import Purpose
from runtime.functions.composition.process_services import ProcessServices
from runtime.http.caller import Caller
from runtime.http.identity import TokenRefused
from runtime.payments.charge.charge import create_payment
from runtime.settings import AuthorizerSettings

MOST_KMS_CALLS: Final = 0
MOST_READ_MS: Final = 1.0
MOST_TOKEN_MS: Final = 50.0
"""Targets, printed beside the figures."""
_MEGABYTE: Final = 2**20


class Plain:
    """A cipher that does nothing."""

    def prepare(self, purpose: Purpose, subject: str) -> None:
        """Nothing to prepare."""

    def encrypt(self, place: FieldLocation, plaintext: bytes) -> bytes:
        """The plaintext."""
        del place
        return plaintext

    def decrypt(self, place: FieldLocation, ciphertext: bytes) -> bytes:
        """Text that was never encrypted."""
        del place
        return ciphertext

    def is_current(self, place: FieldLocation, ciphertext: bytes) -> bool:
        """Always."""
        del place, ciphertext
        return True


def run(bench: BenchmarkDependencies) -> None:
    """Measure on the emulator and in this process, and print."""
    console, size = bench.console, bench.size
    with bench.emulator(bench.progress), bench.progress.step("Measure field encryption"):
        services, merchant_id = services_of()
        kms_calls = _kms_calls(services, merchant_id, size.encryption_sales)
        sealed_ms, plain_ms = _reads(services, merchant_id, size.encryption_reads)
    refused = _refusals(size.encryption_tokens)
    table = Table("field encryption", "measured", "target", box=SIMPLE)
    table.add_row(
        f"KMS calls of {size.encryption_sales} warm payments", str(kms_calls), f"{MOST_KMS_CALLS}"
    )
    table.add_row("CPU of opening a customer, ms", f"{sealed_ms:.3f}", "")
    table.add_row("the same, unencrypted, ms", f"{plain_ms:.3f}", "")
    table.add_row("added by encryption, ms", f"{sealed_ms - plain_ms:.3f}", f"<= {MOST_READ_MS}")
    console.print(table)
    table = Table("refusing a token, CPU ms", "measured", "target", box=SIMPLE)
    for name, milliseconds in refused.items():
        table.add_row(name, f"{milliseconds:.3f}", f"< {MOST_TOKEN_MS:.0f}")
    console.print(table)


def _kms_calls(services: ProcessServices, merchant_id: str, sales: int) -> int:
    """KMS calls for payments of a merchant whose key is cached."""
    caller = Caller("bench", merchant_id, frozenset({"payments"}), "bench")
    create_payment(SALE, a_call(caller, uuid4().hex), services.payment_dependencies)
    calls: list[int] = []
    services.kms.meta.events.register("before-call.kms", lambda **_: calls.append(1))
    for _ in range(sales):
        create_payment(SALE, a_call(caller, uuid4().hex), services.payment_dependencies)
    return len(calls)


def _reads(services: ProcessServices, merchant_id: str, times: int) -> tuple[float, float]:
    """CPU milliseconds for decrypting a customer with a payment method; and without."""
    caller = Caller("bench", merchant_id, frozenset({"customers"}), "bench")
    person = CustomerRequest(name="Ada Bench", email="ada@bench.example", phone="+44 20 7946 0000")
    deps = services.customer_dependencies
    made = create_customer(person, a_call(caller, uuid4().hex), deps)
    customer_id = made.body.partition('"id":"')[2].partition('"')[0]
    card = MethodRequest(type=MethodType.CARD, token="tok_approved", last4="4242")  # noqa: S106 - no secret
    add_method(customer_id, card, a_call(caller, uuid4().hex), deps)
    row = services.store.get(Customer, {"id": customer_id}, Customer, UNRESTRICTED)
    if row is None:
        raise RuntimeError("the customer that was made just now is gone")
    sealed = _cpu_ms(times, _opening(services.store.codec, row))
    return sealed, _cpu_ms(times, _opening(Codec(Plain()), row))


def _opening(codec: Codec, row: Customer) -> Callable[[], object]:
    item = codec.to_item(row)
    return lambda: codec.to_row(Customer.table_schema, item, CustomerProfile)


def _refusals(times: int) -> dict[str, float]:
    """CPU milliseconds for refusing tokens with errors of different cost."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    issuers = PublicKeys(
        lambda: {"keys": [{**public, "kid": "k", "alg": "RS256"}]}, 300, time.monotonic
    )
    keys = TokenKeys(issuers)
    settings = AuthorizerSettings(
        stage="bench",
        service="bench",
        issuer="i",
        audience="a",
        jwks_url="https://x.example",
        tables={"api_keys": "t", "keys": "t"},
        index_key_arn="arn",
    )
    now = int(time.time())
    said = {"sub": "s", "iss": "i", "aud": "a", "exp": now + 600, "permissions": ["payments"]}
    good = jwt.encode(said, key, algorithm="RS256", headers={"kid": "k"})
    expired = jwt.encode({**said, "exp": now - 600}, key, algorithm="RS256", headers={"kid": "k"})
    wrong = {
        "expired": expired,
        "tampered": good[:-8] + "AAAAAAAA",
        "of 1 MB": "x" * _MEGABYTE,
        "no token": "a.b.c",
    }
    return {name: _cpu_ms(times, _refusing(text, keys, settings)) for name, text in wrong.items()}


def _refusing(text: str, keys: TokenKeys, settings: AuthorizerSettings) -> Callable[[], object]:
    def refuse() -> None:
        try:
            verify_token(text, keys, settings)
        except TokenRefused:
            return
        raise RuntimeError("a wrong token was accepted")

    return refuse


def _cpu_ms(times: int, work: Callable[[], object]) -> float:
    work()
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) * 1000 / times
