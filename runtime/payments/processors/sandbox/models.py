"""The sandbox processor's state: charges, operations and disputes by reference."""

from typing import Annotated

from pydantic import Field

from runtime.core.fields import EpochSeconds, MinorUnits, Timestamp
from runtime.dynamodb.schema import Row, Ttl, partition, sort


class SandboxCharge(Row, table="sandbox_charges", frozen=True):
    """The sandbox's answer to the first request with `reference`; later requests repeat it.

    A charge's row also has its capturable and refundable amounts. A capture, refund or void has its
    own row, with the charge's reference as `charge`. `account`: the account it was made for.

    A charge that waits for its customer has the secret of its page, whether it is captured once it
    is approved, and where the page leads to.

    A dispute has a row with the state that signed notifications reported: `event_id` and `told_at`
    are the id and time of the latest one, `revision` counts them. Disputes and returned refunds
    are in `gsi-changed`, which lists recent changes.
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
    action_secret: Annotated[str | None, Field(repr=False)] = None
    captures: bool | None = None
    return_url: Annotated[str | None, Field(repr=False)] = None
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
