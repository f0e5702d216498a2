"""What payments and settlements book: pure legs between the platform's accounts.

Chart per currency (from → to). Capture: clearing → receivable (gross), receivable → fees (the
processor's fee). Settlement line: receivable → clearing (net), fees → clearing (fee). So clearing
and fees return to zero when everything is settled.
"""

from __future__ import annotations

from runtime.models.transfer import Leg


def clearing_account(currency: str) -> str:
    """Folded account of what processors owe the platform, one per currency."""
    return f"acc_clearing_{currency}"


def fees_account(currency: str) -> str:
    """Folded account of what processors kept, one per currency."""
    return f"acc_fees_{currency}"


def receivable_account(merchant_id: str, currency: str) -> str:
    """Folded account of what a merchant is owed, one per currency."""
    return f"acc_receivable_{merchant_id}_{currency}"


def capture_legs(merchant_id: str, currency: str, amount: int, fee: int) -> tuple[Leg, ...]:
    """The gross amount to the merchant's receivable, and the processor's fee out of it."""
    clearing, receivable = clearing_account(currency), receivable_account(merchant_id, currency)
    gross = Leg(from_account_id=clearing, to_account_id=receivable, amount=amount)
    kept = Leg(from_account_id=receivable, to_account_id=fees_account(currency), amount=fee)
    return (gross, kept) if fee else (gross,)


def settlement_legs(merchant_id: str, currency: str, net: int, fee: int) -> tuple[Leg, ...]:
    """What a matched line pays: the net from the receivable, the fee from the fees account.

    A fee above the amount makes the net negative, and its leg runs the other way.
    """
    clearing, receivable = clearing_account(currency), receivable_account(merchant_id, currency)
    source, target = (receivable, clearing) if net >= 0 else (clearing, receivable)
    paid = Leg(from_account_id=source, to_account_id=target, amount=abs(net))
    kept = Leg(from_account_id=fees_account(currency), to_account_id=clearing, amount=fee)
    return tuple(leg for leg in (paid, kept) if leg.amount)
