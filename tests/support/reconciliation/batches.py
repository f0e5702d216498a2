"""Batches of settlement lines in a test world: files and chunks without an S3 object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.core.change_context import ChangeContext
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.store import Store
from runtime.merchants.models import MerchantProfile
from runtime.payments.transaction_models import Transaction, TransactionType
from runtime.reconciliation.files.models import (
    FileStatus,
    SettlementChunk,
    SettlementFile,
    chunk_id,
)
from runtime.reconciliation.importers.line import ImportedLine, References, UnreadableLine
from runtime.reconciliation.matching.batch import BatchDependencies, record_batch
from runtime.reconciliation.settlements.models import LineType, SettlementFormat
from tests.support.outside import new_id
from tests.support.platform import Platform

CONTEXT = ChangeContext(changed_by="reconcile", request_id="message", cause="bat_1")
Line = ImportedLine | UnreadableLine


def read_line(number: int, **changes: Any) -> ImportedLine:
    """A readable line; `net` follows from amount and fee."""
    values: dict[str, Any] = {
        "number": number,
        "identity": f"line-{number}",
        "type": LineType.CAPTURE,
        "amount": 1000,
        "fee": 0,
        "currency": "USD",
        "settlement_date": "2026-03-15",
        **changes,
    }
    values.setdefault("category", str(values["type"]))
    return ImportedLine(**{"net": values["amount"] - values["fee"], **values})


def line_of(number: int, transaction: Transaction, **changes: Any) -> ImportedLine:
    """The line that settles a capture or refund, with `changes`."""
    refund = transaction.type is TransactionType.REFUND
    return read_line(
        number,
        **{
            "type": LineType.REFUND if refund else LineType.CAPTURE,
            "identity": f"bt_{transaction.id}",
            "amount": -transaction.amount if refund else transaction.amount,
            "fee": transaction.fee,
            "currency": transaction.currency,
            "references": References(
                payment_id=transaction.payment_id, transaction_id=transaction.id
            ),
            **changes,
        },
    )


def file_of(
    platform: Platform,
    merchant: MerchantProfile,
    layout: SettlementFormat = SettlementFormat.STRIPE,
    **changes: Any,
) -> SettlementFile:
    """A planned file; each is later than the ones before."""
    platform.clock.advance(1)
    now = to_timestamp(platform.clock())
    values: dict[str, Any] = {
        "id": new_id("fil", platform.clock()),
        "merchant_id": merchant.id,
        "merchant_status": f"{merchant.id}#processing",
        "name": "payouts.csv",
        "key": f"reconciliation/{merchant.id}/payouts.csv",
        "status": FileStatus.PROCESSING,
        "format": layout,
        "created_at": now,
        "updated_at": now,
        **CONTEXT.stamp(),
        **changes,
    }
    return SettlementFile(**values)


def chunk_of(
    platform: Platform, file: SettlementFile, lines: Sequence[Line], number: int = 0
) -> SettlementChunk:
    """A stored chunk of the file with these lines."""
    chunk = SettlementChunk(
        id=chunk_id(file.id, number),
        file_id=file.id,
        merchant_id=file.merchant_id,
        number=number,
        start=0,
        end=1,
        first_line=lines[0].number,
        lines=len(lines),
        updated_at=to_timestamp(platform.clock()),
        cause="plan",
    )
    platform.put(chunk)
    return chunk


def settle(
    platform: Platform,
    merchant: MerchantProfile,
    file: SettlementFile,
    lines: Sequence[Line],
    *,
    number: int = 0,
    store: Store | None = None,
) -> SettlementChunk:
    """A chunk with these lines, recorded completely."""
    chunk = chunk_of(platform, file, lines, number)
    return settle_chunk(platform, merchant, file, chunk, lines, store=store)


def settle_chunk(
    platform: Platform,
    merchant: MerchantProfile,
    file: SettlementFile,
    chunk: SettlementChunk,
    lines: Sequence[Line],
    *,
    store: Store | None = None,
) -> SettlementChunk:
    """The rest of a chunk, batch by batch."""
    dependencies = BatchDependencies(store or platform.store, platform.outside)
    while chunk.lines_done < chunk.lines:
        left = lines[chunk.lines_done :]
        chunk = record_batch(left, chunk, file, merchant, CONTEXT, dependencies)
    return chunk
