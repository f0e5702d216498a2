"""Balance shards that contain operations whose entries do not exist.

An operation on a credit shard and its entries are one commit. So a shard whose last operation has
no entry comes from a later instant than the entries, as tables do that were restored to different
instants. Its missing transfers may be in its balance already: adding them would credit them twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from runtime.ledger.accounts.models import Account
from runtime.ledger.entries.models import consolidation_key, credit_partition, shard_sequence
from runtime.ledger.hot_accounts.rules import is_credit_shard
from runtime.ledger.rules import CONSOLIDATION_PREFIX
from runtime.verification.books_repository import VerificationReads


def shards_ahead(rows: Iterable[Account], books: VerificationReads) -> tuple[str, ...]:
    """The credit shards among the rows of a hot account that are ahead of its entries, in order."""
    last = {key: row.shard for row in rows if (key := _last_entry(row)) is not None}
    lacking = [key for key in last if key not in books.entries_there(list(last))]
    # A read during a commit may see the shard before its entries, but not twice.
    there = books.entries_there(lacking)
    return tuple(sorted(last[key] for key in lacking if key not in there))


def _last_entry(row: Account) -> tuple[str, str] | None:
    """The key of an entry of the shard's last commit; None for other rows of the account."""
    operation_id = row.last_operation_id
    if not is_credit_shard(row.shard) or not operation_id:
        return None
    if operation_id.startswith(CONSOLIDATION_PREFIX):
        place = consolidation_key(row.account_id, row.shard, operation_id)
        return place[0], place[1]
    return credit_partition(row.account_id, row.cause), shard_sequence(operation_id)
