"""Ids of postings, derived from the fact that a posting books.

A transfer is only created if its id does not exist, so one fact can never be posted twice. The
capture or refund `txn_X` is booked by `trf_X`, and the charge of `pay_X` has the transaction
`txn_X`. Facts without a transaction of their own have a hashed id. Settlement lines are posted in
batches and have no derived ids: docs/decisions/0038.

The time in a derived id is the time of the fact. It may be hours before the posting, for example if
the resolver finished the operation. The posting's `operation_id` is new for each attempt, and has
the time of the commit.
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
"""Prefix of the operation ids of postings."""


def charge_transaction_id(payment_id: str) -> str:
    """The transaction of a payment's charge: its authorization or its capture."""
    return f"{_TRANSACTION}_{_unique_part(payment_id)}"


def payment_id_of_charge(transaction_id: str) -> str:
    """The payment whose charge has this transaction. For other transactions no payment has it."""
    return f"{_PAYMENT}_{_unique_part(transaction_id)}"


def posting_id(transaction_id: str) -> str:
    """The transfer that books a capture or refund."""
    return f"{_TRANSFER}_{_unique_part(transaction_id)}"


def returned_refund_posting_id(transaction_id: str) -> str:
    """The transfer that books the return of a succeeded refund."""
    return _hashed(_time_of(transaction_id), "returned", transaction_id)


def dispute_posting_id(payment_id: str, dispute_id: str, since: Timestamp, step: int) -> str:
    """The transfer that books step `step` (from 1) of a dispute.

    `since` is stored with the dispute when it is first seen, so it never changes. `step` is one
    more than the number of the dispute's postings so far.
    """
    assert step >= 1, f"steps of a dispute are counted from 1, not {step}"
    return _hashed(to_datetime(since), "disputed", payment_id, dispute_id, str(step))


def _hashed(moment: datetime, *meaning: str) -> str:
    return repeatable_id(_TRANSFER, moment, *meaning)


def _time_of(identifier: str) -> datetime:
    """When an id was created; the epoch for ids that do not contain a time."""
    try:
        return created_at(identifier)
    except ValueError:
        return _EPOCH


def _unique_part(identifier: str) -> str:
    return identifier.partition("_")[2]
