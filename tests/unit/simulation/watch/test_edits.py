"""Rows edited by hand while clients work."""

from __future__ import annotations

from contextlib import nullcontext
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from simulation.dynamodb.errors import conflict
from simulation.platform import edits

PAYMENT = {"id": {"S": "pay_1"}}


class Run:
    """A run that is over after some edits were tried; `refused` of them meet a transaction."""

    def __init__(self, tries: int, refused: int) -> None:
        self.tries, self.refused, self.updates = tries, refused, 0
        self.state = SimpleNamespace(is_over=False, is_settling=False)
        self.tables = {"payments": "payments"}
        self.watch = SimpleNamespace(by_hand=lambda _: nullcontext())
        self.database = None

    def sleep(self, _: float) -> None:
        return None

    def items(self, _: str) -> list[dict[str, Any]]:
        return [PAYMENT]

    def update(self, **_: Any) -> None:
        self.updates += 1
        self.state.is_over = self.updates == self.tries
        if self.updates <= self.refused:
            raise conflict()


@pytest.mark.parametrize(("refused", "edited"), [(0, 3), (2, 1), (3, 0)])
def test_an_edit_that_meets_a_transaction_was_not_made(
    refused: int, edited: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = Run(3, refused)
    client = SimpleNamespace(update_item=run.update)
    monkeypatch.setattr(edits, "InMemoryClient", lambda _: client)
    editor = edits.Editor(run, Random(1))
    editor.work()
    assert run.updates == 3
    assert [edit.entity_id for edit in editor.edits] == ["pay_1"] * edited
