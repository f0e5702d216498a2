"""Keys of settlement files in their bucket. Pure."""

from __future__ import annotations

from runtime.reconciliation.files.models import RECONCILIATION_PREFIX


def upload_key(merchant_id: str, file_id: str, name: str) -> str:
    """The object key of a file uploaded through a link; its second part is the file's id."""
    return f"{RECONCILIATION_PREFIX}{merchant_id}/{file_id}/{name}"
