"""Settlement files: every line judged once, matched ones settled once, whatever happens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from runtime.domain.settlement import HEADER
from runtime.errors import StaleWrite
from runtime.models.merchant import MerchantProfile
from runtime.models.settlement import LineStatus, Settlement, SettlementLine, SettlementStatus
from runtime.models.transaction import Transaction
from runtime.models.transfer import Transfer
from runtime.services.reconciliation.file_run import CHUNK_LINES, UnusableFile
from tests.support.faults import Fault, Faults, ProcessKilled, at_commit, seeded
from tests.support.world import (
    World,
    at_once,
    settlement_file,
    settlement_key,
    settlement_line,
)


def paid(world: World, merchant: MerchantProfile, count: int, **body: Any) -> list[Transaction]:
    """`count` captured payments' transactions, oldest first."""
    known = {row.id for row in world.rows(Transaction)}
    for n in range(count):
        world.pay(merchant, amount=1000 + n, **body)
    return sorted(
        (row for row in world.rows(Transaction) if row.id not in known), key=lambda row: row.id
    )


def put(world: World, merchant: MerchantProfile, lines: list[str], date: str = "2026-03-15") -> str:
    key = settlement_key(merchant, date)
    world.s3.objects[key] = settlement_file(lines)
    return key


def statuses(world: World) -> list[LineStatus]:
    """Status of each stored line, in the order of the file."""
    rows = sorted(world.rows(SettlementLine), key=lambda row: row.line)
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    return [row.status for row in rows]


def end_state(world: World) -> Any:
    """What must be the same however the run was interrupted: no ids, no times, no versions."""
    lines = sorted(
        (row.settlement_id, row.line, row.status, row.reason, row.transaction_id, row.amount)
        for row in world.rows(SettlementLine)
    )
    settled = sorted(
        (row.id, row.status, row.settlement_id, len(row.audit_trail), row.unsettled_bucket or "")
        for row in world.rows(Transaction)
    )
    (settlement,) = world.rows(Settlement)
    shown = settlement.model_dump(include={"id", "status", "counts", "totals", "lines_done"})
    return lines, settled, shown, world.balances()


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
        (settlement_line(ours, payment_id="pay_other"), "unexpected"),
        ("pay_x,txn_x,settled,10,1,9,USD,,", "unexpected"),
        (settlement_line(short, net=1), "invalid"),
        ("too,few,columns", "invalid"),
        (settlement_line(short, amount="10.5"), "invalid"),
        (settlement_line(short, amount=""), "invalid"),
        (settlement_line(short, currency="XXX"), "invalid"),
        ('"never closed,' + settlement_line(short), "invalid"),
    ]
    key = put(world, shop, [line for line, _ in plan])
    report = world.reconcile(key)
    assert statuses(world) == [status for _, status in plan]
    assert (report.finished, report.lines) == (True, len(plan))
    (settlement,) = world.rows(Settlement)
    assert settlement.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    assert settlement.counts == Counter(status for _, status in plan)
    total = settlement.totals["USD"]
    assert (total.amount, total.fee) == (ours.amount + twice.amount, ours.fee + twice.fee)
    assert total.net == total.amount - total.fee
    reasons = {row.line: row.reason for row in world.rows(SettlementLine)}
    assert [line for line, reason in reasons.items() if reason is None] == [2, 8]
    assert f"expected amount {short.amount}" in (reasons[3] or "")
    settled = {row.id for row in world.rows(Transaction) if row.status == "settled"}
    assert settled == {ours.id, twice.id}
    world.must_agree()


def test_a_file_of_matched_lines_is_completed_and_takes_clearing_and_fees_to_zero(
    world: World,
) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 40)
    assert world.balances()["acc_clearing_USD"] == -sum(row.amount for row in mine)
    report = world.reconcile(put(world, shop, [settlement_line(row) for row in mine]))
    assert report.status is SettlementStatus.COMPLETED
    assert {row.status for row in world.rows(Transaction)} == {"settled"}
    assert set(world.balances().values()) == {0}
    (row, *_) = world.rows(Transaction)
    assert (row.unsettled_bucket, row.settlement_id) == (None, report.settlement_id)
    assert [step.status for step in row.audit_trail] == ["succeeded", "settled"]


def test_the_same_file_twice_changes_nothing(world: World) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 5)
    key = put(world, shop, [settlement_line(row) for row in mine] + ["broken"])
    first = world.reconcile(key)
    before = [world.rows(model) for model in (Settlement, SettlementLine, Transaction, Transfer)]
    assert world.reconcile(key) == first
    after = [world.rows(model) for model in (Settlement, SettlementLine, Transaction, Transfer)]
    assert after == before


def test_the_same_transactions_in_another_days_file_are_duplicates(world: World) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 3)
    lines = [settlement_line(row) for row in mine]
    world.reconcile(put(world, shop, lines))
    booked = len(world.rows(Transfer))
    report = world.reconcile(put(world, shop, lines, "2026-03-16"))
    assert report.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    second = [r for r in world.rows(SettlementLine) if r.settlement_id == report.settlement_id]
    assert {row.status for row in second} == {"duplicate"}
    assert len(world.rows(Transfer)) == booked


def _several_chunks(world: World, shop: MerchantProfile) -> str:
    mine = paid(world, shop, 2 * CHUNK_LINES + 5)
    lines = [settlement_line(row) for row in mine]
    lines.insert(10, "broken")
    lines.insert(CHUNK_LINES + 3, lines[0])
    return put(world, shop, lines)


@pytest.mark.parametrize("when", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
def test_a_crash_at_any_commit_and_a_redelivery_end_like_an_uninterrupted_run(
    world: World, when: Fault
) -> None:
    shop = world.merchant()
    key = _several_chunks(world, shop)
    settled = world.rows(Transaction)
    expected = None
    for commit in range(6):  # 0: no crash; open, three chunks and the end are five commits
        crashed = 0
        if commit:
            faults = Faults(at_commit(commit, when))
            store = world.store_on(faults.attach(world.engine.dynamodb()))
            with pytest.raises(ProcessKilled):
                world.reconcile(key, world.reconciliation(store))
            crashed = len(faults.injected)
        report = world.reconcile(key)
        assert report.finished
        assert crashed == (1 if commit else 0)
        expected = expected or end_state(world)
        assert end_state(world) == expected
        _forget_settling(world, settled)
    assert expected is not None
    assert expected[2]["counts"] == {"matched": 2 * CHUNK_LINES + 5, "invalid": 1, "duplicate": 1}


def _forget_settling(world: World, before: list[Transaction]) -> None:
    for model, keep in ((Settlement, None), (SettlementLine, None), (Transfer, "settlement_id")):
        schema = model.table_schema
        for row in world.rows(model):
            if keep is None or getattr(row, keep) is not None:
                item = world.store.codec.to_item(row)
                key = {name: item[name] for name in schema.key_names}
                world.client.delete_item(TableName=world.tables[schema.name], Key=key)
    for row in before:
        world.client.put_item(
            TableName=world.tables["transactions"], Item=world.store.codec.to_item(row)
        )


def test_transient_faults_at_random_change_nothing_of_the_end_state(
    world: World, dice: Random
) -> None:
    shop = world.merchant()
    key = _several_chunks(world, shop)
    before = world.rows(Transaction)
    world.reconcile(key)
    expected = end_state(world)
    _forget_settling(world, before)
    faults = Faults(seeded(str(dice.random()), rate=0.75))
    store = world.store_on(faults.attach(world.engine.dynamodb()))
    world.reconcile(key, world.reconciliation(store))
    assert faults.injected
    assert end_state(world) == expected


def test_two_runs_over_one_file_at_once_judge_every_line_once(world: World) -> None:
    shop = world.merchant()
    key = _several_chunks(world, shop)
    results = at_once(*[lambda: world.reconcile(key)] * 4)
    assert {type(each) for each in results if isinstance(each, Exception)} <= {StaleWrite}
    assert world.reconcile(key).finished
    assert Counter(statuses(world)) == {
        "matched": 2 * CHUNK_LINES + 5,
        "invalid": 1,
        "duplicate": 1,
    }
    assert set(world.balances().values()) == {0}


def test_a_transaction_listed_in_two_files_at_once_is_settled_by_one_of_them(
    world: World, dice: Random
) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 70)
    lines = [settlement_line(row) for row in mine]
    keys = [put(world, shop, dice.sample(lines, len(lines)), f"2026-03-{d}") for d in (15, 16)]
    at_once(*[lambda k=key: _until_done(world, k) for key in keys])
    both = world.rows(SettlementLine)
    assert Counter(row.status for row in both) == {"matched": 70, "duplicate": 70}
    matched = [row.transaction_id for row in both if row.status == "matched"]
    assert len(set(matched)) == 70
    assert {row.version for row in world.rows(Transaction)} == {2}
    totals = [row.totals for row in world.rows(Settlement)]
    assert sum(t["USD"].amount for t in totals if t) == sum(row.amount for row in mine)
    assert set(world.balances().values()) == {0}


def _until_done(world: World, key: str) -> None:
    for _ in range(20):
        try:
            if world.reconcile(key).finished:
                return
        except StaleWrite:
            continue
    raise AssertionError("never done")


def test_a_file_replaced_between_the_two_reads_is_refused_and_then_read_as_new(
    world: World,
) -> None:
    shop = world.merchant()
    one, other = paid(world, shop, 2)
    key = put(world, shop, [settlement_line(one)])
    replaced: list[str] = []

    def replace(read: str) -> None:
        if not replaced:
            replaced.append(read)
            world.s3.objects[key] = settlement_file([settlement_line(other)])

    world.s3.on_read = replace
    with pytest.raises(ClientError, match="PreconditionFailed"):
        world.reconcile(key)
    assert world.rows(SettlementLine) == []
    report = world.reconcile(key)
    assert report.status is SettlementStatus.COMPLETED
    settled = {row.id for row in world.rows(Transaction) if row.status == "settled"}
    assert settled == {other.id}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"payment_id,transaction_id\nx,y\n",
        b"\xff\xfe\x00garbage",
        ",".join(HEADER[::-1]).encode() + b"\n",
        b"a" * 10_000,
    ],
    ids=["empty", "blank", "short", "binary", "reversed", "endless"],
)
def test_a_file_with_another_header_is_rejected_with_the_reason_and_nothing_is_booked(
    world: World, body: bytes
) -> None:
    shop = world.merchant()
    paid(world, shop, 1)
    key = settlement_key(shop)
    world.s3.objects[key] = body
    report = world.reconcile(key)
    (settlement,) = world.rows(Settlement)
    assert report.status is settlement.status is SettlementStatus.REJECTED
    assert "expected payment_id,transaction_id,status" in (settlement.rejection_reason or "")
    assert world.rows(SettlementLine) == []
    assert world.reconcile(key) == report


DRESSES: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda body: body.replace(b"\n", b"\r\n"),
    "BOM": lambda body: b"\xef\xbb\xbf" + body,
    "blank lines": lambda body: body.replace(b"\n", b"\n\n  \n"),
    "no newline at the end": lambda body: body.rstrip(b"\n"),
    "quotes": lambda body: body.replace(b",settled,", b',"settled",'),
    "spaces": lambda body: body.replace(b",", b" , "),
    "capitals in the header": lambda body: body.replace(b"payment_id", b"Payment_ID"),
}


@pytest.mark.parametrize("dress", list(DRESSES))
def test_the_same_lines_in_another_dress_are_matched(world: World, dress: str) -> None:
    shop = world.merchant()
    mine = paid(world, shop, 3)
    key = put(world, shop, [settlement_line(row) for row in mine])
    world.s3.objects[key] = DRESSES[dress](world.s3.objects[key])
    assert world.reconcile(key).status is SettlementStatus.COMPLETED
    assert statuses(world) == ["matched"] * 3


def test_unreadable_lines_are_invalid_with_their_number_and_never_stop_the_others(
    world: World,
) -> None:
    shop = world.merchant()
    one, other = paid(world, shop, 2)
    body = settlement_file([settlement_line(one), "LONG", "BYTES", settlement_line(other)])
    body = body.replace(b"LONG", b"x" * 100_000).replace(b"BYTES", b"\xff\xfe\x00,\xc3(,")
    key = settlement_key(shop)
    world.s3.objects[key] = body
    world.reconcile(key)
    assert statuses(world) == ["matched", "invalid", "invalid", "matched"]
    reasons = {row.line: row.reason for row in world.rows(SettlementLine)}
    assert reasons[3] == "longer than 4096 bytes"
    assert "columns" in (reasons[4] or "")


def test_numbers_in_other_scripts_are_no_amounts(world: World) -> None:
    shop = world.merchant()
    (mine,) = paid(world, shop, 1)
    arabic = "".join(chr(0x0660 + int(digit)) for digit in str(mine.amount))
    world.reconcile(put(world, shop, [settlement_line(mine, amount=arabic)]))
    assert statuses(world) == ["invalid"]


@pytest.mark.parametrize(
    "key",
    [
        "reconciliation/mer_00000000000000000000000000/2026-03-15.csv",
        "reconciliation/{id}/2026-13-45.csv",
        "reconciliation/{id}/2026-3-5.csv",
        "reconciliation/{id}/2026-03-15.csv.bak",
        "elsewhere/{id}/2026-03-15.csv",
    ],
)
def test_a_name_of_no_merchant_and_day_is_unusable(world: World, key: str) -> None:
    name = key.format(id=world.merchant().id)
    world.s3.objects[name] = settlement_file([])
    with pytest.raises(UnusableFile):
        world.reconcile(name)
    assert world.rows(Settlement) == []


def test_a_long_file_is_worked_off_in_many_short_runs_with_totals_of_an_independent_recount(
    world: World, dice: Random
) -> None:
    shop = world.merchant(index_buckets=4)
    template = paid(world, shop, 1)[0]
    own = _many_transactions(world, template, 1_500, dice)
    lines, expected = _two_thousand_lines(own, dice)
    key = put(world, shop, lines)
    runs = 0
    finished = False
    while not finished:
        allowance = iter([False] * 9)
        desk = world.reconciliation(must_stop=lambda a=allowance: next(a, True))
        finished = world.reconcile(key, desk).finished
        runs += 1
        assert runs < 20
    assert runs == 2_000 // CHUNK_LINES // 9 + 1
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


def _many_transactions(
    world: World, template: Transaction, count: int, dice: Random
) -> list[Transaction]:
    made = []
    requests = []
    for n in range(count):
        row = template.model_copy(
            update={
                "id": f"{template.id[:-6]}{n:06}",
                "payment_id": f"pay_{n:06}",
                "amount": dice.randrange(100, 10**9),
                "fee": dice.randrange(0, 100),
                "currency": dice.choice(["USD", "EUR", "JPY"]),
            }
        )
        made.append(row)
        requests.append({"PutRequest": {"Item": world.store.codec.to_item(row)}})
    table = world.tables["transactions"]
    for start in range(0, count, 25):
        world.client.batch_write_item(RequestItems={table: requests[start : start + 25]})
    return made


def _two_thousand_lines(own: list[Transaction], dice: Random) -> tuple[list[str], list[str]]:
    lines: list[str] = []
    expected: list[str] = []
    seen: list[Transaction] = []
    fresh = list(own)
    while len(lines) < 2_000:
        throw = dice.random()
        if throw < 0.7 and fresh:
            row = fresh.pop()
            seen.append(row)
            lines.append(settlement_line(row))
            expected.append("matched")
        elif throw < 0.8 and seen:
            lines.append(settlement_line(dice.choice(seen)))
            expected.append("duplicate")
        elif throw < 0.85 and fresh:
            row = dice.choice(fresh)
            lines.append(settlement_line(row, fee=row.fee + 1, net=row.amount - row.fee - 1))
            expected.append("fee_mismatch")
        elif throw < 0.92:
            lines.append(f"pay_q{len(lines)},txn_q{len(lines)},settled,10,1,9,USD,,")
            expected.append("unexpected")
        else:
            lines.append("broken")
            expected.append("invalid")
    return lines, expected


def test_a_continuation_repeats_the_very_message_that_came() -> None:
    message = {"detail": {"object": {"key": "reconciliation/x/2026-03-15.csv"}}}
    from tests.support.fakes import FakeSqs  # noqa: PLC0415

    sqs = FakeSqs()
    from runtime.gateways.settlement_files import SettlementFiles  # noqa: PLC0415

    files = SettlementFiles(None, sqs, "bucket", "queue")  # type: ignore[arg-type]
    files.ask_to_continue(json.dumps(message))
    assert [json.loads(each) for each in sqs.sent] == [message]
