"""The payments of a case of the settlement corpus, as rows of our own tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from runtime.core.ids import created_at
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.schema import Row, TableSchema
from runtime.merchants.models import MerchantProfile
from runtime.payments.charge.outcome import unsettled_bucket
from runtime.payments.models import Dispute, DisputeStatus, Payment, PaymentStatus
from runtime.payments.posting_ids import charge_transaction_id
from runtime.payments.transaction_models import (
    AuditStep,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from tests.support.platform import Platform

STAMP = {"changed_by": "corpus", "request_id": "corpus", "cause": "corpus"}
MOST_PUTS = 25
"""Of one BatchWriteItem."""
EARLIER = "set_EARLIER"
"""The settlement of what was settled before the corpus."""


def put_books(
    platform: Platform, merchant: MerchantProfile, books: Iterable[Mapping[str, Any]]
) -> None:
    """Store payments and their transactions unconditionally; their postings are not stored."""
    rows = [row for paid in books for row in _rows(paid, merchant)]
    for start in range(0, len(rows), MOST_PUTS):
        some = rows[start : start + MOST_PUTS]
        puts: dict[str, list[Any]] = {}
        for row in some:
            table = platform.tables[TableSchema.of(type(row)).name]
            puts.setdefault(table, []).append(
                {"PutRequest": {"Item": platform.store.codec.to_item(row)}}
            )
        platform.client.batch_write_item(RequestItems=puts)


def _rows(paid: Mapping[str, Any], merchant: MerchantProfile) -> Iterator[Row]:
    moment = created_at(paid["id"])
    common = {"merchant_id": merchant.id, "created_at": to_timestamp(moment)}
    common |= {"updated_at": to_timestamp(moment), **STAMP}
    transactions = list(_transactions(paid, merchant, moment, common))
    yield from transactions
    disputes = {each["id"]: _dispute(each, moment) for each in paid["disputes"]}
    yield Payment(
        id=paid["id"],
        status=PaymentStatus.SUCCEEDED,
        amount=paid["amount"],
        amount_captured=sum(each["amount"] for each in paid["captures"]),
        currency=paid["currency"],
        fee=sum(each["fee"] for each in paid["captures"]),
        payment_method="pm_card",
        processor="stripe",
        disputes=disputes or None,
        transaction_ids=tuple(
            each.id for each in transactions if each.id != charge_transaction_id(paid["id"])
        ),
        charge_id=paid["processor_id"],
        **common,
    )


def _transactions(
    paid: Mapping[str, Any],
    merchant: MerchantProfile,
    moment: datetime,
    common: Mapping[str, Any],
) -> Iterator[Transaction]:
    shared = {"payment_id": paid["id"], "currency": paid["currency"], **common}
    if paid["authorized_first"]:
        yield Transaction(
            id=charge_transaction_id(paid["id"]),
            processor_id=paid["processor_id"],
            type=TransactionType.AUTHORIZATION,
            amount=paid["amount"],
            status=TransactionStatus.SUCCEEDED,
            **shared,
        )
    kinds = (
        (TransactionType.CAPTURE, paid["captures"]),
        (TransactionType.REFUND, paid["refunds"]),
    )
    for kind, facts in kinds:
        for fact in facts:
            yield Transaction(
                id=fact["id"],
                processor_id=fact["processor_id"],
                type=kind,
                amount=fact["amount"],
                fee=fact.get("fee", 0),
                **_states(fact, merchant, moment),
                **shared,
            )


def _states(fact: Mapping[str, Any], merchant: MerchantProfile, moment: datetime) -> dict[str, Any]:
    """Status, transitions, and whether it waits for a settlement file."""
    at = to_timestamp(moment)

    def steps(*statuses: TransactionStatus) -> tuple[AuditStep, ...]:
        return tuple(AuditStep(status=status, at=at, by="corpus") for status in statuses)

    waits = {"unsettled_bucket": unsettled_bucket(fact["id"], merchant, moment)}
    status = fact["status"]
    if status == "settled":
        done = {"settlement_id": EARLIER, "settlement_line": 2, "settled_at": at}
        return {"status": TransactionStatus.SETTLED, "processed_at": at, **done}
    if status == "returned":
        trail = steps(TransactionStatus.SUCCEEDED, TransactionStatus.FAILED)
        return {"status": TransactionStatus.FAILED, "audit_trail": trail, **waits}
    if status == "failed":
        return {
            "status": TransactionStatus.FAILED,
            "audit_trail": steps(TransactionStatus.FAILED),
        }
    trail = steps(TransactionStatus.SUCCEEDED)
    return {
        "status": TransactionStatus.SUCCEEDED,
        "processed_at": at,
        "audit_trail": trail,
        **waits,
    }


def _dispute(each: Mapping[str, Any], moment: datetime) -> Dispute:
    return Dispute(
        status=DisputeStatus(each["status"]),
        amount=each["amount"],
        withdrawn=each["withdrawn"],
        returned=each["returned"],
        fee=each["fee"],
        since=to_timestamp(moment),
    )
