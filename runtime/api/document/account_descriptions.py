"""Descriptions of the fields of accounts, entries and transfers, keyed as in `descriptions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ACCOUNTS: Final[Mapping[str, str]] = {
    "account_number": "The owner's own number; unique among the accounts of its owner.",
    "account_type": "`merchant` and `system` are for operators.",
    "from_account_id": "The account that is debited, `acc_…`.",
    "to_account_id": "The account that is credited, `acc_…`.",
    "account_id": "The account, `acc_…`.",
    "locked_until": "Locked until this time after failed attempts; null if it is not locked.",
    "AccountAnswer.merchant_id": "The merchant that owns it; `platform` for the operator's own.",
    "AccountAnswer.customer_id": "The customer that it is for, if any.",
    "AccountAnswer.account_number": "The owner's own number, if it was given one.",
    "AccountAnswer.posting": (
        "`immediate`: every transfer changes the balance in the same commit. `folded`: a hot "
        "account, whose credits reach the balance within seconds."
    ),
    "AccountAnswer.balance": "Booked credits less booked debits, in minor units.",
    "AccountAnswer.held_out": "Held for pending transfers from the account, in minor units.",
    "AccountAnswer.held_in": "Expected from pending transfers to the account, in minor units.",
    "AccountAnswer.available": (
        "What can be debited now, in minor units: balance less held_out plus credit_limit."
    ),
    "AccountAnswer.credit_limit": "How far the balance may go below zero, in minor units.",
    "AccountAnswer.formatted_balance": "The balance with its decimals and currency, for display.",
    "AccountRequest.customer_id": "The customer that it is for, `cus_…`.",
    "AccountQuery.customer_id": "Only accounts of this customer.",
    "AccountQuery.account_number": "Only the account with this number of its owner.",
    "AccountQuery.status": "Only accounts in this status; together with `account_type`.",
    "AccountQuery.account_type": "Only accounts of this type; together with `status`.",
    "EntryAnswer.transfer_id": "The transfer that changed the account, `trf_…`.",
    "EntryAnswer.amount": "The change in minor units; negative for a debit.",
    "EntryAnswer.balance_after": "The balance after it; null on hot accounts.",
    "EntryAnswer.sequence": "Its place in the account's statement; sorts as text.",
    "EntryAnswer.created_at": "When it was booked, in UTC.",
    "Leg.amount": "In minor units of the transfer's currency.",
    "LegRequest.amount": "In minor units of the transfer's currency.",
    "TransferRequest.amount": "In minor units; for the form with one leg.",
    "TransferRequest.from_account_id": "The account to debit, `acc_…`; for the form with one leg.",
    "TransferRequest.to_account_id": "The account to credit, `acc_…`; for the form with one leg.",
    "TransferRequest.legs": "Up to 20 movements that are booked together, or not at all.",
    "TransferRequest.customer_id": (
        "The customer that it is about, `cus_…`. Three failed transfers in a row lock the customer "
        "for 30 minutes."
    ),
    "PostRequest.amount": "A part of the held amount; the rest is released. Default: all of it.",
    "TransferAnswer.legs": "All movements; they were booked together.",
    "TransferAnswer.amount": "The sum of all legs, in minor units.",
    "TransferAnswer.from_account_id": "The debited account; null with several legs.",
    "TransferAnswer.to_account_id": "The credited account; null with several legs.",
    "TransferAnswer.status": (
        "`pending` is an open hold. `processed`, `failed`, `canceled` and `expired` are final."
    ),
    "TransferAnswer.posted_amount": "What was booked, in minor units; null while it is pending.",
    "TransferAnswer.expires_at": "When an open hold ends by itself; null for other transfers.",
    "TransferAnswer.processed_at": "When it was booked, in UTC; null if it was not.",
    "TransferAnswer.balances_after": (
        "Balances by account id, where `expand` asked for them; null otherwise."
    ),
    "TransferQuery.customer_id": "Only transfers about this customer.",
    "TransferQuery.account_id": "Only transfers from or to this account.",
    "TransferQuery.status": "Only transfers in this status.",
}
