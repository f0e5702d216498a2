"""Merchants: register, read."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

from runtime.contract.answers import StoredAnswer
from runtime.contract.call import Call
from runtime.contract.caller import visible
from runtime.contract.merchants import MerchantAnswer, MerchantRequest, NewMerchant
from runtime.domain.ids import new_id
from runtime.domain.instants import to_instant
from runtime.domain.webhook_url import fault_of
from runtime.errors import InvalidValue
from runtime.models.fields import PLATFORM
from runtime.models.merchant import Merchant
from runtime.repositories.merchants import MerchantRepository
from runtime.services.idempotency import ClaimReader, create_once

WEBHOOK_SECRET_BYTES = 32
"""Standard Webhooks 1.0 asks for 24 to 64 random bytes."""


@dataclass(frozen=True)
class MerchantDesk:
    """What registering a merchant works with."""

    merchants: MerchantRepository
    claims: ClaimReader
    allow_local_webhooks: bool = False


def create_merchant(request: MerchantRequest, call: Call, desk: MerchantDesk) -> StoredAnswer:
    """Register a merchant. Its webhook secret is shown in this answer and never again.

    Raises InvalidValue for a webhook URL that must not be called.
    """
    if request.webhook_url is not None:
        _require_callable(request.webhook_url, desk)
    merchant_id = new_id("mer", call.now)
    secret = request.webhook_secret or _new_webhook_secret()
    now = to_instant(call.now)
    merchant = Merchant(
        id=merchant_id,
        merchant_id=merchant_id,
        name=request.name,
        email=request.email,
        processor=request.processor,
        processor_config=request.processor_config,
        webhook_url=request.webhook_url,
        webhook_secret=secret,
        features=request.features,
        rate_limits=request.rate_limits,
        index_buckets=request.index_buckets,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )
    return create_once(
        call,
        PLATFORM,
        NewMerchant.of(merchant),
        lambda claim, token: desk.merchants.create(merchant, claim, token=token, now=call.now),
        claims=desk.claims,
    )


def get_merchant(merchant_id: str, call: Call, merchants: MerchantRepository) -> MerchantAnswer:
    """A merchant, without its secrets. Raises NotFound."""
    merchant = merchants.profile(merchant_id)
    return MerchantAnswer.of(visible(call.caller, merchant, "merchant", merchant_id))


def _require_callable(url: str, desk: MerchantDesk) -> None:
    fault = fault_of(url, allow_local=desk.allow_local_webhooks)
    if fault is not None:
        # The URL itself is not repeated: it may hold a token of the merchant's.
        raise InvalidValue(f"webhook_url {fault}", param="webhook_url")


def _new_webhook_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(WEBHOOK_SECRET_BYTES)).decode()
