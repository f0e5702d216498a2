"""Resolutions of exceptions: what each books and settles, and that it can be undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from runtime.core.errors import (
    ActionNotApplicable,
    AlreadyResolved,
    Forbidden,
    IdempotencyKeyReused,
    LineDoesNotFit,
    NotFound,
    NotResolved,
)
from runtime.dynamodb.store import Store
from runtime.http.responses import StoredAnswer
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.models import ReconciliationTerms
from runtime.merchants.repository import MerchantRepository
from runtime.payments.transaction_models import Transaction, TransactionStatus
from runtime.reconciliation.importers.line import References, UnreadableLine
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Settlement,
    SettlementLine,
    SettlementStatus,
)
from runtime.reconciliation.unsettled.repository import UnsettledRepository
from runtime.reconciliation.unsettled.sweep import SweepDependencies, sweep_missing
from tests.support.engines.faults import COMMIT, Fault, Faults, ProcessKilled, at_commit
from tests.support.platform import Platform, at_once
from tests.support.proved_shop import Shop
from tests.support.reconciliation.batches import line_of, read_line
from tests.support.reconciliation.decisions import Decisions


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return Shop(platform)


@pytest.fixture
def decisions(shop: Shop) -> Decisions:
    return Decisions(shop.platform, shop.merchant)


def unknown(number: int, **changes: Any) -> Any:
    references = References(transaction_id="txn_unknown")
    return read_line(number, **{"references": references, **changes})


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    names = {*before, *after}
    moved = {name: after.get(name, 0) - before.get(name, 0) for name in names}
    return {name: amount for name, amount in moved.items() if amount}


def store_with(platform: Platform, commit: int, fault: Fault) -> Store:
    """A store that fails at one commit."""
    return platform.store_on(Faults(at_commit(commit, fault)).attach(platform.engine.dynamodb()))


CAPTURES = 5
"""Sales of 1000 with a fee of 59 each; the last one is in no file."""


def mixed(shop: Shop, decisions: Decisions) -> dict[int, SettlementLine]:
    """A payout with one exception of every kind, and a missing capture; lines by number."""
    payments = [shop.paid(amount=1000) for _ in range(CAPTURES)]
    shop.operate(payments[0], "refund", amount=400)
    shop.disputed(payments[0])
    captures = shop.transactions("capture")
    (refund,) = shop.transactions("refund")
    dispute = References(payment_id=payments[0], dispute_id="dp_1")
    settlement = decisions.close(
        [
            line_of(2, captures[0]),
            line_of(3, captures[1], amount=900),
            line_of(4, captures[2], fee=80),
            line_of(5, captures[3], currency="EUR"),
            line_of(6, refund, amount=-450),
            read_line(
                7, type=LineType.DISPUTE, amount=-500, fee=15, references=dispute, identity="dp"
            ),
            line_of(8, captures[0], identity="again"),
            unknown(9, amount=500, fee=10),
            read_line(10, type=None, category="mystery", amount=-70),
            UnreadableLine(11, "11 columns instead of 9"),
            read_line(12, type=LineType.PAYOUT, amount=-1000),
        ]
    )
    shop.pass_the_cut()
    assert settlement.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    return decisions.lines()


CAPTURE = {"receivable USD": -941, "acc_clearing_USD": 1000, "acc_fees_USD": -59}
"""The effect of settling one transaction without a difference."""


def with_written_off(settled: dict[str, int], amount: int, currency: str = "USD") -> dict[str, int]:
    """The effect of settling when the platform bears `amount`."""
    receivable, written_off = f"receivable {currency}", f"written off {currency}"
    moved = {
        **settled,
        receivable: settled.get(receivable, 0) - amount,
        written_off: amount,
    }
    return {name: value for name, value in moved.items() if value}


REFUND = {"receivable USD": 400, "acc_clearing_USD": -400}
DISPUTE = {"receivable USD": 615, "acc_clearing_USD": -600, "acc_fees_USD": -15}
BOOKED: dict[int, tuple[LineStatus, dict[str, int], dict[str, int]]] = {
    3: (LineStatus.AMOUNT_MISMATCH, CAPTURE, with_written_off(CAPTURE, -100)),
    4: (LineStatus.FEE_MISMATCH, CAPTURE, with_written_off(CAPTURE, -21)),
    5: (
        LineStatus.CURRENCY_MISMATCH,
        CAPTURE,
        with_written_off(with_written_off(CAPTURE, -941), 941, "EUR"),
    ),
    6: (LineStatus.AMOUNT_MISMATCH, REFUND, with_written_off(REFUND, -50)),
    7: (LineStatus.AMOUNT_MISMATCH, DISPUTE, with_written_off(DISPUTE, 100)),
    8: (LineStatus.DUPLICATE, {}, with_written_off({}, 941)),
    9: (LineStatus.UNEXPECTED, {}, with_written_off({}, 490)),
    10: (LineStatus.UNCLASSIFIED, {}, with_written_off({}, -70)),
}
"""By line: its status, and what accept and write_off move, in minor units."""


def test_every_resolution_books_and_is_undone_exactly(shop: Shop, decisions: Decisions) -> None:
    lines = mixed(shop, decisions)
    remainder = decisions.settlement(lines[12].settlement_id).remainder["USD"]
    booked = {
        **BOOKED,
        12: (LineStatus.AMOUNT_MISMATCH, {}, with_written_off({}, remainder)),
    }
    assert {n: lines[n].status for n in booked} == {n: each[0] for n, each in booked.items()}
    before = decisions.balances()
    for number, (status, *moves) in booked.items():
        for action, expected in zip(("accept", "write_off"), moves, strict=True):
            answer = json.loads(decisions.resolve(lines[number], action).body)
            assert (answer["status"], answer["resolution"]["action"]) == (status, action)
            after = decisions.balances()
            assert difference(before, after) == expected, (number, action)
            decisions.must_count()
            reopened = json.loads(decisions.resolve(lines[number], "undo").body)
            assert (reopened["status"], reopened["resolution"]) == (status, None)
            assert decisions.balances() == before, (number, action)
            decisions.must_count()
    now = decisions.lines()
    for number, line in now.items():
        assert line.exception_key == lines[number].exception_key
        assert line.transaction_id == lines[number].transaction_id
    rows = shop.platform.rows(Transaction)
    assert [row.status for row in rows].count(TransactionStatus.SETTLED) == 1
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


@pytest.mark.parametrize("action", ["accept", "write_off"])
def test_a_settlement_with_all_exceptions_resolved_is_completed_and_balanced(
    shop: Shop, decisions: Decisions, action: str
) -> None:
    lines = mixed(shop, decisions)
    for number in sorted(BOOKED):
        decisions.resolve(lines[number], action)
    decisions.resolve(lines[11], "ignore")
    settlement = decisions.settlement(lines[12].settlement_id)
    assert settlement.open_exceptions == 1
    closed_at = settlement.completed_at
    decisions.resolve(lines[12], action)
    settlement = decisions.settlement(lines[12].settlement_id)
    assert settlement.status is SettlementStatus.COMPLETED
    assert (settlement.completed_at or "") > (closed_at or "9999")
    assert settlement.last_resolution is not None
    assert settlement.last_resolution.model_dump() == {
        "line": 12,
        "action": action,
        "note": "as agreed",
    }
    decisions.must_count()
    settled = {
        r.id for r in shop.platform.rows(Transaction) if r.status is TransactionStatus.SETTLED
    }
    assert len(settled) == CAPTURES  # all captures but one, and the refund
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}
    for transfer in shop.platform.rows(Transfer):
        if transfer.settlement_id is not None:
            assert len(transfer.settlement_lines) == 1 or 2 in transfer.settlement_lines
    decisions.resolve(lines[12], "undo")
    settlement = decisions.settlement(lines[12].settlement_id)
    assert settlement.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    decisions.must_count()


def test_a_missing_transaction_is_accepted_or_written_off_and_missing_again_when_undone(
    shop: Shop, decisions: Decisions
) -> None:
    platform = shop.platform
    payment_id = shop.paid(amount=1000)
    shop.operate(payment_id, "refund", amount=400)
    platform.clock.advance(8 * 86_400)
    sweeping = dependencies_of_sweep(platform)
    assert sweep_missing(sweeping, "sweep").missing == 2
    before = decisions.balances()
    moves = {
        LineType.CAPTURE: (CAPTURE, with_written_off(CAPTURE, -941)),
        LineType.REFUND: (REFUND, with_written_off(REFUND, 400)),
    }
    for line in platform.rows(SettlementLine):
        assert line.type is not None
        for action, expected in zip(("accept", "write_off"), moves[line.type], strict=True):
            decisions.resolve(line, action)
            assert difference(before, decisions.balances()) == expected
            row = decisions.transaction(line.transaction_id)
            assert row.status is TransactionStatus.SETTLED
            assert (row.settlement_id, row.settlement_line) == (line.settlement_id, line.line)
            assert row.unsettled_bucket is None
            decisions.must_count()
            shop.pass_the_cut()
            assert shop.verify_ledger() == {}
            decisions.resolve(line, "undo")
            row = decisions.transaction(line.transaction_id)
            assert row.status is TransactionStatus.SUCCEEDED
            assert (row.missing_in, row.missing_line) == (line.settlement_id, line.line)
            assert decisions.balances() == before
        with pytest.raises(ActionNotApplicable, match="use accept, write_off, ignore"):
            decisions.resolve(line, "link", transaction_id="txn_1")
        decisions.resolve(line, "ignore")
        assert decisions.balances() == before
    decisions.must_count()
    platform.clock.advance(30 * 86_400)
    assert sweep_missing(sweeping, "sweep").missing == 0
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_line_is_linked_to_the_transaction_that_it_matches_and_to_no_other(
    shop: Shop, decisions: Decisions
) -> None:
    payments = [shop.paid(amount=amount) for amount in (1000, 700)]
    shop.operate(payments[0], "refund", amount=300)
    captures, (refund,) = shop.transactions("capture"), shop.transactions("refund")
    decisions.close(
        [
            unknown(2, amount=1000, fee=59),
            unknown(3, amount=-300, type=LineType.REFUND),
            read_line(4, type=None, category="mystery", amount=700, fee=50),
        ]
    )
    stranger = decisions.platform.merchant()
    decisions.platform.paid(stranger, amount=1000)
    lines, before = decisions.lines(), decisions.balances()
    with pytest.raises(LineDoesNotFit, match=r"expected amount 7\.00 USD, the file says 10\.00"):
        decisions.resolve(lines[2], "link", transaction_id=captures[1].id)
    with pytest.raises(LineDoesNotFit, match="refund"):
        decisions.resolve(lines[2], "link", transaction_id=refund.id)
    with pytest.raises(NotFound):
        decisions.resolve(lines[2], "link", transaction_id="txn_nothing")
    (theirs,) = (r for r in decisions.platform.rows(Transaction) if r.merchant_id == stranger.id)
    with pytest.raises(NotFound):
        decisions.resolve(lines[2], "link", transaction_id=theirs.id)
    decisions.must_count()
    links = {2: captures[0], 3: refund, 4: captures[1]}
    for number, transaction in links.items():
        answer = json.loads(
            decisions.resolve(lines[number], "link", transaction_id=transaction.id).body
        )
        assert (answer["status"], answer["transaction_id"]) == ("matched", transaction.id)
        assert answer["payment_id"] == transaction.payment_id
        assert answer["resolution"]["action"] == "link"
        assert decisions.transaction(transaction.id).status is TransactionStatus.SETTLED
    decisions.must_count()
    settlement = decisions.settlement(lines[2].settlement_id)
    assert settlement.status is SettlementStatus.COMPLETED
    assert settlement.totals["USD"].amount == 1700
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}
    with pytest.raises(AlreadyResolved):
        decisions.resolve(lines[2], "accept")
    for number, transaction in links.items():
        undone = json.loads(decisions.resolve(lines[number], "undo").body)
        assert (undone["status"], undone["type"]) == (lines[number].status, lines[number].type)
        assert undone["transaction_id"] == lines[number].transaction_id
        assert decisions.transaction(transaction.id).status is TransactionStatus.SUCCEEDED
    assert decisions.balances() == before
    decisions.must_count()
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_linking_a_line_learns_a_fee_that_was_unknown(platform: Platform) -> None:
    free = platform.merchant(reconciliation=ReconciliationTerms(tolerance_minor=0))
    decisions = Decisions(platform, free)
    payment_id = platform.paid(free, amount=1000)
    (row,) = platform.rows(Transaction)
    (payment,) = platform.payments()
    platform.put(row.model_copy(update={"fee": 0}))
    platform.put(payment.model_copy(update={"fee": 0}))
    decisions.close([unknown(2, amount=1000, fee=40)])
    (line,) = platform.rows(SettlementLine)
    decisions.resolve(line, "link", transaction_id=row.id)
    assert (decisions.transaction(row.id).fee, platform.payment().fee) == (40, 40)
    decisions.resolve(line, "undo")
    assert (decisions.transaction(row.id).fee, platform.payment().fee) == (0, 0)
    assert payment_id == payment.id


def test_linking_a_late_line_also_closes_the_missing_line(shop: Shop, decisions: Decisions) -> None:
    platform = shop.platform
    for _ in range(2):
        shop.paid(amount=1000)
    captures = shop.transactions("capture")
    platform.clock.advance(8 * 86_400)
    sweeping = dependencies_of_sweep(platform)
    assert sweep_missing(sweeping, "sweep").missing == 2
    decisions.close([line_of(2, captures[0], amount=900), unknown(3, amount=1000, fee=59)])
    lines = decisions.lines()
    decisions.resolve(lines[2], "accept")
    decisions.resolve(lines[3], "link", transaction_id=captures[1].id)
    found = [row for row in platform.rows(SettlementLine) if row.line not in (2, 3)]
    assert [row.status for row in found] == [LineStatus.MATCHED] * 2
    decisions.must_count()
    assert {row.status for row in platform.rows(Settlement)} == {SettlementStatus.COMPLETED}
    assert decisions.balances() == {}
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_late_transaction_is_matched_and_its_missing_day_completed(
    shop: Shop, decisions: Decisions
) -> None:
    platform = shop.platform
    for _ in range(3):
        shop.paid(amount=1000)
    captures = shop.transactions("capture")
    platform.clock.advance(8 * 86_400)
    sweeping = dependencies_of_sweep(platform)
    assert sweep_missing(sweeping, "sweep").missing == 3
    lines = {row.transaction_id: row for row in platform.rows(SettlementLine)}
    decisions.resolve(lines[captures[0].id], "ignore")
    decisions.resolve(lines[captures[1].id], "accept")
    decisions.close([line_of(number, row) for number, row in enumerate(captures, start=2)])
    late = decisions.lines()
    assert [late[number].status for number in (2, 3, 4)] == ["matched", "duplicate", "matched"]
    after = {row.transaction_id: row for row in platform.rows(SettlementLine) if row.line > 4}
    statuses = [after[each.id].status for each in captures]
    assert statuses == [LineStatus.MATCHED, LineStatus.MISSING, LineStatus.MATCHED]
    decisions.must_count()
    day = decisions.settlement(lines[captures[0].id].settlement_id)
    assert day.status is SettlementStatus.COMPLETED
    assert sweep_missing(sweeping, "sweep").missing == 0
    decisions.resolve(late[3], "accept")
    assert decisions.balances() == {}
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_of_two_dependent_lines_one_is_resolved_and_the_other_stays_open(
    shop: Shop, decisions: Decisions
) -> None:
    payment_id = shop.paid(amount=1000, capture_method="manual")
    shop.operate(payment_id, "capture", amount=600)
    (capture,) = shop.transactions("capture")
    of_it = References(payment_id=payment_id)
    decisions.close([read_line(2, amount=1000, fee=capture.fee, references=of_it)])
    line, before = decisions.lines()[2], decisions.balances()
    assert line.status is LineStatus.AMOUNT_MISMATCH
    decisions.resolve(line, "accept")
    assert decisions.transaction(capture.id).status is TransactionStatus.SETTLED
    decisions.resolve(line, "undo")
    assert decisions.balances() == before
    # It depends on the other again: after the reversal both fit.
    reversal = read_line(3, amount=-400, category="reversal", references=of_it)
    decisions.close([read_line(2, amount=1000, fee=capture.fee, references=of_it), reversal])
    assert {row.status for row in decisions.lines().values()} == {LineStatus.MATCHED}
    assert decisions.balances() == {}
    decisions.must_count()
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_line_with_currency_conversion_is_settled_in_the_payments_currency(
    shop: Shop, decisions: Decisions
) -> None:
    shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    exchanged = {"presented_amount": 900, "presented_currency": "USD"}
    decisions.close([line_of(2, capture, amount=800, fee=40, currency="EUR", **exchanged)])
    (line,) = decisions.lines().values()
    before = decisions.balances()
    for action, written_off in (("accept", {}), ("write_off", {"written off USD": -100})):
        decisions.resolve(line, action)
        after = decisions.balances()
        assert {name: after[name] for name in written_off} == written_off
        assert not {"acc_clearing_USD", "acc_fees_USD", "acc_clearing_EUR"} & set(after), action
        shop.pass_the_cut()
        assert shop.verify_ledger() == {}
        decisions.resolve(line, "undo")
        assert decisions.balances() == before


def test_a_line_in_our_currency_for_a_payment_in_another_settles_both(
    shop: Shop, decisions: Decisions
) -> None:
    shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    exchanged = {"presented_amount": 900, "presented_currency": "EUR"}
    decisions.close([line_of(2, capture, amount=1000, fee=59, currency="USD", **exchanged)])
    (line,) = decisions.lines().values()
    assert line.status == LineStatus.CURRENCY_MISMATCH
    decisions.resolve(line, "accept")
    assert not {"acc_clearing_USD", "acc_fees_USD"} & set(decisions.balances())
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_resolution_with_a_lost_answer_or_a_dead_process_is_applied_once(
    shop: Shop, decisions: Decisions
) -> None:
    decisions.close([unknown(2, amount=70), unknown(3, amount=30)])
    lines = decisions.lines()
    for number, fault in ((2, Fault.ANSWER_LOST), (3, Fault.KILLED_AFTER)):
        with suppress(ProcessKilled):
            faulty = store_with(shop.platform, 1, fault)
            decisions.resolve(lines[number], "write_off", key=f"once-{number}", store=faulty)
        again = decisions.resolve(lines[number], "write_off", key=f"once-{number}")
        assert (again.status, again.replayed) == (200, True)
    assert decisions.balances() == with_written_off({}, 100)
    decisions.must_count()


def test_a_batch_of_resolutions_killed_at_any_commit_is_applied_once(
    shop: Shop, decisions: Decisions
) -> None:
    decisions.close([unknown(number, amount=number) for number in (2, 3, 4)])
    items = [
        {"settlement_id": line.settlement_id, "line": line.line, "action": "write_off"}
        for line in decisions.lines().values()
    ]
    killed = [(2, Fault.KILLED_BEFORE), *((n, Fault.KILLED_AFTER) for n in (1, 3, 4))]
    for commit, fault in killed:
        key = f"bulk-{commit}-{fault}"
        with suppress(ProcessKilled):
            decisions.bulk(*items, key=key, store=store_with(shop.platform, commit, fault))
        reported = decisions.bulk(*items, key=key)
        assert [each["status_code"] for each in reported["data"]] == [200] * 3
        assert decisions.balances() == with_written_off({}, 2 + 3 + 4)
        decisions.bulk(*({**each, "action": "undo"} for each in items), key=f"undo-{key}")
        assert decisions.balances() == {}
    decisions.must_count()


def test_of_concurrent_resolutions_one_wins_and_the_others_get_a_conflict(
    shop: Shop, decisions: Decisions
) -> None:
    shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    decisions.close([line_of(2, capture, amount=900), unknown(3, amount=5)])
    lines, before = decisions.lines(), decisions.balances()
    actions = ("accept", "write_off", "ignore", "accept")
    results = at_once(*[lambda a=each: decisions.resolve(lines[2], a) for each in actions])
    refused = [each for each in results if isinstance(each, Exception)]
    assert len(refused) == len(actions) - 1
    assert {type(each) for each in refused} == {AlreadyResolved}
    decisions.must_count()
    # Other lines of one settlement wait for each other, and none is refused.
    undone = at_once(
        lambda: decisions.resolve(lines[2], "undo"), lambda: decisions.resolve(lines[3], "ignore")
    )
    assert not any(isinstance(each, Exception) for each in undone)
    assert decisions.balances() == before
    decisions.must_count()
    with pytest.raises(NotResolved):
        decisions.resolve(lines[2], "undo")


def test_a_repeated_request_is_answered_again_and_a_different_one_under_its_key_is_refused(
    shop: Shop, decisions: Decisions
) -> None:
    shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    decisions.close([line_of(2, capture, amount=900)])
    (line,) = decisions.lines().values()
    first = decisions.resolve(line, "accept", key="once")
    after = decisions.balances()
    again = decisions.resolve(line, "accept", key="once")
    assert (again.body, again.replayed) == (first.body, True)
    assert decisions.balances() == after
    with pytest.raises(IdempotencyKeyReused):
        decisions.resolve(line, "write_off", key="once")


def before_each_commit(platform: Platform, happens: Callable[[], object]) -> Store:
    """A store whose commits are each preceded by a callback."""

    def plan(operation: str, _call: int) -> Fault | None:
        if operation == COMMIT:
            happens()
        return None

    return platform.store_on(Faults(plan).attach(platform.engine.dynamodb()))


def test_concurrent_attempts_at_a_resolution_book_it_once_and_give_one_answer(
    shop: Shop, decisions: Decisions
) -> None:
    decisions.close([unknown(2, amount=5)])
    (line,) = decisions.lines().values()
    first: list[StoredAnswer] = []

    def other_attempt() -> None:
        if not first:
            first.append(decisions.resolve(line, "write_off", key="once"))

    store = before_each_commit(shop.platform, other_attempt)
    second = decisions.resolve(line, "write_off", key="once", store=store)
    assert (second.body, second.replayed) == (first[0].body, True)
    assert decisions.balances() == with_written_off({}, 5)
    decisions.must_count()


def test_concurrent_attempts_at_a_batch_book_each_line_once_and_give_one_answer(
    shop: Shop, decisions: Decisions
) -> None:
    decisions.close([unknown(2, amount=5), unknown(3, amount=7)])
    items = [
        {"settlement_id": line.settlement_id, "line": line.line, "action": "write_off"}
        for line in decisions.lines().values()
    ]
    first: list[dict[str, Any]] = []
    commits = iter(range(len(items)))

    def other_attempt() -> None:
        """Before the commit that stores the answer; each line has one of its own."""
        if next(commits, None) is None and not first:
            first.append(decisions.bulk(*items))

    second = decisions.bulk(*items, store=before_each_commit(shop.platform, other_attempt))
    assert second == first[0]
    assert decisions.balances() == with_written_off({}, 12)
    decisions.must_count()


def test_a_line_that_cannot_be_read_does_not_block_others_and_can_be_repeated(
    shop: Shop, decisions: Decisions, caplog: pytest.LogCaptureFixture
) -> None:
    decisions.close([unknown(2, amount=5), unknown(3, amount=7)])
    damaged, sound = decisions.lines().values()
    items = [
        {"settlement_id": line.settlement_id, "line": line.line, "action": "write_off"}
        for line in (damaged, sound)
    ]
    shop.platform.put(damaged.model_copy(update={"amount": "many"}))
    reported = decisions.bulk(*items)
    assert [each["status_code"] for each in reported["data"]] == [500, 200]
    assert "a line could not be resolved" in caplog.messages
    assert "many" not in json.dumps(reported)
    shop.platform.put(damaged)
    reported = decisions.bulk(*items)
    assert [each["status_code"] for each in reported["data"]] == [200, 200]
    assert decisions.balances() == with_written_off({}, 12)
    decisions.must_count()


def test_a_line_superseded_by_a_later_file_cannot_be_resolved(
    shop: Shop, decisions: Decisions
) -> None:
    shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    decisions.close([line_of(2, capture, amount=900)])
    (line,) = decisions.lines().values()
    decisions.resolve(line, "write_off")
    decisions.close([line_of(2, capture)])
    (after,) = decisions.lines().values()
    assert (after.status, after.resolution) == (LineStatus.MATCHED, None)
    assert decisions.balances() == {}
    for action in ("accept", "ignore"):
        with pytest.raises(AlreadyResolved, match="is matched, so it needs no decision"):
            decisions.resolve(line, action)
    with pytest.raises(NotResolved):
        decisions.resolve(line, "undo")
    decisions.must_count()


def test_a_remainder_explained_by_a_later_file_is_not_booked(
    shop: Shop, decisions: Decisions
) -> None:
    shop.paid(amount=1000)
    shop.paid(amount=500)
    first, second = shop.transactions("capture")
    payout = read_line(9, type=LineType.PAYOUT, amount=-941 - 455)
    settlement = decisions.close([line_of(2, first), payout])
    assert settlement.remainder == {"USD": 455}
    line = decisions.line(settlement.id, 9)
    decisions.resolve(line, "write_off")
    assert decisions.balances()["written off USD"] == 455
    again = decisions.close([line_of(2, first), payout])
    assert decisions.line(settlement.id, 9).resolution is not None
    assert again.status is SettlementStatus.COMPLETED
    explained = decisions.close([line_of(3, second)])
    assert (explained.id, explained.remainder) == (settlement.id, {"USD": 0})
    line = decisions.line(settlement.id, 9)
    assert (line.status, line.resolution) == (LineStatus.MATCHED, None)
    assert decisions.balances() == {}
    decisions.must_count()
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_line_may_be_resolved_before_its_file_is_closed(shop: Shop, decisions: Decisions) -> None:
    shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    file, _ = decisions.record([line_of(2, capture, amount=900), unknown(3, amount=5)])
    lines = decisions.lines()
    decisions.resolve(lines[2], "accept")
    decisions.resolve(lines[3], "ignore")
    settlement = decisions.settlement(lines[2].settlement_id)
    assert settlement.status is SettlementStatus.PROCESSING
    decisions.end(file)
    settlement = decisions.settlement(lines[2].settlement_id)
    assert settlement.status is SettlementStatus.COMPLETED
    decisions.must_count()


def test_each_resolution_of_a_batch_is_evaluated_separately(
    shop: Shop, decisions: Decisions
) -> None:
    shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    decisions.close([line_of(2, capture, amount=900), unknown(3, amount=5), unknown(4, amount=6)])
    lines = decisions.lines()
    settlement_id = lines[2].settlement_id

    def item(line: int, action: str, **more: Any) -> dict[str, Any]:
        return {"settlement_id": settlement_id, "line": line, "action": action, **more}

    items = (
        item(2, "accept"),
        item(3, "link", transaction_id=capture.id),
        item(3, "ignore"),
        item(3, "accept"),
        item(99, "accept"),
        item(4, "undo"),
        {**item(4, "accept"), "settlement_id": "set_unknown"},
    )
    reported = decisions.bulk(*items)
    codes = [
        (each["status_code"], None if each["problem"] is None else each["problem"]["code"])
        for each in reported["data"]
    ]
    assert codes == [
        (200, None),
        (422, "line_does_not_fit"),
        (200, None),
        (409, "already_resolved"),
        (404, "not_found"),
        (409, "not_resolved"),
        (404, "not_found"),
    ]
    assert (reported["resolved"], reported["failed"]) == (2, 5)
    assert reported["data"][0]["result"]["resolution"]["action"] == "accept"
    decisions.must_count()
    after = decisions.balances()
    assert decisions.bulk(*items) == reported
    assert decisions.balances() == after


def test_an_interrupted_batch_of_resolutions_continues_when_it_is_repeated(
    shop: Shop, decisions: Decisions
) -> None:
    decisions.close([unknown(number, amount=number) for number in range(2, 6)])
    lines = decisions.lines()
    items = [
        {"settlement_id": line.settlement_id, "line": line.line, "action": "write_off"}
        for line in lines.values()
    ]
    left = iter([False, False, True, True])
    cut = decisions.bulk(*items, must_stop=lambda: next(left))
    assert [each["status_code"] for each in cut["data"]] == [200, 200, 503, 503]
    reported = decisions.bulk(*items)
    assert [each["status_code"] for each in reported["data"]] == [200] * 4
    assert decisions.balances() == with_written_off({}, sum(range(2, 6)))
    assert decisions.bulk(*items) == reported
    assert decisions.balances() == with_written_off({}, sum(range(2, 6)))
    decisions.must_count()


def test_another_merchants_line_cannot_be_resolved(shop: Shop, decisions: Decisions) -> None:
    decisions.close([unknown(2, amount=5)])
    (line,) = decisions.lines().values()
    other = Decisions(decisions.platform, decisions.platform.merchant())
    for action in ("accept", "ignore", "undo"):
        with pytest.raises(NotFound):
            other.resolve(line, action)
    with pytest.raises(NotFound, match=f"No such line: 99 of settlement {line.settlement_id}"):
        decisions.resolve((line.settlement_id, 99), "ignore")
    with pytest.raises(NotFound):
        decisions.resolve((line.settlement_id, 10**15), "ignore")


def test_a_merchant_may_only_resolve_at_its_own_cost(shop: Shop, decisions: Decisions) -> None:
    platform = shop.platform
    refunded, missing = shop.paid(amount=1000), shop.paid(amount=1000)
    shop.operate(refunded, "refund", amount=400)
    (refund,) = shop.transactions("refund")
    payment_ids = {row.payment_id: row for row in shop.transactions("capture")}
    decisions.close(
        [
            line_of(2, payment_ids[refunded], amount=900),
            line_of(3, refund, amount=-1),
            unknown(4, amount=5000),
        ]
    )
    mine = Decisions(platform, shop.merchant, keys=1000, by_operator=False)
    lines = decisions.lines()
    before = mine.balances()
    for number in (2, 3, 4):
        with pytest.raises(Forbidden, match="paid by the platform; ask an operator"):
            mine.resolve(lines[number], "write_off")
    with pytest.raises(Forbidden, match=r"credit the merchant 3\.99 USD .* ask an operator"):
        mine.resolve(lines[3], "accept")
    reported = mine.bulk({"settlement_id": lines[3].settlement_id, "line": 3, "action": "accept"})
    assert reported["data"][0]["status_code"] == 403
    assert mine.balances() == before
    decisions.resolve(lines[2], "write_off")
    with pytest.raises(Forbidden):
        mine.resolve(lines[2], "undo")
    mine.resolve(lines[4], "accept")
    assert mine.balances().get("receivable USD") == before["receivable USD"] - 841
    decisions.resolve(lines[3], "accept")
    platform.clock.advance(8 * 86_400)
    sweep_missing(dependencies_of_sweep(platform), "sweep")
    (late,) = (row for row in platform.rows(SettlementLine) if row.status is LineStatus.MISSING)
    assert late.payment_id == missing
    mine.resolve(late, "accept")
    assert decisions.balances() == {"receivable USD": 100, "written off USD": -100}
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_transaction_missing_again_on_the_same_day_gets_a_line_of_its_own(
    platform: Platform,
) -> None:
    shop = Shop(platform)
    terms = ReconciliationTerms(sla_days=0)
    shop.merchant = platform.merchant(reconciliation=terms)
    decisions = Decisions(platform, shop.merchant)
    shop.paid(amount=1000)
    assert sweep_missing(dependencies_of_sweep(platform), "sweep").missing == 1
    (capture,) = shop.transactions("capture")
    decisions.close([line_of(2, capture)])
    decisions.close([line_of(2, capture, amount=900)])
    report = sweep_missing(dependencies_of_sweep(platform), "sweep")
    assert (report.missing, report.failed) == (1, 0)
    lines = [row for row in platform.rows(SettlementLine) if row.file_id is None]
    assert sorted(row.status for row in lines) == ["matched", "missing"]


def dependencies_of_sweep(platform: Platform) -> SweepDependencies:
    return SweepDependencies(
        UnsettledRepository(platform.store),
        MerchantRepository(platform.store),
        SettlementLineRepository(platform.store),
        platform.outside,
        lambda: False,
    )
