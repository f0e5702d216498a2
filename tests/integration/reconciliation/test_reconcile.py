"""Settlement files on real tables: every line evaluated once, matched ones settled once."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest

from runtime.core.errors import StaleWrite
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.models import MerchantProfile
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.files.models import FileStatus, SettlementChunk, SettlementFile
from runtime.reconciliation.messages import handle_message
from runtime.reconciliation.settlements.models import (
    LineStatus,
    Settlement,
    SettlementLine,
    SettlementStatus,
)
from tests.support.engines.faults import Fault, Faults, ProcessKilled, at_step, seeded
from tests.support.platform import (
    Platform,
    at_once,
    settlement_file,
    settlement_key,
    settlement_line,
)
from tests.support.reconciliation.fakes import Steps

CHUNK = 6
"""Lines of a chunk in these tests."""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.reconciliation.files.plan.CHUNK_LINES", CHUNK)


def paid(
    platform: Platform, merchant: MerchantProfile, count: int, **body: Any
) -> list[Transaction]:
    """`count` captured payments' transactions, oldest first."""
    known = {row.id for row in platform.rows(Transaction)}
    for n in range(count):
        platform.pay(merchant, amount=1000 + n, **body)
    return sorted(
        (row for row in platform.rows(Transaction) if row.id not in known), key=lambda row: row.id
    )


def copies(
    platform: Platform, merchant: MerchantProfile, count: int, dice: Random
) -> list[Transaction]:
    """`count` transactions made after one that was paid: their captures are not booked."""
    (template,) = paid(platform, merchant, 1)
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
        requests.append({"PutRequest": {"Item": platform.store.codec.to_item(row)}})
    table = platform.tables["transactions"]
    for start in range(0, count, 25):
        platform.client.batch_write_item(RequestItems={table: requests[start : start + 25]})
    return made


def put(
    platform: Platform, merchant: MerchantProfile, lines: list[str], date: str = "2026-03-15"
) -> str:
    key = settlement_key(merchant, date)
    platform.s3.put(key, settlement_file(lines))
    return key


def statuses(platform: Platform) -> list[LineStatus]:
    """Status of each stored line, in the order of the file."""
    rows = sorted(platform.rows(SettlementLine), key=lambda row: row.line)
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    return [row.status for row in rows]


def state(platform: Platform, merchant: MerchantProfile) -> Any:
    """What must be the same in every run: no ids, no times, no versions of files."""

    def mine(model: Any) -> list[Any]:
        return [row for row in platform.rows(model) if row.merchant_id == merchant.id]

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
    balances = {name: amount for name, amount in platform.balances().items() if merchant.id in name}
    return lines, settled, settlements, files, chunks, sorted(balances.values())


def test_every_kind_of_line_gets_its_status_and_reason(either_world: Platform) -> None:
    platform = either_world
    shop, other = platform.merchant(), platform.merchant()
    (ours, short, fee, currency, status, twice) = paid(platform, shop, 6)
    (foreign,) = paid(platform, other, 1)
    (declined,) = paid(platform, shop, 1, payment_method="tok_declined")
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
    file = platform.reconcile(put(platform, shop, [line for line, _ in plan]))
    assert statuses(platform) == [status for _, status in plan]
    assert (file.status, file.lines) == (FileStatus.COMPLETED_WITH_EXCEPTIONS, len(plan))
    (settlement,) = platform.rows(Settlement)
    assert settlement.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    assert settlement.counts == Counter(status for _, status in plan)
    total = settlement.totals["USD"]
    assert (total.amount, total.fee) == (ours.amount + twice.amount, ours.fee + twice.fee)
    reasons = {row.line: row.reason for row in platform.rows(SettlementLine)}
    assert [line for line, reason in reasons.items() if reason is None] == [2, 8]
    settled = {row.id for row in platform.rows(Transaction) if row.status == "settled"}
    assert settled == {ours.id, twice.id}
    platform.must_agree()


def test_a_file_of_matched_lines_is_completed_and_takes_clearing_and_fees_to_zero(
    platform: Platform,
) -> None:
    shop = platform.merchant()
    mine = paid(platform, shop, 2 * CHUNK)
    assert platform.balances()["acc_clearing_USD"] == -sum(row.amount for row in mine)
    paid_out = sum(row.amount - row.fee for row in mine)
    payout = f",,settled,{-paid_out},0,{-paid_out},USD,,,payout"
    header = "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,"
    lines = [f"{settlement_line(row)}," for row in mine]
    body = "\n".join([f"{header}settlement_date,type", *lines, payout, ""])
    key = settlement_key(shop)
    platform.s3.put(key, body.encode())
    assert platform.reconcile(key).status is FileStatus.COMPLETED
    (settlement,) = platform.rows(Settlement)
    assert (settlement.remainder, settlement.status) == ({"USD": 0}, SettlementStatus.COMPLETED)
    assert {row.status for row in platform.rows(Transaction)} == {"settled"}
    assert set(platform.balances().values()) == {0}


def test_a_repeated_file_settles_nothing_again(platform: Platform) -> None:
    shop = platform.merchant()
    mine = paid(platform, shop, 5)
    lines = [settlement_line(row) for row in mine] + ["broken"]
    key = put(platform, shop, lines)
    first = platform.reconcile(key)
    rows = (Settlement, SettlementLine, Transaction, Transfer)
    before = [platform.rows(model) for model in rows]
    assert platform.reconcile(key) == first
    assert [platform.rows(model) for model in rows] == before
    put(platform, shop, lines)
    second = platform.reconcile(key)
    assert second.id != first.id
    assert platform.rows(Transaction) == before[2]
    assert platform.rows(Transfer) == before[3]
    (settlement,) = platform.rows(Settlement)
    assert settlement.counts == {"matched": 5, "invalid": 1}
    assert settlement.added_files == (first.id, second.id)


def test_the_same_transactions_in_another_days_file_are_duplicates(platform: Platform) -> None:
    shop = platform.merchant()
    lines = [settlement_line(row) for row in paid(platform, shop, 3)]
    platform.reconcile(put(platform, shop, lines))
    booked = len(platform.rows(Transfer))
    file = platform.reconcile(put(platform, shop, lines, "2026-03-16"))
    assert file.status is FileStatus.COMPLETED_WITH_EXCEPTIONS
    second = [r for r in platform.rows(SettlementLine) if r.file_id == file.id]
    assert {row.status for row in second} == {"duplicate"}
    assert len(platform.rows(Transfer)) == booked


def mixed(own: list[Transaction]) -> list[str]:
    """Their lines, including an unreadable one and a repeated one."""
    lines = [settlement_line(row) for row in own]
    lines.insert(4, "broken")
    lines.insert(CHUNK + 3, lines[0])
    return lines


def test_processing_killed_at_twenty_random_calls_gives_the_same_result(
    platform: Platform, dice: Random
) -> None:
    seed = dice.random()

    def shop_with_file() -> tuple[MerchantProfile, str]:
        shop = platform.merchant()
        return shop, put(platform, shop, mixed(copies(platform, shop, 10, Random(seed))))

    shop, key = shop_with_file()
    counted = Faults(lambda *_: None)
    platform.reconcile(
        key, platform.reconciliation(platform.store_on(counted.attach(platform.engine.dynamodb())))
    )
    calls = sum(counted.calls.values())
    expected = state(platform, shop)
    for _ in range(20):
        shop, key = shop_with_file()
        when = dice.choice([Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
        faults = Faults(at_step(dice.randint(1, calls), when))
        store = platform.store_on(faults.attach(platform.engine.dynamodb()))
        with pytest.raises(ProcessKilled):
            platform.reconcile(key, platform.reconciliation(store))
        platform.work_queue()
        assert state(platform, shop) == expected, faults.injected


def test_a_queue_or_bucket_failing_half_way_does_not_change_the_result(
    platform: Platform,
) -> None:
    shop = platform.merchant()
    key = put(platform, shop, mixed(copies(platform, shop, 10, Random(1))))
    platform.reconcile(key)
    expected = state(platform, shop)
    for number in (1, 2, 3, 4, 5):
        shop = platform.merchant()
        key = put(platform, shop, mixed(copies(platform, shop, 10, Random(1))))
        platform.s3.steps = platform.sqs.steps = Steps(number, after=True)
        with pytest.raises(ProcessKilled):
            platform.reconcile(key)
        platform.work_queue()
        assert state(platform, shop) == expected, f"killed after call {number}"


def test_random_transient_faults_do_not_change_the_result(platform: Platform, dice: Random) -> None:
    seed = dice.random()
    states = []
    for rate in (0.0, 0.5):
        shop = platform.merchant()
        key = put(platform, shop, mixed(copies(platform, shop, 10, Random(seed))))
        faults = Faults(seeded(str(seed), rate=rate))
        store = platform.store_on(faults.attach(platform.engine.dynamodb()))
        platform.reconcile(key, platform.reconciliation(store))
        assert bool(faults.injected) == bool(rate)
        states.append(state(platform, shop))
    assert states[0] == states[1]


def test_every_message_twice_concurrently_evaluates_every_line_once(platform: Platform) -> None:
    shop = platform.merchant()
    mine = paid(platform, shop, 2 * CHUNK)
    key = put(platform, shop, mixed(mine))
    platform.sqs.waiting.append(f'{{"detail": {{"object": {{"key": "{key}"}}}}}}')
    while platform.sqs.waiting:
        body = platform.sqs.waiting.popleft()
        results = at_once(*[partial(handle_message, body, "m", platform.reconciliation())] * 2)
        assert {type(each) for each in results if each is not None} <= {StaleWrite}
        if any(isinstance(each, StaleWrite) for each in results):
            platform.sqs.waiting.append(body)
    (file,) = platform.rows(SettlementFile)
    assert file.status is FileStatus.COMPLETED_WITH_EXCEPTIONS
    assert Counter(statuses(platform)) == {"matched": 2 * CHUNK, "invalid": 1, "duplicate": 1}
    assert set(platform.balances().values()) == {0}


def test_a_transaction_in_two_concurrent_files_is_settled_by_one_of_them(
    platform: Platform, dice: Random
) -> None:
    shop = platform.merchant()
    mine = paid(platform, shop, 16)
    lines = [settlement_line(row) for row in mine]
    keys = [put(platform, shop, dice.sample(lines, len(lines)), f"2026-03-{d}") for d in (15, 16)]
    for key in keys:
        platform.sqs.waiting.append(f'{{"detail": {{"object": {{"key": "{key}"}}}}}}')
    while platform.sqs.waiting:
        bodies = [platform.sqs.waiting.popleft() for _ in range(min(4, len(platform.sqs.waiting)))]
        results = at_once(
            *[partial(handle_message, body, "m", platform.reconciliation()) for body in bodies]
        )
        for body, result in zip(bodies, results, strict=True):
            assert result is None or isinstance(result, StaleWrite), result
            if result is not None:
                platform.sqs.waiting.append(body)
    both = platform.rows(SettlementLine)
    assert Counter(row.status for row in both) == {"matched": 16, "duplicate": 16}
    matched = [row.transaction_id for row in both if row.status == "matched"]
    assert len(set(matched)) == 16
    assert {row.version for row in platform.rows(Transaction)} == {2}
    totals = [row.totals for row in platform.rows(Settlement)]
    assert sum(t["USD"].amount for t in totals if t) == sum(row.amount for row in mine)
    assert set(platform.balances().values()) == {0}


def test_a_long_file_is_processed_in_short_runs_with_correct_totals(
    platform: Platform, dice: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.reconciliation.files.plan.CHUNK_LINES", 100)
    shop = platform.merchant(index_buckets=4)
    lines, expected = _some_lines(copies(platform, shop, 200, dice), dice)
    platform.sqs.waiting.append(
        f'{{"detail": {{"object": {{"key": "{put(platform, shop, lines)}"}}}}}}'
    )
    handle_message(platform.sqs.waiting.popleft(), "m", platform.reconciliation())
    runs = 0
    while platform.sqs.waiting:
        allowance = iter([False])
        dependencies = platform.reconciliation(must_stop=lambda a=allowance: next(a, True))
        body = platform.sqs.waiting.popleft()
        handle_message(body, "m", dependencies if runs % 2 else platform.reconciliation())
        runs += 1
    (file,) = platform.rows(SettlementFile)
    assert runs >= file.chunks
    assert statuses(platform) == expected
    (settlement,) = platform.rows(Settlement)
    assert settlement.counts == Counter(expected)
    recount: dict[str, Counter[str]] = {}
    for text, status in zip(lines, expected, strict=True):
        if status == "matched":
            cells = text.split(",")
            total = recount.setdefault(cells[6], Counter())
            total.update(amount=int(cells[3]), fee=int(cells[4]), net=int(cells[5]))
    assert {c: t.model_dump() for c, t in settlement.totals.items()} == recount
    settled = sum(1 for row in platform.rows(Transaction) if row.status == "settled")
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
