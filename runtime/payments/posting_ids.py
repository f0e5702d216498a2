"""Ids of postings: the transfer that books a fact of a payment is named after the fact.

A transfer is put only if its id does not exist, so the key refuses a second posting of one fact,
whatever else went wrong. The capture or refund `txn_X` is booked by `trf_X`, and the transaction of
the charge of `pay_X` is `txn_X`. What has no transaction of its own is named by a hash. Lines of
settlements are posted by the batch and have no such names: docs/decisions/0038.

The time in such an id is that of what is booked. It may be older than the posting by hours (an
operation that the resolver finished). Its `operation_id`, which is made anew in each attempt, says
when it was committed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from runtime.core.fields import Timestamp
from runtime.core.ids import created_at, repeatable_id
from runtime.core.timestamps import to_datetime

_TRANSFER, _TRANSACTION, _PAYMENT = "trf", "txn", "pay"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
POSTING_OPERATION: Final = "pos"
"""Prefix of the operation ids of postings: of each attempt to commit one, when it began."""


def charge_transaction_id(payment_id: str) -> str:
    """The one transaction that a payment's charge has: its authorization or its capture."""
    return f"{_TRANSACTION}_{_unique_part(payment_id)}"


def payment_id_of_charge(transaction_id: str) -> str:
    """The payment whose charge this transaction is; of another one, the id of none."""
    return f"{_PAYMENT}_{_unique_part(transaction_id)}"


def posting_id(transaction_id: str) -> str:
    """The transfer of a capture or refund that happened."""
    return f"{_TRANSFER}_{_unique_part(transaction_id)}"


def returned_refund_posting_id(transaction_id: str) -> str:
    """The transfer of a refund that had succeeded and came back."""
    return _hashed(_time_of(transaction_id), "returned", transaction_id)


def dispute_posting_id(payment_id: str, dispute_id: str, since: Timestamp, step: int) -> str:
    """The transfer of step `step` (from 1) of a dispute.

    `since` is stored with the dispute when it is first seen, so that it never changes; `step` is
    one more than the dispute's postings so far.
    """
    assert step >= 1, f"a dispute has no step {step}"
    return _hashed(to_datetime(since), "disputed", payment_id, dispute_id, str(step))


def _hashed(moment: datetime, *meaning: str) -> str:
    return repeatable_id(_TRANSFER, moment, *meaning)


def _time_of(identifier: str) -> datetime:
    """When an id was made; the epoch for one that was made by hand and holds no time."""
    try:
        return created_at(identifier)
    except ValueError:
        return _EPOCH


def _unique_part(identifier: str) -> str:
    return identifier.partition("_")[2]
