"""The checks find planted bugs of the platform, and report nothing otherwise."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from runtime.dynamodb.expressions import above, at_most, put
from runtime.functions import query
from runtime.functions.http.request import Request
from runtime.http.responses import StoredAnswer
from runtime.idempotency import repository as claims
from runtime.ledger import movements
from runtime.ledger import rules as ledger
from runtime.ledger.holds import holds
from runtime.ledger.hot_accounts import projection as folding_projection
from runtime.payments import writes
from runtime.payments.charge import outcome as payment_outcome
from simulation.platform.plan import ClientKind, Part, Plan
from simulation.platform.world import Platform
from simulation.watch.histories import linearizable
from simulation.watch.settled.books import ledger_faults
from simulation.watch.settled.rows import Rows

MONEY = (ClientKind.CARDS, ClientKind.TRANSFERS, ClientKind.POWERS)
OPERATIONS = 150


def played(*kinds: ClientKind, parts: tuple[Part, ...] = (Part.FAULTS,)) -> Platform:
    """A seed whose run every planted bug is tried on."""
    plan = Plan.drawn("watch", OPERATIONS, parts=parts, kinds=kinds or MONEY)
    platform = Platform("watch", plan)
    platform.run()
    return platform


def violated(*kinds: ClientKind, operations: int = OPERATIONS) -> Counter[str]:
    """The rules that a run violates before it is stopped."""
    plan = Plan.drawn("watch", operations, parts=(), kinds=kinds or MONEY)
    platform = Platform("watch", plan)
    with pytest.raises(AssertionError):  # a Violation, or what follows from it in the set-up
        platform.run()
    return Counter(finding.rule for finding in platform.watch.findings)


def test_a_correct_platform_has_no_violations() -> None:
    platform = played()
    assert platform.watch.findings == []
    assert linearizable(platform.history) == []
    assert platform.watch.commits > OPERATIONS


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The platform logs each fault."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def sabotage(monkeypatch: pytest.MonkeyPatch) -> Any:
    return monkeypatch.setattr


def test_a_debit_without_its_guard(sabotage: Any) -> None:
    sabotage(movements, "_guard", lambda _needed, _terms: ())
    assert "floor" in violated(ClientKind.TRANSFERS)


def test_a_debit_of_what_is_inactive(sabotage: Any) -> None:
    usable = movements._usable
    sabotage(movements, "_usable", lambda terms: usable(terms)[1:])
    assert "inactive" in violated(ClientKind.TRANSFERS, operations=2_000)


def test_a_post_that_keeps_the_rest_held(sabotage: Any) -> None:
    def kept(legs: Any, posted: int) -> Any:
        whole = ledger.movements_of_post(legs, posted)
        return tuple(
            replace(each, held_out=max(each.held_out, -posted)) if each.held_out else each
            for each in whole
        )

    sabotage(holds, "movements_of_post", kept)
    assert "double entry" in violated(ClientKind.TRANSFERS)


def test_an_expired_hold_is_posted(sabotage: Any) -> None:
    sabotage(holds, "_must_be_open", lambda _hold, _at: None)
    sabotage("runtime.ledger.repository.above", lambda name, _at: above(name, ""))
    assert "transfer" in violated(ClientKind.TRANSFERS, operations=2_000)


def test_a_claim_that_replaces_another_requests_answer(sabotage: Any) -> None:
    sabotage(claims, "take", lambda claim, _now: put(claim))
    assert "idempotency key" in violated(ClientKind.TRANSFERS)


def test_a_refund_above_its_limit(sabotage: Any) -> None:
    sabotage(writes, "at_least", lambda name, _amount: at_most(name, 10**15))
    sabotage("runtime.payments.operations.operations.refusal_of", lambda *_, **__: None)
    assert "ceiling" in violated(ClientKind.CARDS)


def test_a_capture_that_books_too_little(sabotage: Any) -> None:
    def less(merchant_id: str, currency: str, amount: int, fee: int) -> Any:
        return ledger.capture_legs(merchant_id, currency, max(amount - 1, 1), min(fee, 1))

    sabotage(payment_outcome, "capture_legs", less)
    assert "posting" in violated(ClientKind.CARDS)


def test_a_balance_from_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = query.ROUTES.operations
    read, cache = operations["getAccount"], dict[str, Any]()

    def stale(request: Request, services: Any) -> Any:
        if request.path_id not in cache:
            cache[request.path_id] = read(request, services)
        return cache[request.path_id]

    monkeypatch.setitem(operations, "getAccount", stale)
    faults = linearizable(played(ClientKind.POWERS).history)
    assert faults
    assert "no order explains" in faults[0]


def test_a_repeated_answer_with_different_text(sabotage: Any) -> None:
    def again(self: StoredAnswer) -> StoredAnswer:
        return replace(self, body=self.body.replace("{", "{ ", 1), replayed=True)

    sabotage(StoredAnswer, "again", again)
    faults = linearizable(played(ClientKind.TRANSFERS).history)
    assert any("two answers to one key" in fault for fault in faults)


def test_a_transfer_added_twice_to_a_balance(sabotage: Any) -> None:
    items_of = folding_projection.items_of
    sabotage(
        folding_projection,
        "items_of",
        lambda transfer: [
            (account, replace(item, amount=item.amount + 1)) for account, item in items_of(transfer)
        ],
    )
    assert "fold" in violated(ClientKind.TRANSFERS)


def test_a_transfer_never_added_to_a_balance_is_reported_at_rest(sabotage: Any) -> None:
    sabotage(folding_projection, "items_of", lambda _transfer: [])
    platform = played(ClientKind.TRANSFERS)
    rows = Rows({name: platform.database.tables[t].items for name, t in platform.tables.items()})
    faults = ledger_faults(rows, platform.watch.rules.ledger, set())
    assert any("was never added" in fault for fault in faults)
