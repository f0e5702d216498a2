"""Which audit rows are listed together, so that they need one index entry and not several.

The answer to a charge changes `pay_X` and stores the transaction `txn_X` and, if it captures, the
posting `trf_X`, in one commit, by one user and at one time (payments/posting_ids.py). The answer to
a later capture or refund `txn_X` stores `trf_X` likewise. So the entry of the payment's row, or of
the later transaction's, stands for the rows that were stored with it, in the lists by user and by
merchant. In the list by action each row has its own entry.

In the list by request, an entry also stands for the rows that follow it in its chain, as far as
they are of the same request: the intent of a charge and its answer have one entry. So a sale has
one (decision 0087). Runs have none: one run may change more rows than one index key can take.
"""

from __future__ import annotations

from typing import Final

from runtime.audit.actions import REBUILT
from runtime.audit.models import AuditRow
from runtime.core.request_ids import is_request_id
from runtime.payments.posting_ids import charge_transaction_id, posting_id
from runtime.streams.images import Image, text_of

_POSTED: Final = "transfer_processed"
_CAPTURED: Final = "capture_succeeded"
_REFUNDED: Final = "refund_succeeded"
_AUTHORIZED: Final = "authorization_succeeded"
_PAYMENT: Final = "pay_"
_TRANSACTION: Final = "txn_"


def is_listed_with_another(action: str, old: Image | None, new: Image) -> bool:
    """Whether this change stored a new row together with one that lists it."""
    identifier, cause = text_of(new, "id"), text_of(new, "cause")
    if old is not None:
        return False
    if action == _POSTED:
        return cause.startswith((_PAYMENT, _TRANSACTION)) and posting_id(cause) == identifier
    if action in (_CAPTURED, _AUTHORIZED):
        return cause.startswith(_PAYMENT) and charge_transaction_id(cause) == identifier
    return False


def listed_request(request_id: str, previous: AuditRow | None) -> str | None:
    """The key of a row's own entry in the list by request; None if it has none.

    `previous` is the row before it in its chain.
    """
    if not is_request_id(request_id):
        return None
    if previous is not None and previous.request_id == request_id:
        return None
    return request_id


def may_be_listed_with(entity_id: str, action: str | None) -> tuple[tuple[str, str | None], ...]:
    """New rows that may be listed with this one: entity, and action (None: not known).

    A row is listed with this one only if its own keys and time agree (audit/queries.py).
    """
    if entity_id.startswith(_TRANSACTION) and action in (_CAPTURED, _REFUNDED, REBUILT):
        return ((posting_id(entity_id), _POSTED),)
    if not entity_id.startswith(_PAYMENT):
        return ()
    transaction_id = charge_transaction_id(entity_id)
    if action == "payment_succeeded":
        return (transaction_id, _CAPTURED), (posting_id(transaction_id), _POSTED)
    if action == "payment_requires_capture":
        return ((transaction_id, _AUTHORIZED),)
    if action == REBUILT:
        return (transaction_id, None), (posting_id(transaction_id), _POSTED)
    return ()
