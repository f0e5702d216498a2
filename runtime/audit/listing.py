"""Which audit rows are listed together, so that they need one index entry and not two.

A posting's transfer is stored in the commit of the capture or refund that it books, by the same
user and at the same time: `trf_X` with `txn_X` (payments/posting_ids.py). The entry of the
transaction's row therefore stands for the transfer's as well in the lists by user and by merchant.
In the list by action the transfer has its own entry.
"""

from __future__ import annotations

from typing import Final

from runtime.audit.actions import REBUILT
from runtime.payments.posting_ids import posting_id
from runtime.streams.images import Image, text_of

POSTED: Final = "transfer_processed"
"""The action of a posting's row: postings are created processed, and never change."""
_POSTING_ACTIONS: Final = frozenset({"capture_succeeded", "refund_succeeded", REBUILT})
"""Actions of a transaction's rows that may have been committed with a posting."""
_TRANSACTION: Final = "txn_"
_CAUSES: Final = (_TRANSACTION, "pay_")
"""A posting is caused by its transaction, or by the payment that is charged."""


def is_listed_with_transaction(action: str, old: Image | None, new: Image) -> bool:
    """Whether this change stored a posting together with its transaction."""
    cause = text_of(new, "cause")
    return (
        old is None
        and action == POSTED
        and cause.startswith(_CAUSES)
        and posting_id(cause) == text_of(new, "id")
    )


def posting_listed_with(entity_id: str, action: str | None) -> str | None:
    """The transfer that may be listed with this row. Whether it is, its own row says."""
    if not entity_id.startswith(_TRANSACTION) or action not in _POSTING_ACTIONS:
        return None
    return posting_id(entity_id)
