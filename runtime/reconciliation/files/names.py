"""Where settlement files lie in their bucket. Pure."""

from __future__ import annotations

from runtime.reconciliation.files.models import RECONCILIATION_PREFIX


def upload_key(merchant_id: str, file_id: str, name: str) -> str:
    """The object key of a file that is uploaded by a link; its second part names the file's row."""
    return f"{RECONCILIATION_PREFIX}{merchant_id}/{file_id}/{name}"
