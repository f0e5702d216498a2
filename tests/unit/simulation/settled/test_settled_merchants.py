"""Checks at rest of ownership: merchants, currencies, fees."""

from __future__ import annotations

from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from simulation.platform.history import Exchange
from simulation.platform.http import OPERATOR, HttpRequest, HttpResponse, token
from simulation.watch.settled.currencies import currency_faults
from simulation.watch.settled.fees import fee_faults
from simulation.watch.settled.rows import Rows
from simulation.watch.settled.tenants import tenant_faults
from tests.support.simulation.commits import KEYS

_serialize = TypeSerializer().serialize
THEIRS = "pay_01KKNS5TM4YPCVMFVNE4BR1BWH"
OURS = "pay_01KKNS5TM4YPCVMFVNE4BR1BWJ"


def rows(**given: Any) -> Rows:
    """Rows by table; omitted tables are empty."""
    tables: dict[str, dict[Any, Any]] = {}
    for table, names in KEYS.items():
        stored = tables[table] = {}
        for row in given.get(table, []):
            key = tuple(row.get(name, "00") for name in names)
            stored[key] = {name: _serialize(value) for name, value in row.items()}
    return Rows(tables)


# -------------------------------------------------------------------- merchants


def exchange(
    path: str, status: int, answer: Any, body: Any = None, credential: Any = None
) -> Exchange:
    who = token("mer_us", "payments", subject="us") if credential is None else credential
    method = "GET" if body is None else "POST"
    request = HttpRequest("client", method, path, body, credential=who)
    return Exchange(0, "req-000000", request, 0.0, HttpResponse(status, answer, {}, ""))


OWNED = rows(
    payments=[{"id": THEIRS, "merchant_id": "mer_them"}, {"id": OURS, "merchant_id": "mer_us"}],
    accounts=[
        {"id": "acc_w", "shard": "00", "account_type": "wallet", "posting": "immediate"},
        {"id": "acc_h", "shard": "00", "account_type": "wallet", "posting": "folded"},
        {"id": "acc_r", "shard": "00", "account_type": "receivable", "posting": "folded"},
    ],
)


@pytest.mark.parametrize(
    "asked",
    [
        exchange(f"/v1/payments/{THEIRS}", 200, {"id": THEIRS}),
        exchange("/v1/payments", 200, {"data": [{"id": OURS, "merchant_id": "mer_them"}]}),
        exchange(f"/v1/payments/{THEIRS}/refund", 200, {}, {}),
        exchange("/v1/transfers", 201, {}, {"metadata": {"of": THEIRS}}),
        exchange("/v1/transfers", 201, {}, {"from_account_id": "acc_r"}),
        exchange("/v1/transfers", 201, {}, {"legs": [{"to_account_id": "acc_h"}]}),
        exchange("/v1/transfers/trf_1/post", 200, {"legs": [{"from_account_id": "acc_r"}]}, {}),
        exchange("/v1/transfers/trf_1/cancel", 200, {"legs": [{"to_account_id": "acc_h"}]}, {}),
    ],
)
def test_an_accepted_request_for_foreign_or_operator_data_is_found(asked: Exchange) -> None:
    assert len(list(tenant_faults([asked], OWNED))) == 1


@pytest.mark.parametrize(
    "asked",
    [
        exchange(f"/v1/payments/{THEIRS}", 404, {"code": "not_found"}),
        exchange(f"/v1/payments/{OURS}", 200, {"id": OURS, "merchant_id": "mer_us"}),
        exchange(f"/v1/payments/{THEIRS}", 200, {"merchant_id": "mer_them"}, credential=OPERATOR),
        exchange("/v1/transfers", 201, {}, {"from_account_id": "acc_w", "to_account_id": "acc_w"}),
        exchange("/v1/transfers", 403, {}, {"from_account_id": "acc_r"}),
        exchange("/v1/transfers/trf_1/post", 200, {"legs": [{"from_account_id": "acc_w"}]}, {}),
    ],
)
def test_allowed_and_refused_requests_of_a_merchant_are_correct(asked: Exchange) -> None:
    assert list(tenant_faults([asked], OWNED)) == []


# -------------------------------------------------------------------- currencies


@pytest.mark.parametrize(("status", "faults"), [("processed", 1), ("pending", 1), ("failed", 0)])
def test_a_transfer_between_currencies_is_found(status: str, faults: int) -> None:
    accounts = [
        {"id": name, "shard": "00", "account_type": "wallet", "currency": currency}
        for name, currency in (("acc_a", "USD"), ("acc_b", "JPY"))
    ]
    transfer = {
        "id": "trf_1",
        "status": status,
        "currency": "USD",
        "legs": [{"from_account_id": "acc_a", "to_account_id": "acc_b", "amount": 5}],
    }
    found = list(currency_faults(rows(accounts=accounts, transfers=[transfer])))
    assert found == ["trf_1 of USD touches acc_b of JPY"] * faults


# -------------------------------------------------------------------- fees


def fees(payment_fee: int, parts: list[dict[str, int]], booked: int) -> list[str]:
    leg = {"from_account_id": "acc_receivable", "to_account_id": "acc_fees_USD", "amount": booked}
    transfer = {
        "id": "trf_1",
        "payment_id": "pay_1",
        "currency": "USD",
        "operation_id": "pos_1",
        "legs": [leg],
        "posted_amount": booked,
    }
    transactions = [
        {"id": f"txn_{number}", "payment_id": "pay_1", **part} for number, part in enumerate(parts)
    ]
    payments = [{"id": "pay_1", "fee": payment_fee}]
    given = rows(payments=payments, transactions=transactions, transfers=[transfer])
    return list(fee_faults(given, frozenset()))


def test_the_fees_of_all_parts_must_add_up_and_be_booked() -> None:
    assert fees(50, [{"fee": 20}, {"fee": 30}], 50) == []
    assert fees(50, [{"fee": 20}, {"fee": 30, "learned_fee": 30}], 20) == []


def test_a_payment_with_only_the_fee_of_its_last_part_is_found() -> None:
    assert fees(30, [{"fee": 20}, {"fee": 30}], 50) == ["pay_1 has the fee 30, its parts 50"]


def test_fees_credited_to_the_merchant_are_found() -> None:
    assert fees(50, [{"fee": 50}], -50) == ["pay_1 has fees of 50, and -50 are booked"]
