"""The source of an export, by its kind and format."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.contract.audit import AuditQuery
from runtime.contract.exports import FILTERS, ROWS, LineFilters, TransactionFilters
from runtime.contract.payments import PaymentQuery
from runtime.contract.transfers import TransferQuery
from runtime.models.export import Export, ExportFormat, ExportKind
from runtime.services.exports.audit_source import AuditSource
from runtime.services.exports.books_source import BooksSource
from runtime.services.exports.chunks import RowWriter, Source
from runtime.services.exports.entry_source import EntrySource
from runtime.services.exports.line_source import LineSource
from runtime.services.exports.payment_sources import PaymentSource, TransactionSource
from runtime.services.exports.reads import ExportReads, Whose
from runtime.services.exports.transfer_source import TransferSource


def whose(export: Export) -> Whose:
    """Whose rows an export has, and until when."""
    return Whose(export.merchant_id, export.until)


def source_of(export: Export, account_ids: Sequence[str], reads: ExportReads) -> Source:
    """Where the rows of an export come from; `account_ids` are those whose entries it has."""
    if export.format is ExportFormat.BEANCOUNT:
        return BooksSource(account_ids, whose(export), reads)
    writer = RowWriter(ROWS[export.kind], export.format)
    if export.kind is ExportKind.ENTRIES:
        return EntrySource(account_ids, whose(export), reads, writer)
    query = FILTERS[export.kind].model_validate(export.filters)
    match query:
        case PaymentQuery():
            return PaymentSource(query, whose(export), reads, writer)
        case TransactionFilters():
            return TransactionSource(query, whose(export), reads, writer)
        case TransferQuery():
            return TransferSource(query, whose(export), reads, writer)
        case AuditQuery():
            return AuditSource(query, whose(export), reads, writer)
        case LineFilters():
            return LineSource(query, whose(export), reads, writer)
        case _:
            raise AssertionError(f"there is no source of {export.kind}")
