"""Finds our own ids in a processor's columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from runtime.reconciliation.importers.layout import distinct
from runtime.reconciliation.importers.line import References

_PAYMENT: Final = re.compile(r"pay_[0-9A-HJKMNP-TV-Z]{26}")
_TRANSACTION: Final = re.compile(r"txn_[0-9A-HJKMNP-TV-Z]{26}")


def references(
    written_by_us: Iterable[str], processor_ids: Iterable[str], dispute_id: str = ""
) -> References:
    """References of a line, from columns that we fill and from the processor's own.

    Merchants may have filled the former with their own values: only values in the format of our
    ids counts. `processor_ids` in the order to try them.
    """
    values = tuple(written_by_us)
    return References(
        payment_id=next(filter(_PAYMENT.fullmatch, values), None),
        transaction_id=next(filter(_TRANSACTION.fullmatch, values), None),
        dispute_id=dispute_id or None,
        processor_ids=distinct(processor_ids),
    )
