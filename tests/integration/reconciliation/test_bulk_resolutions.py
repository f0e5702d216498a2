"""Requests that resolve several lines: what each line was answered does not change any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.core.errors import IdempotencyKeyReused
from runtime.dynamodb.store import Store
from runtime.idempotency.models import IdempotencyRecord
from runtime.idempotency.rules import parts_of
from runtime.reconciliation.importers.line import References
from tests.support.engines.faults import COMMIT, Fault, Faults
from tests.support.platform import Platform
from tests.support.proved_shop import Shop
from tests.support.reconciliation.batches import read_line
from tests.support.reconciliation.decisions import Decisions

CUT_AFTER_TWO = (False, False, True)


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return Shop(platform)


@pytest.fixture
def decisions(shop: Shop) -> Decisions:
    return Decisions(shop.platform, shop.merchant)


def three_lines(decisions: Decisions) -> list[dict[str, Any]]:
    """Decisions about three lines without a counterpart, of 2, 3 and 4 minor units."""
    references = References(transaction_id="txn_unknown")
    decisions.close([read_line(n, amount=n, references=references) for n in (2, 3, 4)])
    return [
        {"settlement_id": line.settlement_id, "line": line.line, "action": "write_off"}
        for line in decisions.lines().values()
    ]


def cut(decisions: Decisions, items: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer to a request that has no time left for its third line."""
    left = iter(CUT_AFTER_TWO)
    return decisions.bulk(*items, must_stop=lambda: next(left))


def before_the_first_commit(platform: Platform, happens: Callable[[], object]) -> Store:
    """A store that lets something happen once, just before it commits for the first time."""
    once = iter([happens])

    def plan(operation: str, _call: int) -> Fault | None:
        if operation == COMMIT and (waiting := next(once, None)) is not None:
            waiting()
        return None

    return platform.store_on(Faults(plan).attach(platform.engine.dynamodb()))


def test_a_repetition_leaves_what_was_answered_before_as_it_was(decisions: Decisions) -> None:
    items = three_lines(decisions)
    lines = decisions.lines()
    decisions.resolve(lines[3], "ignore")
    first = cut(decisions, items)
    assert [each["status_code"] for each in first["data"]] == [200, 409, 503]
    # Others decide otherwise meanwhile: neither result may change, and nothing is done again.
    decisions.resolve(lines[2], "undo")
    decisions.resolve(lines[3], "undo")
    second = decisions.bulk(*items)
    assert [each["status_code"] for each in second["data"]] == [200, 409, 200]
    assert second["data"][:2] == first["data"][:2]
    assert decisions.balances() == {"receivable USD": -4, "written off USD": 4}
    assert decisions.bulk(*items) == second
    decisions.must_count()


def test_what_one_attempt_was_refused_another_one_does_not_do(
    shop: Shop, decisions: Decisions
) -> None:
    (item, *_) = three_lines(decisions)
    line = decisions.lines()[2]
    refused: list[dict[str, Any]] = []

    def other_attempt() -> None:
        decisions.resolve(line, "ignore")
        refused.append(decisions.bulk(item))
        decisions.resolve(line, "undo")

    store = before_the_first_commit(shop.platform, other_attempt)
    answer = decisions.bulk(item, store=store)
    assert [each["status_code"] for each in answer["data"]] == [409]
    assert answer == refused[0]
    assert decisions.balances() == {}
    decisions.must_count()


def test_another_request_under_the_key_of_an_unfinished_one_is_refused(
    decisions: Decisions,
) -> None:
    items = three_lines(decisions)
    cut(decisions, items)
    with pytest.raises(IdempotencyKeyReused):
        decisions.bulk(*({**each, "action": "undo"} for each in items))
    assert decisions.lines()[2].resolution is not None


def test_results_of_lines_are_kept_beside_the_answer_and_are_no_requests(
    shop: Shop, decisions: Decisions
) -> None:
    items = three_lines(decisions)
    decisions.bulk(*items)
    rows = [row for row in shop.platform.rows(IdempotencyRecord) if "bulk" in row.key]
    requests = [row.key for row in rows if parts_of(row.key) is not None]
    assert (len(rows), len(requests)) == (len(items) + 1, 1)
    assert all(row.status_code == 200 and row.expires_at for row in rows)
