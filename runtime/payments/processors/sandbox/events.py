"""Signed JSON notifications of the sandbox processor.

The header is `sandbox-signature: t=<unix seconds>,v1=<hex>`. The signature is the HMAC-SHA256 of
`<t>.<body>` under the merchant's `processor_config.webhook_secret`.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, TypeGuard

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from runtime.core.errors import BadSignature, InvalidValue, MalformedJson
from runtime.core.fields import MAX_AMOUNT_MINOR
from runtime.http.field_errors import first_field
from runtime.payments.models import DisputeStatus
from runtime.payments.processors.events import EventKind, ProcessorEvent
from runtime.payments.processors.port import ProcessorConfig

SIGNATURE_HEADER: Final = "sandbox-signature"
TOLERANCE_SECONDS: Final = 300
"""The maximum age of a signature, which limits replays."""
MIN_SECRET_LENGTH: Final = 16
_SIGNATURE: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")

_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT_MINOR)]


class SandboxEventType(StrEnum):
    """The type of a sandbox notification."""

    CHARGE_CHANGED = "charge_changed"
    OPERATION_CHANGED = "operation_changed"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    IGNORED = "ignored"


DISPUTE_EVENTS: Final[Mapping[SandboxEventType, DisputeStatus]] = {
    SandboxEventType.DISPUTE_OPENED: DisputeStatus.OPENED,
    SandboxEventType.DISPUTE_WON: DisputeStatus.WON,
    SandboxEventType.DISPUTE_LOST: DisputeStatus.LOST,
}


class SandboxEvent(BaseModel, frozen=True, extra="forbid", defer_build=True):
    """The body of a notification; amounts in minor units, `created` in epoch seconds.

    `fee` and `reinstated` are totals: a fee of 0 returns it. `silent`: the sandbox stores it
    without a notification, so that only the daily poll finds it.
    """

    id: _Name
    type: SandboxEventType
    created: Annotated[int, Field(ge=0, le=10**11)]
    reference: _Name | None = None
    charge_id: _Name | None = None
    dispute_id: _Name | None = None
    amount: _Amount | None = None
    currency: Annotated[str, StringConstraints(max_length=3)] = ""
    fee: _Amount | None = None
    reinstated: _Amount | None = None
    silent: bool = False


def sign_sandbox_event(body: bytes, secret: str, at_seconds: int) -> str:
    """The value of SIGNATURE_HEADER for a body."""
    signature = hmac.new(secret.encode(), b"%d.%s" % (at_seconds, body), hashlib.sha256)
    return f"t={at_seconds},v1={signature.hexdigest()}"


def check_secret(config: ProcessorConfig) -> None:
    """Raises InvalidValue for a webhook secret that is too short or not text."""
    if "webhook_secret" in config and not _is_secret(config["webhook_secret"]):
        raise InvalidValue(
            f"webhook_secret must be text of at least {MIN_SECRET_LENGTH} characters",
            param="processor_config",
        )


def _is_secret(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) >= MIN_SECRET_LENGTH


def read_sandbox_event(
    headers: Mapping[str, str], body: bytes, config: ProcessorConfig, now: datetime
) -> SandboxEvent:
    """Verify and parse a notification. Raises BadSignature, MalformedJson."""
    secret = config.get("webhook_secret")
    if not _is_secret(secret):
        raise BadSignature(
            "The merchant's processor_config has no webhook_secret of at least "
            f"{MIN_SECRET_LENGTH} characters"
        )
    given = _SIGNATURE.fullmatch(headers.get(SIGNATURE_HEADER, ""))
    if given is None:
        raise BadSignature(f"{SIGNATURE_HEADER} is missing or not of the form t=…,v1=…")
    at_seconds = int(given[1])
    if not hmac.compare_digest(given[0], sign_sandbox_event(body, secret, at_seconds)):
        raise BadSignature(f"{SIGNATURE_HEADER} was not made with the merchant's secret")
    if abs(now.timestamp() - at_seconds) > TOLERANCE_SECONDS:
        raise BadSignature(f"{SIGNATURE_HEADER} is more than {TOLERANCE_SECONDS} s old")
    try:
        return SandboxEvent.model_validate_json(body)
    except ValidationError as error:
        raise MalformedJson(f"The notification is not valid: see {first_field(error)}") from None


def hint_of(event: SandboxEvent) -> ProcessorEvent:
    """The hint in a notification; the object's state is read from the sandbox."""
    return ProcessorEvent(
        id=event.id,
        kind=EventKind.IGNORED if event.silent else _KINDS[event.type],
        at=datetime.fromtimestamp(event.created, UTC),
        charge_id=event.charge_id,
        reference=event.reference,
        object_id=event.dispute_id,
    )


_KINDS: Final[Mapping[SandboxEventType, EventKind]] = {
    SandboxEventType.CHARGE_CHANGED: EventKind.CHARGE_CHANGED,
    SandboxEventType.OPERATION_CHANGED: EventKind.OPERATION_CHANGED,
    SandboxEventType.REFUND_FAILED: EventKind.REFUND_FAILED,
    SandboxEventType.IGNORED: EventKind.IGNORED,
    **dict.fromkeys(DISPUTE_EVENTS, EventKind.DISPUTE_CHANGED),
}
