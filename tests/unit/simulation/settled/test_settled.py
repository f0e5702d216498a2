"""Checks of a platform at rest, on handwritten rows."""

from __future__ import annotations

import pytest
from boto3.dynamodb.types import TypeSerializer

from simulation.watch.ledger import LedgerRule
from simulation.watch.settled.books import ledger_faults
from simulation.watch.settled.open_things import open_faults
from simulation.watch.settled.rows import Rows
from simulation.watch.settled.sandbox import sandbox_faults
from simulation.watch.settled.settlements import settlement_faults
from simulation.watch.settled.totals import total_faults
from tests.support.simulation.commits import KEYS

NOW = "2026-03-20T00:00:00.000Z"
_serialize = TypeSerializer().serialize


def rows(**given):
    """Rows by table; omitted tables are empty."""
    tables = {}
    for table, names in KEYS.items():
        stored = tables[table] = {}
        for row in given.get(table, []):
            key = tuple(row.get(name, "00") for name in names)
            item = {name: _serialize(value) for name, value in row.items()}
            stored[key] = item
    return Rows(tables)


def faults(check, *more, **given):
    return list(check(rows(**given), *more))


# -------------------------------------------------------------------- the ledger


def account(name, balance, shard="00"):
    return {"id": name, "shard": shard, "balance": balance, "currency": "USD"}


TRANSFER = {
    "id": "trf_1",
    "operation_id": "trf_1",
    "status": "processed",
    "amount": 5,
    "posted_amount": 5,
    "currency": "USD",
    "legs": [{"from_account_id": "a", "to_account_id": "b", "amount": 5}],
    "folded_accounts": ["a"],
}


def ledger(accounts, rule=None, edited=frozenset()):
    given = {"accounts": accounts, "transfers": [TRANSFER]}
    return faults(ledger_faults, rule or LedgerRule(), edited, **given)


def test_balances_match_the_sum_of_their_transfers():
    assert ledger([account("a", -2), account("a", -3, "01"), account("b", 5)]) == []
    assert len(ledger([account("a", -5), account("b", 4)])) == 1
    assert len(ledger([account("a", -5)])) == 1
    assert ledger([account("a", -5), account("b", 4)], edited={"b"}) == []


def test_unprojected_transfers_and_missing_entries_are_found():
    rule = LedgerRule()
    rule.owed["a", "trf_1"] = -5
    rule.awaited["b#00", "000000000001"] = "whatever"
    found = ledger([account("a", -5), account("b", 5)], rule)
    assert len(found) == 2
    assert "-5 of trf_1" in found[0]


# -------------------------------------------------------------------- open rows


def test_final_rows_and_rows_that_wait_for_a_time_are_not_open():
    settled = {
        "payments": [
            {"id": "pay_1", "status": "succeeded"},
            {
                "id": "pay_2",
                "status": "requires_capture",
                "open_bucket": "x",
                "next_action_at": "2026-03-21T00:00:00.000Z",
            },
        ],
        "transfers": [{"id": "t", "status": "pending", "expires_at": "2026-03-21T00:00:00.000Z"}],
        "idempotency": [{"key": "k", "state": "completed"}],
        "exports": [{"id": "e", "status": "failed"}],
    }
    assert faults(open_faults, NOW, **settled) == []


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("payments", {"id": "p", "status": "unknown", "open_bucket": "x"}),
        ("payments", {"id": "p", "status": "succeeded", "open_bucket": "x"}),
        ("payments", {"id": "p", "status": "requires_capture"}),
        (
            "payments",
            {
                "id": "p",
                "status": "requires_capture",
                "open_bucket": "x",
                "next_action_at": "2026-03-19T00:00:00.000Z",
            },
        ),
        ("transactions", {"id": "t", "status": "pending"}),
        ("transfers", {"id": "t", "status": "pending", "expires_at": "2026-03-19T00:00:00.000Z"}),
        ("idempotency", {"key": "k", "state": "in_progress"}),
        ("exports", {"id": "e", "status": "running"}),
        ("settlement_files", {"id": "f", "status": "processing"}),
    ],
)
def test_an_open_row_is_reported(table, row):
    assert faults(open_faults, NOW, **{table: [row]})


# -------------------------------------------------------------------- totals


PAID = {
    "id": "pay_1",
    "merchant_id": "mer_1",
    "status": "succeeded",
    "currency": "USD",
    "created_at": "2026-03-14T09:00:00.000Z",
    "amount_captured": 100,
    "fee": 3,
}
TOTAL = {"item": "2026-03-14#USD", "captured_count": 1, "captured": 100, "fees": 3}


def test_totals_match_a_recount_over_all_buckets():
    kept = [
        {**TOTAL, "id": "mer_1#000", "count_succeeded": 1},
        {**TOTAL, "id": "mer_1#001", "count_succeeded": 1, "captured": 50},
        {"id": "mer_1", "item": "moves"},
        {"id": "pay_1", "item": "counted"},
    ]
    payments = [
        PAID,
        {**PAID, "id": "pay_2", "amount_captured": 50},
        {**PAID, "id": "pay_3", "status": "processing"},
    ]
    assert faults(total_faults, set(), totals=kept, payments=payments) == []
    assert len(faults(total_faults, set(), totals=kept, payments=[PAID])) == 1
    assert len(faults(total_faults, set(), totals=[], payments=[PAID])) == 1
    assert faults(total_faults, {"pay_1"}, totals=[], payments=[PAID]) == []


# -------------------------------------------------------------------- the sandbox


def charged(**more):
    return {
        "id": "pay_1",
        "processor": "sandbox",
        "charge_id": "ch_1",
        "amount": 100,
        "currency": "USD",
        "amount_captured": 100,
        "status": "succeeded",
        **more,
    }


def at_sandbox(reference="pay_1", **more):
    row = {"reference": reference, "state": "approved", "amount": 100, "currency": "USD"}
    return {**row, "capturable": 0, "refundable": 100, **more}


def refund(**more):
    row = {"id": "txn_r", "payment_id": "pay_1", "type": "refund", "amount": 40}
    return {**row, "status": "succeeded", **more}


def test_our_rows_and_the_sandbox_agree():
    agreed = {
        "payments": [charged(amount_refunded=40)],
        "transactions": [
            {"id": "txn_1", "payment_id": "pay_1", "type": "capture", "status": "settled"},
            refund(),
        ],
        "sandbox_charges": [
            at_sandbox(refundable=60),
            at_sandbox("txn_r", kind="refund", amount=40),
            at_sandbox("pay_9", state="declined"),
        ],
    }
    assert faults(sandbox_faults, **agreed) == []


DISAGREEMENTS = {
    "charged there and not here": {"sandbox_charges": [at_sandbox()]},
    "charged here and not there": {"payments": [charged()]},
    "another amount": {"payments": [charged()], "sandbox_charges": [at_sandbox(amount=99)]},
    "more is refundable there": {
        "payments": [charged()],
        "sandbox_charges": [at_sandbox(refundable=120)],
    },
    "refunded there and not here": {
        "payments": [charged()],
        "sandbox_charges": [at_sandbox(), at_sandbox("txn_r", kind="refund", amount=40)],
    },
    "refunded here and declined there": {
        "payments": [charged()],
        "transactions": [refund()],
        "sandbox_charges": [
            at_sandbox(),
            at_sandbox("txn_r", kind="refund", amount=40, state="declined"),
        ],
    },
    "another amount refunded": {
        "payments": [charged()],
        "transactions": [refund(amount=41)],
        "sandbox_charges": [at_sandbox(), at_sandbox("txn_r", kind="refund", amount=40)],
    },
    "done here without a request": {
        "payments": [charged()],
        "transactions": [refund(), refund(id="txn_s")],
        "sandbox_charges": [at_sandbox()],
    },
}


@pytest.mark.parametrize("given", DISAGREEMENTS.values(), ids=DISAGREEMENTS)
def test_a_disagreement_with_the_sandbox_is_reported(given):
    assert len(faults(sandbox_faults, **given)) == 1


# -------------------------------------------------------------------- settlements


def usd(net, fee=0):
    return {"currency": "USD", "amount": net + fee, "fee": fee, "net": net}


def settled(**changes):
    posting = {
        **TRANSFER,
        "settlement_id": "set_1",
        "legs": [
            {
                "from_account_id": "acc_receivable_m_USD",
                "to_account_id": "acc_clearing_USD",
                "amount": 97,
            },
            {
                "from_account_id": "acc_fees_USD",
                "to_account_id": "acc_clearing_USD",
                "amount": 3,
            },
        ],
    }
    booking = {"transfer_id": "trf_1", "currency": "USD", "flows": {"net": 97, "fee": 3}}
    capture = {"type": "capture", **usd(97, 3)}
    line = {"settlement_bucket": "set_1#0", "settlement_id": "set_1", "merchant_id": "m"}
    given = {
        "settlements": [
            {
                "id": "set_1",
                "status": "completed_with_exceptions",
                "counts": {"matched": 1, "unexpected": 1, "amount_mismatch": 1, "superseded": 1},
                "open_exceptions": 2,
                "totals": {"USD": {"amount": 100, "fee": 3, "net": 97}},
                "by_type": {
                    "capture": {"USD": {"amount": 100, "fee": 3, "net": 97, "count": 1}},
                    "refund": {"USD": {"amount": -7, "fee": 0, "net": -7, "count": 1}},
                    "payout": {"USD": {"amount": -92, "fee": 0, "net": -92, "count": 1}},
                },
                "payout": {"USD": 92},
                "remainder": {"USD": 2},
            }
        ],
        "settlement_lines": [
            {**line, **capture, "line": 2, "status": "matched", "bookings": [booking]},
            {**line, "line": 3, "status": "unexpected", "type": "refund", **usd(-7)},
            {**line, "line": 4, "status": "amount_mismatch", "type": "payout", **usd(-92)},
            {**line, **capture, "line": 5, "status": "superseded"},
        ],
        "transfers": [posting],
        "settlement_files": [{"id": "f", "status": "completed", "lines": 2}],
        "settlement_chunks": [{"id": "f#000000", "file_id": "f", "lines_done": 2}],
    }
    return {**given, **changes}


def test_a_settlement_is_the_sum_of_its_lines():
    assert faults(settlement_faults, **settled()) == []


@pytest.mark.parametrize(
    ("changes", "many"),
    [
        ({"settlement_lines": []}, 8),
        ({"transfers": []}, 1),
        ({"settlements": []}, 1),
        ({"settlement_chunks": []}, 1),
        ({"settlements": [{"id": "set_1", "status": "completed", "counts": {}}]}, 7),
    ],
)
def test_a_settlement_that_differs_from_its_lines_is_found(changes, many):
    assert len(faults(settlement_faults, **settled(**changes))) == many
