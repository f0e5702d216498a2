"""Ledger rules: how legs change accounts, and the chart of accounts.

Postings per currency (from → to):
- Capture: clearing → receivable (gross), receivable → fees (processor fee).
- Refund: receivable → clearing. The fee is not returned.
- Chargeback: receivable → clearing, and its fee receivable → fees. Reinstatements and returned
  refunds go the other way.
- Settlement line: receivable → clearing (net), fees → clearing (fee). Clearing and fees are
  therefore zero once everything is settled.
- Write-off: clearing → write-off.
- Opening balance: opening → account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from runtime.core.fields import PLATFORM
from runtime.ledger.accounts.models import AccountType
from runtime.ledger.transfers.models import Leg, Transfer, TransferStatus

TRANSITIONS: Final[Mapping[TransferStatus, frozenset[TransferStatus]]] = MappingProxyType(
    {
        TransferStatus.PENDING: frozenset(
            {TransferStatus.PROCESSED, TransferStatus.CANCELED, TransferStatus.EXPIRED}
        )
    }
)
"""Allowed status transitions. A status that is not a key is final."""


def may_become(status: TransferStatus, after: TransferStatus) -> bool:
    """Whether the status transition is allowed."""
    return after in TRANSITIONS.get(status, frozenset())


TRANSFER_PREFIX: Final = "trf_"
CONSOLIDATION_PREFIX: Final = "swp_"
"""Id prefixes of transfers, and of consolidations of balance shards into row 00."""
CHANGE_PREFIX: Final = "chg_"
"""Id prefix of changes that move no money: to a profile, a status or a lock."""
POST_PREFIX: Final = "pst_"
HOLD_ENDS: Final = (POST_PREFIX, "cnl_", "exp_")
"""Id prefixes of the operations that end a hold: post, void, expire."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One operation's change to one account, in minor units. If all are zero it is only checked."""

    account_id: str
    balance: int = 0
    held_out: int = 0
    held_in: int = 0

    @property
    def spendable(self) -> int:
        """Change to `spendable`, which is balance - held_out + credit_limit."""
        return self.balance - self.held_out

    @property
    def is_nothing(self) -> bool:
        """Whether nothing changes because the legs cancel each other out."""
        return not (self.balance or self.held_out or self.held_in)


def net_by_account(legs: Iterable[Leg]) -> dict[str, int]:
    """Signed change per account. A DynamoDB transaction may contain an item only once."""
    change: Counter[str] = Counter()
    for leg in legs:
        change[leg.from_account_id] -= leg.amount
        change[leg.to_account_id] += leg.amount
    return dict(change)


def movements_at_once(legs: Iterable[Leg]) -> tuple[Movement, ...]:
    """Changes made by a transfer that is not a hold."""
    return tuple(Movement(account, balance=net) for account, net in net_by_account(legs).items())


def movements_of_hold(legs: Iterable[Leg]) -> tuple[Movement, ...]:
    """Changes made by a hold: `held_out` of the payers and `held_in` of the payees."""
    return tuple(
        Movement(account, held_out=max(-net, 0), held_in=max(net, 0))
        for account, net in net_by_account(legs).items()
    )


def movements_of_release(legs: Iterable[Leg]) -> tuple[Movement, ...]:
    """Changes made by voiding or expiring a hold: everything held is released."""
    return tuple(
        Movement(account, held_out=-max(-net, 0), held_in=-max(net, 0))
        for account, net in net_by_account(legs).items()
    )


def movements_of_post(legs: tuple[Leg, ...], posted: int) -> tuple[Movement, ...]:
    """Changes made by posting `posted` minor units of a hold. The rest is released.

    Only a hold with one leg can be posted in part: with several, the split would be ambiguous.
    """
    moved = net_by_account(posted_legs(legs, posted))
    return tuple(
        Movement(
            released.account_id,
            balance=moved[released.account_id],
            held_out=released.held_out,
            held_in=released.held_in,
        )
        for released in movements_of_release(legs)
    )


def movements_in_commit(hold: Transfer, movements: Iterable[Movement]) -> tuple[Movement, ...]:
    """The movements that the end of a hold makes in its own commit.

    For hot accounts this is only `held_in`; the change stream applies the balance. Older holds did
    not count `held_in` on hot accounts, so there is nothing to release for them.
    """
    return tuple(
        Movement(movement.account_id, held_in=movement.held_in)
        if movement.account_id in hold.folded_accounts
        else movement
        for movement in movements
        if movement.account_id not in hold.folded_accounts or hold.held_in_counted
    )


def posted_legs(legs: tuple[Leg, ...], posted: int) -> tuple[Leg, ...]:
    """The legs with the amount that was posted."""
    if posted == total_of(legs):
        return legs
    (only,) = legs
    assert 0 < posted < only.amount, f"{posted} of {only.amount} cannot be posted"
    return (only.model_copy(update={"amount": posted}),)


def final_legs(transfer: Transfer) -> tuple[Leg, ...]:
    """The legs of a processed transfer; for a hold, with the posted amount."""
    if not transfer.operation_id.startswith(POST_PREFIX):
        return transfer.legs
    assert transfer.posted_amount is not None, f"{transfer.id} is not processed"
    return posted_legs(transfer.legs, transfer.posted_amount)


def total_of(legs: Iterable[Leg]) -> int:
    """The amount of a transfer: the sum of its legs."""
    return sum(leg.amount for leg in legs)


def is_consolidation(operation_id: str, *, folded: bool) -> bool:
    """Whether an operation only moved money between the rows of one account.

    Only hot accounts (`folded`) have shards to consolidate. On other accounts an operation with
    this prefix is a posting.
    """
    return folded and operation_id.startswith(CONSOLIDATION_PREFIX)


def is_hold_end(operation_id: str) -> bool:
    """Whether an operation posted, voided or expired a hold."""
    return operation_id.startswith(HOLD_ENDS)


def operation_time(operation_id: str) -> str:
    """The time-sortable part of an operation's id, without its prefix."""
    return operation_id.partition("_")[2]


# -------------------------------------------------------------------- the chart

_RECEIVABLE: Final = "acc_receivable_"
_CHART: Final = ("acc_clearing_", "acc_fees_", "acc_opening_", "acc_writeoff_", _RECEIVABLE)
"""Id prefixes of the chart of accounts. Only receivables have a floor."""


@dataclass(frozen=True, slots=True)
class ChartAccount:
    """A hot account of the chart. Its profile is stored when it is first used."""

    id: str
    merchant_id: str
    account_type: AccountType
    currency: str


def clearing_account(currency: str) -> str:
    """Hot account of what processors owe the platform, one per currency."""
    return f"acc_clearing_{currency}"


def fees_account(currency: str) -> str:
    """Hot account of the fees that processors kept, one per currency."""
    return f"acc_fees_{currency}"


def opening_account(currency: str) -> str:
    """Hot account against which opening balances are booked, one per currency."""
    return f"acc_opening_{currency}"


def write_off_account(currency: str) -> str:
    """Hot account of settlement differences that the platform bears, one per currency."""
    return f"acc_writeoff_{currency}"


def receivable_account(merchant_id: str, currency: str) -> str:
    """Hot account of what a merchant is owed, one per merchant and currency."""
    return f"{_RECEIVABLE}{merchant_id}_{currency}"


def is_receivable(account_id: str) -> bool:
    """Whether the account is a receivable. Of the chart, only receivables have a floor."""
    return account_id.startswith(_RECEIVABLE)


def is_of_chart(account_id: str) -> bool:
    """Whether the account belongs to the chart of accounts."""
    return account_id.startswith(_CHART)


def chart_account(account_id: str, merchant_id: str, currency: str) -> ChartAccount | None:
    """The chart account with this id for a transfer of `merchant_id`, or None."""
    platforms = (clearing_account, fees_account, opening_account, write_off_account)
    if account_id in {account(currency) for account in platforms}:
        return ChartAccount(account_id, PLATFORM, AccountType.SYSTEM, currency)
    if account_id == receivable_account(merchant_id, currency):
        return ChartAccount(account_id, merchant_id, AccountType.MERCHANT, currency)
    return None


def capture_legs(merchant_id: str, currency: str, amount: int, fee: int) -> tuple[Leg, ...]:
    """Legs of a capture: the gross amount to the receivable, and the processor's fee out of it."""
    clearing, receivable = clearing_account(currency), receivable_account(merchant_id, currency)
    gross = Leg(from_account_id=clearing, to_account_id=receivable, amount=amount)
    kept = Leg(from_account_id=receivable, to_account_id=fees_account(currency), amount=fee)
    return (gross, kept) if fee else (gross,)


def refund_legs(merchant_id: str, currency: str, amount: int) -> tuple[Leg, ...]:
    """Legs of a refund, taken from the merchant's receivable. The fee is not returned."""
    clearing, receivable = clearing_account(currency), receivable_account(merchant_id, currency)
    return (Leg(from_account_id=receivable, to_account_id=clearing, amount=amount),)


def dispute_legs(merchant_id: str, currency: str, taken: int, fee: int) -> tuple[Leg, ...]:
    """Legs of a dispute: `taken` and the processor's `fee`, both from the merchant's receivable.

    Negative amounts go back to the receivable. Amounts of zero have no leg.
    """
    receivable = receivable_account(merchant_id, currency)
    others = ((clearing_account(currency), taken), (fees_account(currency), fee))
    return tuple(
        Leg(from_account_id=receivable, to_account_id=other, amount=amount)
        if amount > 0
        else Leg(from_account_id=other, to_account_id=receivable, amount=-amount)
        for other, amount in others
        if amount
    )


def reversal_legs(merchant_id: str, currency: str, amount: int) -> tuple[Leg, ...]:
    """Legs of a returned refund, back to the merchant's receivable."""
    clearing, receivable = clearing_account(currency), receivable_account(merchant_id, currency)
    return (Leg(from_account_id=clearing, to_account_id=receivable, amount=amount),)


def postings(
    operation_id: str,
    status: str,
    legs: tuple[Leg, ...],
    posted_amount: int | None,
) -> dict[str, int] | None:
    """Net change per account made by a transfer; empty unless it is processed.

    None if the legs of a posted hold contradict `posted_amount`.
    """
    if status != TransferStatus.PROCESSED:
        return {}
    moved: Iterable[Leg] = legs
    if operation_id.startswith(POST_PREFIX):
        total = sum(leg.amount for leg in legs)
        posted = total if posted_amount is None else posted_amount
        if posted != total and (len(legs) != 1 or not 0 < posted < total):
            return None
        moved = posted_legs(legs, posted)
    return {account: net for account, net in net_by_account(moved).items() if net}
