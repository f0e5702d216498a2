"""Small chunks, so that small files have several."""

from __future__ import annotations

import pytest

from tests.support.reconciliation.settlement_files import CHUNK


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.reconciliation.files.plan.CHUNK_LINES", CHUNK)
