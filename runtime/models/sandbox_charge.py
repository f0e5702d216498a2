"""The sandbox processor's own memory: charges by our reference, as a real processor keeps them."""

from __future__ import annotations

from typing import Annotated

from runtime.models.fields import EpochSeconds, Instant, MinorUnits
from runtime.schema import Row, Ttl, partition


class SandboxCharge(Row, table="sandbox_charges", frozen=True):
    """What the sandbox did when first asked with `reference`; it answers the same ever after.

    A charge's row also has what is left to capture and to refund of it. A capture, refund or void
    has a row of its own, and names the charge's reference as `charge`. `account`: for whom it was
    done.
    """

    reference: Annotated[str, partition()]
    kind: str = "charge"
    charge: str | None = None
    account: str | None = None
    state: str
    processor_id: str
    amount: MinorUnits
    currency: str
    fee: MinorUnits = 0
    capturable: MinorUnits | None = None
    refundable: MinorUnits | None = None
    refunds_fail: bool | None = None
    response_code: str
    response_text: str
    created_at: Instant
    expires_at: Annotated[EpochSeconds, Ttl()]
