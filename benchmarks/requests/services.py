"""The process function's services on the running emulator, and requests to them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import boto3

from runtime.functions.composition.process_services import ProcessServices
from runtime.functions.composition.real_outside import real_outside
from runtime.http.caller import Caller
from runtime.http.request_context import Call
from runtime.merchants.api import MerchantRequest
from runtime.merchants.merchants import create_merchant
from runtime.payments.api import PaymentRequest
from runtime.settings import ProcessSettings

SALE: Final = PaymentRequest(amount=1000, currency="USD", payment_method="tok_approved")
_LONG_MILLISECONDS: Final = 3_600_000


def services_of() -> tuple[ProcessServices, str]:
    """The process function's services on the running emulator, and a new merchant's id."""
    kms = boto3.client("kms")
    key_arn = kms.create_key()["KeyMetadata"]["Arn"]
    settings = ProcessSettings.model_validate(
        {
            "stage": "bench",
            "service": "bench",
            "tables": {name: name for name in ProcessSettings.TABLE_USES},
            "pii_key_arn": key_arn,
            "pci_key_arn": key_arn,
            "index_key_arn": key_arn,
            "settlement_bucket": "settlements",
            "delivery_queue_url": "https://sqs.invalid/bench/deliveries",
            "merchant_cache_seconds": 300,
            "dynamodb_client": "botocore",  # tests put moto in the place of the emulator
        }
    )
    services = ProcessServices(settings)
    context: Any = SimpleNamespace(
        aws_request_id="bench", get_remaining_time_in_millis=lambda: _LONG_MILLISECONDS
    )
    services.begin(context)
    request = MerchantRequest(name="Bench", email="bench@shops.example")
    operator = Caller("bench", None, frozenset({"admin"}), "bench")
    made = create_merchant(request, a_call(operator, "merchant"), services.merchant_dependencies)
    merchant_id: str = made.body.partition('"id":"')[2].partition('"')[0]
    return services, merchant_id


def a_call(caller: Caller, key: str) -> Call:
    """A request with its own idempotency key."""
    outside = real_outside()
    return Call(
        caller,
        "POST",
        "/v1/payments",
        outside.now(),
        fingerprint=key,
        idempotency_key=key,
        entropy=outside.entropy,
    )
