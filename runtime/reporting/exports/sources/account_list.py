"""The accounts whose entries are exported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runtime.core.errors import Unprocessable
from runtime.dynamodb.index_shards import all_buckets
from runtime.http.caller import require_found
from runtime.ledger.accounts.models import AccountStatus, AccountType
from runtime.reporting.exports.sources.reads import INDEX_PAGE, ExportReads, Whose

MAX_ACCOUNTS: Final = 100_000
"""Accounts of one export: their ids take some 10 MB of memory."""
_READ_IN_ORDER: Final = (*AccountStatus, AccountStatus.ACTIVE)
"""An account whose status changes meanwhile is read at least once."""


def accounts_of(whose: Whose, account_id: str | None, reads: ExportReads) -> tuple[str, ...]:
    """Ids of the accounts, sorted: the requested one, or all of the owner.

    Raises NotFound, Unprocessable for more than MAX_ACCOUNTS.
    """
    if account_id is not None:
        return (
            require_found(reads.accounts.get(account_id, whose.scope), "account", account_id).id,
        )
    ids: set[str] = set()
    for each in _listed(whose.owner, reads):
        ids.add(each)
        if len(ids) > MAX_ACCOUNTS:
            raise Unprocessable(
                f"There are more than {MAX_ACCOUNTS} accounts, the most that one export can have; "
                "export them one by one with account_id",
                param="account_id",
            )
    return tuple(sorted(ids))


def _listed(owner: str, reads: ExportReads) -> Iterable[str]:
    buckets = reads.merchants.index_buckets(owner)
    for status in _READ_IN_ORDER:
        for bucket in all_buckets(f"{owner}#{status}", buckets):
            for account_type in AccountType:
                yield from reads.accounts.of_status(bucket, account_type, None, INDEX_PAGE)
