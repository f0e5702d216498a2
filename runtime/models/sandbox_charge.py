"""The sandbox processor's own memory: charges by our reference, as a real processor keeps them."""

from __future__ import annotations

from typing import Annotated

from runtime.models.fields import EpochSeconds, Instant, MinorUnits
from runtime.schema import Row, Ttl, partition


class SandboxCharge(Row, table="sandbox_charges", frozen=True):
    """What the sandbox did when first asked with `reference`; it answers the same ever after."""

    reference: Annotated[str, partition()]
    state: str
    processor_id: str
    amount: MinorUnits
    currency: str
    fee: MinorUnits = 0
    response_code: str
    response_text: str
    created_at: Instant
    expires_at: Annotated[EpochSeconds, Ttl()]
