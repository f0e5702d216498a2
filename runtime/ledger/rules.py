"""The ledger's rules: legs, what they change in each account, and the platform's own accounts.

Chart per currency (from → to). Capture: clearing → receivable (gross), receivable → fees (the
processor's fee). Refund: receivable → clearing (the fee is not returned). Chargeback: receivable →
clearing, and its fee receivable → fees; what is reinstated or comes back, the other way.
Settlement line: receivable → clearing (net), fees → clearing (fee). So clearing and fees return to
zero when everything is settled. What is written off: clearing → write-off. Opening balance:
opening → account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from zlib import crc32

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
"""What a transfer may become; all that is not here is final."""


def may_become(status: TransferStatus, after: TransferStatus) -> bool:
    """Whether a transfer can take this step."""
    return after in TRANSITIONS.get(status, frozenset())


TRANSFER_PREFIX: Final = "trf_"
CONSOLIDATION_PREFIX: Final = "swp_"
"""What the ids of transfers, and of sweeps of fold rows into row 00, begin with."""
CHANGE_PREFIX: Final = "chg_"
"""What the ids of changes begin with that move no money: of a profile, a status, a lock."""
POST_PREFIX: Final = "pst_"
HOLD_ENDS: Final = (POST_PREFIX, "cnl_", "exp_")
"""What the ids of operations that end a hold begin with: a post, a cancel, an expiry."""
CREDIT_SHARDS: Final = 16
"""Fold rows of a folded account. Never change it: the row of an entry is what finds it again."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What one operation changes in one account, in minor units; all zero: it is only checked."""

    account_id: str
    balance: int = 0
    held_out: int = 0
    held_in: int = 0

    @property
    def spendable(self) -> int:
        """Spendable = balance - held_out + credit_limit, and it must change with them."""
        return self.balance - self.held_out

    @property
    def is_nothing(self) -> bool:
        """Nothing changes: legs that cancel each other out."""
        return not (self.balance or self.held_out or self.held_in)


def net_by_account(legs: Iterable[Leg]) -> dict[str, int]:
    """Signed change of each account. One item may appear only once in a DynamoDB transaction."""
    change: Counter[str] = Counter()
    for leg in legs:
        change[leg.from_account_id] -= leg.amount
        change[leg.to_account_id] += leg.amount
    return dict(change)


def movements_at_once(legs: Iterable[Leg]) -> tuple[Movement, ...]:
    """What a transfer without a hold changes."""
    return tuple(Movement(account, balance=net) for account, net in net_by_account(legs).items())


def movements_of_hold(legs: Iterable[Leg]) -> tuple[Movement, ...]:
    """What a hold changes: the payers' money is set aside, the payees see it coming."""
    return tuple(
        Movement(account, held_out=max(-net, 0), held_in=max(net, 0))
        for account, net in net_by_account(legs).items()
    )


def movements_of_release(legs: Iterable[Leg]) -> tuple[Movement, ...]:
    """What canceling or expiring a hold changes: everything is given back."""
    return tuple(
        Movement(account, held_out=-max(-net, 0), held_in=-max(net, 0))
        for account, net in net_by_account(legs).items()
    )


def movements_of_post(legs: tuple[Leg, ...], posted: int) -> tuple[Movement, ...]:
    """What posting `posted` minor units of a hold changes; the rest of the hold is given back.

    A part can be posted only of a hold with one leg: of several, nobody could say which.
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
    """What the end of a hold changes in its own commit: of folded accounts only what they hold.

    Nothing of those that began before `held_in` was kept for folded accounts.
    """
    return tuple(
        Movement(movement.account_id, held_in=movement.held_in)
        if movement.account_id in hold.folded_accounts
        else movement
        for movement in movements
        if movement.account_id not in hold.folded_accounts or hold.held_in_counted
    )


def posted_legs(legs: tuple[Leg, ...], posted: int) -> tuple[Leg, ...]:
    """The legs as they were posted."""
    if posted == total_of(legs):
        return legs
    (only,) = legs
    assert 0 < posted < only.amount, f"{posted} of {only.amount} cannot be posted"
    return (only.model_copy(update={"amount": posted}),)


def final_legs(transfer: Transfer) -> tuple[Leg, ...]:
    """The legs of a processed transfer as they were moved: of a hold, as much as was posted."""
    if not transfer.operation_id.startswith(POST_PREFIX):
        return transfer.legs
    assert transfer.posted_amount is not None, f"{transfer.id} is not processed"
    return posted_legs(transfer.legs, transfer.posted_amount)


def total_of(legs: Iterable[Leg]) -> int:
    """The amount of a transfer: the sum of its legs."""
    return sum(leg.amount for leg in legs)


def credit_shard_of(transfer_id: str) -> str:
    """Sort key of the fold row that takes a transfer, of every folded account: `01` to `16`."""
    return f"{crc32(transfer_id.encode()) % CREDIT_SHARDS + 1:02d}"


def is_consolidation(operation_id: str, *, folded: bool) -> bool:
    """Whether an operation only moved money between the rows of one account, which is no posting.

    Only a folded account has rows to sweep; elsewhere an operation of this name moved money.
    """
    return folded and operation_id.startswith(CONSOLIDATION_PREFIX)


def is_hold_end(operation_id: str) -> bool:
    """Whether an operation posted, canceled or expired a hold."""
    return operation_id.startswith(HOLD_ENDS)


def operation_time(operation_id: str) -> str:
    """The sortable part of an operation's id, whatever its prefix."""
    return operation_id.partition("_")[2]


# -------------------------------------------------------------------- the chart

_RECEIVABLE: Final = "acc_receivable_"
_CHART: Final = ("acc_clearing_", "acc_fees_", "acc_opening_", "acc_writeoff_", _RECEIVABLE)
"""What the ids of the chart's accounts begin with. Only receivables have a floor."""


@dataclass(frozen=True, slots=True)
class ChartAccount:
    """A folded account that exists by rule; its profile is stored when it is first needed."""

    id: str
    merchant_id: str
    account_type: AccountType
    currency: str


def clearing_account(currency: str) -> str:
    """Folded account of what processors owe the platform, one per currency."""
    return f"acc_clearing_{currency}"


def fees_account(currency: str) -> str:
    """Folded account of what processors kept, one per currency."""
    return f"acc_fees_{currency}"


def opening_account(currency: str) -> str:
    """Folded account against which opening balances are booked, one per currency."""
    return f"acc_opening_{currency}"


def write_off_account(currency: str) -> str:
    """Folded account of differences in settlements that the platform bears, one per currency."""
    return f"acc_writeoff_{currency}"


def receivable_account(merchant_id: str, currency: str) -> str:
    """Folded account of what a merchant is owed, one per currency."""
    return f"{_RECEIVABLE}{merchant_id}_{currency}"


def is_receivable(account_id: str) -> bool:
    """Whether it is what a merchant is owed: of the chart, only these have a floor."""
    return account_id.startswith(_RECEIVABLE)


def is_of_chart(account_id: str) -> bool:
    """Whether the account exists by rule, because payments and openings are booked on it."""
    return account_id.startswith(_CHART)


def chart_account(account_id: str, merchant_id: str, currency: str) -> ChartAccount | None:
    """The account of the chart that `account_id` is, for a transfer of `merchant_id`, or None."""
    platforms = (clearing_account, fees_account, opening_account, write_off_account)
    if account_id in {account(currency) for account in platforms}:
        return ChartAccount(account_id, PLATFORM, AccountType.SYSTEM, currency)
    if account_id == receivable_account(merchant_id, currency):
        return ChartAccount(account_id, merchant_id, AccountType.MERCHANT, currency)
    return None


def capture_legs(merchant_id: str, currency: str, amount: int, fee: int) -> tuple[Leg, ...]:
    """The gross amount to the merchant's receivable, and the processor's fee out of it."""
    clearing, receivable = clearing_account(currency), receivable_account(merchant_id, currency)
    gross = Leg(from_account_id=clearing, to_account_id=receivable, amount=amount)
    kept = Leg(from_account_id=receivable, to_account_id=fees_account(currency), amount=fee)
    return (gross, kept) if fee else (gross,)


def refund_legs(merchant_id: str, currency: str, amount: int) -> tuple[Leg, ...]:
    """What a refund takes back from the merchant's receivable; the fee is not returned."""
    clearing, receivable = clearing_account(currency), receivable_account(merchant_id, currency)
    return (Leg(from_account_id=receivable, to_account_id=clearing, amount=amount),)


def dispute_legs(merchant_id: str, currency: str, taken: int, fee: int) -> tuple[Leg, ...]:
    """What a dispute takes from the merchant's receivable, and the processor's fee for it.

    Negative ones come back to it. No legs where nothing moves.
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
    """What comes back to the receivable: a refund that was returned."""
    clearing, receivable = clearing_account(currency), receivable_account(merchant_id, currency)
    return (Leg(from_account_id=clearing, to_account_id=receivable, amount=amount),)


def postings(
    operation_id: str,
    status: str,
    legs: tuple[Leg, ...],
    posted_amount: int | None,
) -> dict[str, int] | None:
    """What a transfer has changed in each account; nothing unless it is processed.

    None when the legs of a posted hold contradict what was posted of it.
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
