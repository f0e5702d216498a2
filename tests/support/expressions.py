"""A row and tokens for tests of expressions."""

from __future__ import annotations

import uuid

from runtime.encryption.models import DataKey

ROW = DataKey(subject="s", key_id="k", wrapped="m", created_at="2026-01-01T00:00:00.000Z")


def fresh() -> str:
    """A unique token: engines know tokens across tables, as AWS does across an account."""
    return uuid.uuid4().hex
