"""Cells of one record of delimited text. settlement_records.py reads whole files."""

from __future__ import annotations

import csv

from runtime.reconciliation.importers.layout import Unreadable


def cells_of(record: str, delimiter: str = ",") -> list[str]:
    """The cells of one record, without its line end (RFC 4180). Raises Unreadable."""
    try:
        return next(csv.reader([record], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise Unreadable(f"not readable as CSV: {error}") from error
