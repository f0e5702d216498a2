"""The sandbox processor's own memory: charges by our reference, as a real processor keeps them."""

from __future__ import annotations

from typing import Annotated

from runtime.core.fields import EpochSeconds, MinorUnits, Timestamp
from runtime.dynamodb.schema import Row, Ttl, partition, sort


class SandboxCharge(Row, table="sandbox_charges", frozen=True):
    """What the sandbox did when first asked with `reference`; it answers the same ever after.

    A charge's row also has what is left to capture and to refund of it. A capture, refund or void
    has a row of its own, and names the charge's reference as `charge`. `account`: for whom it was
    done.

    A dispute has a row as well: of what the sandbox was told about it by who keeps its secret
    (`event_id`: the last time; `told_at`: how old that news is; `revision`: how often). It stands
    in `gsi-changed`, as a refund does that came back, so that what changed lately can be asked for.
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
    changed_account: Annotated[str | None, partition("gsi-changed")] = None
    changed_at: Annotated[Timestamp | None, sort("gsi-changed")] = None
    event_id: str | None = None
    told_at: EpochSeconds | None = None
    revision: int | None = None
    charge_id: str | None = None
    reinstated: MinorUnits | None = None
    response_code: str
    response_text: str
    created_at: Timestamp
    expires_at: Annotated[EpochSeconds, Ttl()]
