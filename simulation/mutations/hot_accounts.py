"""Faults of hot accounts: guarded debits, shards, and what the change stream folds into them."""

from __future__ import annotations

from typing import Final

from simulation.mutations.mutation import Mutation, fault

_MOVEMENTS: Final = "ledger/movements.py"
_HOT: Final = "ledger/hot_accounts/rules.py"
_FOLDING: Final = "ledger/hot_accounts/repository.py"

HOT_ACCOUNTS: Final[tuple[Mutation, ...]] = (
    fault(
        "hot-version-unchecked",
        "a debit of a hot account does not compare the version of row 00 that it has read",
        _MOVEMENTS,
        'conditions = (*conditions, *_guard(needed, terms), equals("version", seen.version))',
        "conditions = (*conditions, *_guard(needed, terms))",
        why="two payouts at once each leave the same slack to refunds: a receivable is overdrawn",
    ),
    fault(
        "debit-shards-unchecked",
        "a payout does not check the shards that refunds lower",
        _HOT,
        "if slack < 0 or not self.debits:",
        "if amount or slack < 0 or not self.debits:",
        why="a payout and a refund at once take the same money",
    ),
    fault(
        "slack-given-to-each-shard",
        "every debit shard may use all of the slack, and not its part of it",
        _HOT,
        "shard: seen - part",
        "shard: seen - slack",
        why="refunds on two shards during a payout overdraw the receivable",
        unseen="two refunds on different shards have to be committed in the milliseconds between a "
        "payout's read and its commit",
    ),
    fault(
        "debits-counted-as-credits",
        "the balance of a hot account adds what refunds have taken",
        _FOLDING,
        "in_shards=sum(balances.values())",
        "in_shards=sum(abs(each) for each in balances.values())",
        why="a payout pays refunded money out again",
    ),
    fault(
        "shards-not-counted",
        "a debit of a hot account needs its whole amount in row 00",
        _MOVEMENTS,
        "needed = -movement.spendable - seen.in_shards",
        "needed = -movement.spendable",
        why="merchants cannot be paid out what they have earned",
    ),
    fault(
        "fold-dedup-missing",
        "a transfer's entry on a credit shard is put whether it is there or not",
        _FOLDING,
        'put(entry).when(absent("account_shard"))',
        "put(entry)",
        why="a stream record that comes twice credits the merchant twice",
    ),
    fault(
        "fold-partition-of-shard",
        "a transfer's entry is in a partition that depends on the credit shard",
        _FOLDING,
        "credit_partition(target.account_id, item.transfer_id)",
        "credit_partition(target.account_id, shard)",
        why="a stream record that comes twice credits the merchant twice, on two shards",
    ),
    fault(
        "fold-version-unchecked",
        "a credit shard is replaced without a look at its version",
        _FOLDING,
        "return put(after).when(untouched)",
        "return put(after)",
        why="of two projectors at once one loses the other's credits",
    ),
    fault(
        "credits-lost-at-conflict",
        "after a refused fold only what is folded already is tried again",
        _FOLDING,
        "left = [item for at, item in enumerate(left) if at not in refused.failed]",
        "left = [item for at, item in enumerate(left) if at in refused.failed]",
        why="captures never reach the merchant's receivable",
    ),
    fault(
        "hot-credit-twice",
        "posting a hold credits a hot account at once, and the change stream does so again",
        "ledger/rules.py",
        "Movement(movement.account_id, held_in=movement.held_in)",
        "movement",
        why="money is created",
    ),
    fault(
        "partial-post-folded-in-full",
        "the change stream credits all of a hold of which a part was posted",
        "ledger/hot_accounts/projection.py",
        "net = net_by_account(final_legs(transfer))",
        "net = net_by_account(transfer.legs)",
        why="money is created",
    ),
    fault(
        "hot-account-currency-unchecked",
        "a hot account that is only credited is judged by its owner alone",
        "ledger/transfers/transfers.py",
        "ownership_refusal(credited, attempt.terms) or first_refusal(credited, attempt.terms)",
        "ownership_refusal(credited, attempt.terms)",
        why="yen are added to a hot account of dollars",
    ),
    fault(
        "hot-account-remembered-for-ever",
        "what is remembered of a hot account never grows old",
        "ledger/hot_accounts/known_accounts.py",
        "Cache(MAX_REMEMBERED, outside, seconds=remember_seconds)",
        "Cache(MAX_REMEMBERED, outside)",
        why="an environment goes on crediting an account that was closed hours ago",
        unseen="no client closes a hot account, which has to rest for ten minutes first",
    ),
    fault(
        "consolidation-not-spendable",
        "money that is moved from the shards into row 00 cannot be spent there",
        _FOLDING,
        ".add(balance=total, spendable=total, version=1)",
        ".add(balance=total, version=1)",
        why="an account that was emptied to be closed, and stays open, refuses its own money",
        unseen="no client closes a hot account, which has to rest for ten minutes first",
    ),
)
