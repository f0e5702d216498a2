"""Settlement files on real tables: every line judged once, matched ones settled once."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest

from runtime.errors import StaleWrite
from runtime.models.merchant import MerchantProfile
from runtime.models.settlement import LineStatus, Settlement, SettlementLine, SettlementStatus
from runtime.models.settlement_file import FileStatus, SettlementChunk, SettlementFile
from runtime.models.transaction import Transaction
from runtime.models.transfer import Transfer
from runtime.services.reconciliation.messages import handle_message
from tests.support.faults import Fault, Faults, ProcessKilled, at_step, seeded
from tests.support.settlement_fakes import Steps
from tests.support.world import (
    World,
    at_once,
    settlement_file,
    settlement_key,
    settlement_line,
)

CHUNK = 6
"""Lines of a chunk in these tests."""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.domain.settlement_plan.CHUNK_LINES", CHUNK)


def paid(world: World, merchant: MerchantProfile, count: int, **body: Any) -> list[Transaction]:
    """`count` captured payments' transactions, oldest first."""
    known = {row.id for row in world.rows(Transaction)}
    for n in range(count):
        world.pay(merchant, amount=1000 + n, **body)
    return sorted(
        (row for row in world.rows(Transaction) if row.id not in known), key=lambda row: row.id
    )


def copies(world: World, merchant: MerchantProfile, count: int, dice: Random) -> list[Transaction]:
    """`count` transactions made after one that was paid: their captures are not in the books."""
    (template,) = paid(world, merchant, 1)
    made, requests = [], []
    for n in range(count):
        row = template.model_copy(
            update={
                "id": f"{template.id[:-6]}{n:06}",
                "payment_id": f"{template.payment_id[:-6]}{n:06}",
                "amount": dice.randrange(100, 10**9),
                "fee": dice.randrange(1, 100),
                "currency": dice.choice(["USD", "EUR", "JPY"]),
            }
        )
        made.append(row)
        requests.append({"PutRequest": {"Item": world.store.codec.to_item(row)}})
    table = world.tables["transactions"]
    for start in range(0, count, 25):
        world.client.batch_write_item(RequestItems={table: requests[start : start + 25]})
    return made


def put(world: World, merchant: MerchantProfile, lines: list[str], date: str = "2026-03-15") -> str:
    key = settlement_key(merchant, date)
    world.s3.put(key, settlement_file(lines))
    return key


def statuses(world: World) -> list[LineStatus]:
    """Status of each stored line, in the order of the file."""
    rows = sorted(world.rows(SettlementLine), key=lambda row: row.line)
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    return [row.status for row in rows]


def state(world: World, merchant: MerchantProfile) -> Any:
    """What must be the same however it came about: no ids, no times, no versions of files."""

    def mine(model: Any) -> list[Any]:
        return [row for row in world.rows(model) if row.merchant_id == merchant.id]

    lines = sorted(
        (
            row.line,
            row.status,
            row.reason,
            row.amount,
            row.version,
            sorted((b.currency, sorted(b.flows.model_dump().items())) for b in row.bookings),
        )
        for row in mine(SettlementLine)
    )
    settled = sorted(
        (row.amount, row.fee, row.currency, row.status, row.version, row.unsettled_bucket is None)
        for row in mine(Transaction)
    )
    shown = {"status", "counts", "open_exceptions", "totals", "by_type", "lines_done", "date"}
    settlements = sorted(
        str(sorted(row.model_dump(include=shown).items())) for row in mine(Settlement)
    )
    files = sorted(
        (row.status, row.lines, row.chunks, row.chunks_done) for row in mine(SettlementFile)
    )
    chunks = sorted((row.number, row.lines_done, row.done) for row in mine(SettlementChunk))
    balances = {name: amount for name, amount in world.balances().items() if merchant.id in name}
    return lines, settled, settlements, files, chunks, sorted(balances.values())


def test_every_kind_of_line_gets_its_status_and_reason(either_world: World) -> None:
    world = either_world
    shop, other = world.merchant(), world.merchant()
    (ours, short, fee, currency, status, twice) = paid(world, shop, 6)
    (foreign,) = paid(world, other, 1)
    (declined,) = paid(world, shop, 1, payment_method="tok_declined")
    plan = [
        (settlement_line(ours), "matched"),
        (
            settlement_line(short, amount=short.amount - 1, net=short.amount - short.fee - 1),
            "amount_mismatch",
        ),
        (settlement_line(fee, fee=fee.fee + 1, net=fee.amount - fee.fee - 1), "fee_mismatch"),
        (settlement_line(currency, currency="EUR"), "currency_mismatch"),
        (settlement_line(status, status="refunded"), "status_mismatch"),
        (settlement_line(declined, fee=0, net=declined.amount), "status_mismatch"),
        (settlement_line(twice), "matched"),
        (settlement_line(twice), "duplicate"),
        (settlement_line(foreign), "unexpected"),
        ("pay_x,txn_x,settled,10,1,9,USD,,", "unexpected"),
        ("too,few,columns", "invalid"),
        ('"never closed,' + settlement_line(short), "invalid"),
        ("x" * 100_000, "invalid"),
    ]
    file = world.reconcile(put(world, shop, [line for line, _ in plan]))
    assert statuses(world) == [status for _, status in plan]
    assert (file.status, file.lines) == (FileStatus.COMPLETED_WITH_EXCEPTIONS, len(plan))
    (settlement,) = world.rows(Settlement)
    assert settlement.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    assert settlement.counts == Counter(status for _, status in plan)
    total = settlement.totals["USD"]
    assert (total.amount, total.fee) == (ours.amount + twice.amount, ours.fee + twice.fee)
    reasons = {row.line: row.reason for row in world.rows(SettlementLine)}
    assert [line for line, reason in reasons.items() if reason is None] == [2, 8]
    settled = {row.id for row in world.rows(Transaction) if row.status == "settled"}
    assert settled == {ours.id, twice.id}
    world.must_agree()


def test_a_file_of_matched_lines_is_completed_and_takes_clearing_and_fees_to_zero(
    world: World,
) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 2 * CHUNK)
    assert world.balances()["acc_clearing_USD"] == -sum(row.amount for row in mine)
    paid_out = sum(row.amount - row.fee for row in mine)
    payout = f",,settled,{-paid_out},0,{-paid_out},USD,,,payout"
    header = "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,"
    lines = [f"{settlement_line(row)}," for row in mine]
    body = "\n".join([f"{header}settlement_date,type", *lines, payout, ""])
    key = settlement_key(shop)
    world.s3.put(key, body.encode())
    assert world.reconcile(key).status is FileStatus.COMPLETED
    (settlement,) = world.rows(Settlement)
    assert (settlement.remainder, settlement.status) == ({"USD": 0}, SettlementStatus.COMPLETED)
    assert {row.status for row in world.rows(Transaction)} == {"settled"}
    assert set(world.balances().values()) == {0}


def test_the_same_file_again_settles_nothing_again(world: World) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 5)
    lines = [settlement_line(row) for row in mine] + ["broken"]
    key = put(world, shop, lines)
    first = world.reconcile(key)
    rows = (Settlement, SettlementLine, Transaction, Transfer)
    before = [world.rows(model) for model in rows]
    assert world.reconcile(key) == first
    assert [world.rows(model) for model in rows] == before
    put(world, shop, lines)
    second = world.reconcile(key)
    assert second.id != first.id
    assert world.rows(Transaction) == before[2]
    assert world.rows(Transfer) == before[3]
    (settlement,) = world.rows(Settlement)
    assert settlement.counts == {"matched": 5, "invalid": 1}
    assert settlement.added_files == (first.id, second.id)


def test_the_same_transactions_in_another_days_file_are_duplicates(world: World) -> None:
    shop = world.merchant()
    lines = [settlement_line(row) for row in paid(world, shop, 3)]
    world.reconcile(put(world, shop, lines))
    booked = len(world.rows(Transfer))
    file = world.reconcile(put(world, shop, lines, "2026-03-16"))
    assert file.status is FileStatus.COMPLETED_WITH_EXCEPTIONS
    second = [r for r in world.rows(SettlementLine) if r.file_id == file.id]
    assert {row.status for row in second} == {"duplicate"}
    assert len(world.rows(Transfer)) == booked


def mixed(own: list[Transaction]) -> list[str]:
    """Their lines, with a broken one and a repeated one among them."""
    lines = [settlement_line(row) for row in own]
    lines.insert(4, "broken")
    lines.insert(CHUNK + 3, lines[0])
    return lines


def test_killed_at_twenty_random_calls_and_resumed_it_ends_the_same_to_the_unit(
    world: World, dice: Random
) -> None:
    seed = dice.random()

    def shop_with_file() -> tuple[MerchantProfile, str]:
        shop = world.merchant()
        return shop, put(world, shop, mixed(copies(world, shop, 10, Random(seed))))

    shop, key = shop_with_file()
    counted = Faults(lambda *_: None)
    world.reconcile(
        key, world.reconciliation(world.store_on(counted.attach(world.engine.dynamodb())))
    )
    calls = sum(counted.calls.values())
    expected = state(world, shop)
    for _ in range(20):
        shop, key = shop_with_file()
        when = dice.choice([Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
        faults = Faults(at_step(dice.randint(1, calls), when))
        store = world.store_on(faults.attach(world.engine.dynamodb()))
        with pytest.raises(ProcessKilled):
            world.reconcile(key, world.reconciliation(store))
        world.work_queue()
        assert state(world, shop) == expected, faults.injected


def test_a_queue_or_bucket_that_fails_half_way_changes_nothing_of_the_end(world: World) -> None:
    shop = world.merchant()
    key = put(world, shop, mixed(copies(world, shop, 10, Random(1))))
    world.reconcile(key)
    expected = state(world, shop)
    for number in (1, 2, 3, 4, 5):
        shop = world.merchant()
        key = put(world, shop, mixed(copies(world, shop, 10, Random(1))))
        world.s3.steps = world.sqs.steps = Steps(number, after=True)
        with pytest.raises(ProcessKilled):
            world.reconcile(key)
        world.work_queue()
        assert state(world, shop) == expected, f"killed after call {number}"


def test_transient_faults_at_random_change_nothing_of_the_end(world: World, dice: Random) -> None:
    seed = dice.random()
    states = []
    for rate in (0.0, 0.5):
        shop = world.merchant()
        key = put(world, shop, mixed(copies(world, shop, 10, Random(seed))))
        faults = Faults(seeded(str(seed), rate=rate))
        store = world.store_on(faults.attach(world.engine.dynamodb()))
        world.reconcile(key, world.reconciliation(store))
        assert bool(faults.injected) == bool(rate)
        states.append(state(world, shop))
    assert states[0] == states[1]


def test_every_message_twice_at_once_judges_every_line_once(world: World) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 2 * CHUNK)
    key = put(world, shop, mixed(mine))
    world.sqs.waiting.append(f'{{"detail": {{"object": {{"key": "{key}"}}}}}}')
    while world.sqs.waiting:
        body = world.sqs.waiting.popleft()
        results = at_once(*[partial(handle_message, body, "m", world.reconciliation())] * 2)
        assert {type(each) for each in results if each is not None} <= {StaleWrite}
        if any(isinstance(each, StaleWrite) for each in results):
            world.sqs.waiting.append(body)
    (file,) = world.rows(SettlementFile)
    assert file.status is FileStatus.COMPLETED_WITH_EXCEPTIONS
    assert Counter(statuses(world)) == {"matched": 2 * CHUNK, "invalid": 1, "duplicate": 1}
    assert set(world.balances().values()) == {0}


def test_a_transaction_listed_in_two_files_at_once_is_settled_by_one_of_them(
    world: World, dice: Random
) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 16)
    lines = [settlement_line(row) for row in mine]
    keys = [put(world, shop, dice.sample(lines, len(lines)), f"2026-03-{d}") for d in (15, 16)]
    for key in keys:
        world.sqs.waiting.append(f'{{"detail": {{"object": {{"key": "{key}"}}}}}}')
    while world.sqs.waiting:
        bodies = [world.sqs.waiting.popleft() for _ in range(min(4, len(world.sqs.waiting)))]
        results = at_once(
            *[partial(handle_message, body, "m", world.reconciliation()) for body in bodies]
        )
        for body, result in zip(bodies, results, strict=True):
            assert result is None or isinstance(result, StaleWrite), result
            if result is not None:
                world.sqs.waiting.append(body)
    both = world.rows(SettlementLine)
    assert Counter(row.status for row in both) == {"matched": 16, "duplicate": 16}
    matched = [row.transaction_id for row in both if row.status == "matched"]
    assert len(set(matched)) == 16
    assert {row.version for row in world.rows(Transaction)} == {2}
    totals = [row.totals for row in world.rows(Settlement)]
    assert sum(t["USD"].amount for t in totals if t) == sum(row.amount for row in mine)
    assert set(world.balances().values()) == {0}


def test_a_long_file_is_worked_off_in_short_runs_with_totals_of_an_independent_recount(
    world: World, dice: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.domain.settlement_plan.CHUNK_LINES", 100)
    shop = world.merchant(index_buckets=4)
    lines, expected = _some_lines(copies(world, shop, 200, dice), dice)
    world.sqs.waiting.append(f'{{"detail": {{"object": {{"key": "{put(world, shop, lines)}"}}}}}}')
    handle_message(world.sqs.waiting.popleft(), "m", world.reconciliation())
    runs = 0
    while world.sqs.waiting:
        allowance = iter([False])
        dependencies = world.reconciliation(must_stop=lambda a=allowance: next(a, True))
        body = world.sqs.waiting.popleft()
        handle_message(body, "m", dependencies if runs % 2 else world.reconciliation())
        runs += 1
    (file,) = world.rows(SettlementFile)
    assert runs >= file.chunks
    assert statuses(world) == expected
    (settlement,) = world.rows(Settlement)
    assert settlement.counts == Counter(expected)
    recount: dict[str, Counter[str]] = {}
    for text, status in zip(lines, expected, strict=True):
        if status == "matched":
            cells = text.split(",")
            total = recount.setdefault(cells[6], Counter())
            total.update(amount=int(cells[3]), fee=int(cells[4]), net=int(cells[5]))
    assert {c: t.model_dump() for c, t in settlement.totals.items()} == recount
    settled = sum(1 for row in world.rows(Transaction) if row.status == "settled")
    assert settled == expected.count("matched")


def _some_lines(own: list[Transaction], dice: Random) -> tuple[list[str], list[str]]:
    lines: list[str] = []
    expected: list[str] = []
    seen: list[Transaction] = []
    fresh = list(own)
    while len(lines) < 300:
        throw = dice.random()
        if throw < 0.7 and fresh:
            row = fresh.pop()
            seen.append(row)
            lines.append(settlement_line(row))
            expected.append("matched")
        elif throw < 0.8 and seen:
            lines.append(settlement_line(dice.choice(seen)))
            expected.append("duplicate")
        elif throw < 0.92:
            lines.append(f"pay_q{len(lines)},txn_q{len(lines)},settled,10,1,9,USD,,")
            expected.append("unexpected")
        else:
            lines.append("broken")
            expected.append("invalid")
    return lines, expected
