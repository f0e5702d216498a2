"""Faults of the ledger: accounts, transfers and holds."""

from __future__ import annotations

from typing import Final

from simulation.mutations.mutation import Mutation, fault, fault_of

_MOVEMENTS: Final = "ledger/movements.py"
_LEDGER: Final = "ledger/repository.py"
_RULES: Final = "ledger/rules.py"
_CHANGES: Final = "ledger/accounts/account_lifecycle.py"

LEDGER: Final[tuple[Mutation, ...]] = (
    fault(
        "floor-unchecked",
        "a debit does not compare the account's spendable amount",
        _MOVEMENTS,
        'return (at_least("spendable", needed), unlocked(terms.at))',
        "return (unlocked(terms.at),)",
        why="accounts are overdrawn without limit",
    ),
    fault(
        "floor-off-by-one",
        "a debit may pass the floor by one minor unit",
        _MOVEMENTS,
        'at_least("spendable", needed)',
        'at_least("spendable", needed - 1)',
        why="an account ends one cent below its credit limit",
    ),
    fault(
        "account-lock-unchecked",
        "a debit does not look at the account's lock",
        _MOVEMENTS,
        'return (at_least("spendable", needed), unlocked(terms.at))',
        'return (at_least("spendable", needed),)',
        why="a locked-out customer's account still pays",
    ),
    fault(
        "inactive-account-used",
        "the condition on the account's status is dropped",
        _MOVEMENTS,
        '        equals("status", AccountStatus.ACTIVE),\n        equals("currency"',
        '        equals("currency"',
        why="deactivated and closed accounts go on moving money",
    ),
    fault(
        "currency-unchecked",
        "the condition on the account's currency is dropped",
        _MOVEMENTS,
        '        equals("currency", terms.currency),\n',
        "",
        why="yen are added to a balance of dollars",
    ),
    fault(
        "foreign-account-debited",
        "the condition on the account's owner is dropped",
        _MOVEMENTS,
        'return usable if terms.owner is None else (*usable, equals("merchant_id", terms.owner))',
        "return usable",
        why="a merchant moves another merchant's money",
    ),
    fault(
        "receivable-moved-by-merchant",
        "merchants are allowed what only operators are: accounts of the platform's types",
        "ledger/transfers/transfer_builder.py",
        "ordinary_only=not call.caller.is_operator",
        "ordinary_only=False",
        why="a merchant pays its receivable out to itself",
    ),
    fault(
        "hold-ended-by-merchant",
        "a merchant ends a hold whichever accounts it touches",
        "ledger/holds/holds.py",
        "ordinary_only=not call.caller.is_operator",
        "ordinary_only=False",
        why="a merchant posts or voids a payout that an operator holds",
    ),
    fault(
        "held-money-spendable",
        "what a hold sets aside is not taken from the spendable amount",
        _RULES,
        "return self.balance - self.held_out",
        "return self.balance",
        why="held money is spent a second time, and the hold cannot be posted",
    ),
    fault(
        "release-keeps-incoming",
        "the end of a hold does not lower what is on its way to the payee",
        _RULES,
        "held_out=-max(-net, 0), held_in=-max(net, 0))",
        "held_out=-max(-net, 0))",
        why="money that will never come is shown as coming, and the account cannot be closed",
    ),
    fault(
        "partial-post-moves-all",
        "posting a part of a hold moves the whole of it",
        _RULES,
        "moved = net_by_account(posted_legs(legs, posted))",
        "moved = net_by_account(legs)",
        why="the payer pays more than was posted",
    ),
    fault(
        "legs-overwrite",
        "of several legs to one account only the last one counts",
        _RULES,
        "change[leg.to_account_id] += leg.amount",
        "change[leg.to_account_id] = leg.amount",
        why="money of a split transfer vanishes",
    ),
    fault_of(
        "hold-resolved-twice",
        "the end of a hold compares neither its status nor its version",
        (
            _LEDGER,
            'equals("status", TransferStatus.PENDING), equals("version", before.version), in_time',
            "in_time",
        ),
        why="a hold that is posted and canceled at once does both",
    ),
    fault_of(
        "expired-hold-posted",
        "neither the service nor the write compares the hold's end with the time",
        (
            "ledger/holds/holds.py",
            'case TransferStatus.PENDING if (hold.expires_at or "") > at:',
            "case TransferStatus.PENDING:",
        ),
        (_LEDGER, 'else above("expires_at", at)', 'else above("expires_at", "")'),
        why="a payer whose money was promised back is charged all the same",
    ),
    fault(
        "expired-hold-keeps-money",
        "expiring a hold changes its row and no account",
        "ledger/holds/expiry.py",
        "Resolution(hold, after, touched, operation, claim=None",
        "Resolution(hold, after, (), operation, claim=None",
        why="the payer's money stays set aside for ever",
    ),
    fault(
        "dry-run-moves-money",
        "a transfer that asks for a dry run is made",
        "ledger/transfers/transfers.py",
        "        if request.dry_run:\n            deps.ledger.try_out(wanted)",
        "        if request.dry_run and not request.currency:\n"
        "            deps.ledger.try_out(wanted)",
        why="trying a transfer out moves the money",
    ),
    fault(
        "promised-balance-unchecked",
        "balances that the answer promises are not held to the version they were read in",
        _MOVEMENTS,
        "    if version is not None:\n",
        "    if version is not None and version < 0:\n",
        why="`balances_after` shows a balance that the account never had",
    ),
    fault(
        "closed-with-balance",
        "an account with money on it is closed",
        _CHANGES,
        "        if balance:\n",
        "        if balance < 0:\n",
        why="a customer's money is locked away for good",
    ),
    fault(
        "closed-with-incoming-hold",
        "an account that a hold is on its way to is closed",
        _CHANGES,
        "if row.held_out or row.held_in:",
        "if row.held_out:",
        why="the hold is posted to an account that cannot pay out any more",
    ),
    fault(
        "account-version-unchecked",
        "a change of an account does not compare the version that was read",
        "ledger/accounts/repository.py",
        'change(before, after).when(equals("version", before.version), *conditions)',
        'change(before, after).when(absent("no_such_attribute"), *conditions)',
        why="an account is closed while a transfer credits it",
    ),
)
