"""An account's balance at a point in time: by the last version, or by the sum of the entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.change_context import ChangeContext
from runtime.core.errors import InvalidValue, NotFound, Unavailable
from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.http.caller import Caller
from runtime.http.request_context import Call
from runtime.ledger.accounts import balance_at as balance_queries
from runtime.ledger.accounts.api import BalanceAnswer, BalanceQuery
from runtime.ledger.accounts.balance_at import BalanceReads, get_balance
from runtime.ledger.accounts.models import Account, AccountType, Posting, row_id
from runtime.ledger.entries.models import version_sequence
from runtime.ledger.entries.repository import EntryLine
from runtime.ledger.rules import operation_time
from tests.support.outside import entropy, new_id

START = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
SETUP = ChangeContext(changed_by="test", request_id="test", cause="test").stamp()
MINUTE = 60_000


def moment(milliseconds: int) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


@dataclass
class Books:
    """One account's rows and entries in memory, in place of the repositories."""

    rows: dict[str, Account] = field(default_factory=dict)
    lines: dict[str, list[EntryLine]] = field(default_factory=dict)
    reads: int = 0
    posting: Posting = Posting.IMMEDIATE

    def get(self, account_id: str, scope: Scope) -> Account | None:
        row = self.rows.get("00")
        return row if row and row.id == account_id and scope.admits(row.merchant_id) else None

    def rows_of(self, account_id: str) -> list[Account]:
        return list(self.rows.values())

    def lines_down(self, account_id: str, sequence: str, page_size: int) -> Iterator[EntryLine]:
        self.reads += 1
        for line in reversed(self.lines.get("00", [])):
            if line.sequence <= sequence:
                yield line

    def lines_until(
        self, partitions: Iterable[str], moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        last = _mark(moment, "Z")
        return (line for line in self._lines(partitions) if line.sequence <= last)

    def lines_since(
        self, partitions: Iterable[str], moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        first = _mark(moment, "0")
        return (line for line in self._lines(partitions) if line.sequence >= first)

    def _lines(self, partitions: Iterable[str]) -> Iterator[EntryLine]:
        for partition in partitions:
            yield from self.lines.get(partition.removeprefix("acc_x#"), [])

    def has_operation(self, account_id: str, shard: str, operation_id: str) -> bool:
        wanted = operation_time(operation_id)
        return any(line.sequence == wanted for line in self.lines.get(shard, []))

    def row(
        self, shard: str, balance: int, version: int, updated: int, last: str | None = None
    ) -> None:
        self.rows[shard] = Account(
            id=row_id("acc_x", shard),
            shard=shard,
            merchant_id="mer_x",
            account_type=AccountType.WALLET,
            currency="USD",
            posting=self.posting,
            balance=balance,
            version=version,
            last_operation_id=last,
            created_at=to_timestamp(START),
            updated_at=to_timestamp(moment(updated)),
            **SETUP,
        )

    def version(self, version: int, amount: int, began: int) -> None:
        balance = self.rows["00"].balance + amount if "00" in self.rows else amount
        line = EntryLine(
            sequence=version_sequence(version),
            amount=amount,
            created_at=to_timestamp(moment(began)),
            balance_after=balance,
        )
        self.lines.setdefault("00", []).append(line)
        self.row("00", balance, version, began)


def _mark(moment: datetime, fill: str) -> str:
    return operation_time(new_id("x", moment))[:10] + fill * 16


def balance_at(
    books: Books, at: str | int, now: int = 10**9, merchant: str = "mer_x"
) -> BalanceAnswer:
    text = at if isinstance(at, str) else to_timestamp(moment(at))
    caller = Caller("user", merchant, frozenset({"accounts"}), "request")
    call = Call(caller, "GET", "/v1/accounts/acc_x/balance", moment(now), "", entropy=entropy)
    return get_balance("acc_x", BalanceQuery(at=text), call, BalanceReads(books, books, books))


Steps = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(0, 3 * MINUTE), st.integers(0, MINUTE)),
    min_size=1,
    max_size=400,
)
"""Amount, time since the previous commit, and how long before its commit the request began."""


@given(Steps, st.integers(-1_000, 3 * MINUTE * 400))
def test_the_balance_is_that_of_the_last_version_that_began_up_to_then(
    steps: list[tuple[int, int, int]], at: int
) -> None:
    books, committed = Books(), MINUTE
    for version, (amount, since, took) in enumerate(steps, start=1):
        committed += since
        books.version(version, amount, committed - took)
    until = [line for line in books.lines["00"] if line.created_at <= to_timestamp(moment(at))]
    found = balance_at(books, at)
    assert found.at == to_timestamp(moment(at))
    if until:
        assert (found.balance, found.sequence) == (until[-1].balance_after, until[-1].sequence)
    else:
        assert (found.balance, found.sequence) == (0, None)


def test_a_long_history_needs_few_reads() -> None:
    books, count = Books(), 20_000
    for version in range(1, count + 1):
        books.version(version, 1, version * 1_000)
    for at in (1, 7_777, 12_345, count - 1):
        books.reads = 0
        found = balance_at(books, at * 1_000)
        assert (found.balance, found.sequence) == (at, version_sequence(at))
        assert books.reads <= log2(count) + 2


def test_missing_entries_are_reported_only_if_the_balance_needs_them() -> None:
    books = Books()
    for version in range(1, 8):
        books.version(version, 10, version * MINUTE)
    lines, books.lines["00"] = books.lines["00"], books.lines["00"][:4]
    assert balance_at(books, 7 * MINUTE).balance == 70, "the row itself says so"
    assert balance_at(books, 2 * MINUTE).balance == 20
    with pytest.raises(Unavailable):
        balance_at(books, 5 * MINUTE)
    books.lines["00"] = lines[:6]
    assert balance_at(books, 7 * MINUTE - 1).balance == 60, "only the row's own entry is missing"
    books.lines["00"] = []
    with pytest.raises(Unavailable):
        balance_at(books, 5 * MINUTE)


Posts = st.lists(
    st.tuples(
        st.sampled_from(["01", "02", "d00"]),
        st.integers(-50, 50),
        st.integers(0, 20 * MINUTE),
        st.integers(0, MINUTE),
    ),
    max_size=80,
)
"""Shard, amount, when the operation began, and how much later it was processed."""


@given(Posts, st.integers(-1_000, 22 * MINUTE), st.sampled_from([1, 3, 500]), st.integers(0, 5))
def test_the_balance_of_a_hot_account_is_the_sum_of_its_entries_up_to_then(
    posts: list[tuple[str, int, int, int]], at: int, page: int, unread: int
) -> None:
    books, entries = folded(posts)
    for shard in {"01", "02"} & books.rows.keys():
        # Entries added after the rows were read are not part of their balances.
        row = books.rows[shard]
        before = max(row.version - unread, 0)
        late = [
            line
            for line in entries
            if line.balance_shard == shard and (line.fold_version or 0) > before
        ]
        books.rows[shard] = row.model_copy(
            update={"version": before, "balance": row.balance - sum(e.amount for e in late)}
        )
        entries = [line for line in entries if line not in late]
    expected = sum(line.amount for line in entries if line.created_at <= to_timestamp(moment(at)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(balance_queries, "ADDED_PAGE", page)
        found = balance_at(books, at)
    assert (found.balance, found.sequence) == (expected, None)


def folded(posts: list[tuple[str, int, int, int]]) -> tuple[Books, list[EntryLine]]:
    """A hot account and its entries, posted in the order in which the operations ended."""
    books, entries = Books(posting=Posting.FOLDED), []
    books.row("00", 0, 1, 0)
    books.lines["00"] = [
        EntryLine(
            sequence=version_sequence(1), amount=0, created_at=to_timestamp(START), balance_after=0
        )
    ]
    for shard, amount, began, took in sorted(posts, key=lambda post: post[2] + post[3]):
        before = books.rows.get(shard)
        version = before.version + 1 if before else 1
        operation_id = new_id("trf", moment(began))
        line = EntryLine(
            sequence=operation_time(operation_id),
            amount=amount,
            created_at=to_timestamp(moment(began + took)),
            fold_version=version,
            balance_shard=None if shard == "d00" else shard,
        )
        partition = shard if shard == "d00" else f"e{len(entries) % 3:02d}"
        entries.append(line)
        books.lines.setdefault(partition, []).append(line)
        books.lines[partition].sort(key=lambda each: each.sequence)
        balance = amount + (before.balance if before else 0)
        books.row(shard, balance, version, began + took, operation_id)
    return books, entries


def test_a_busy_hot_account_is_summed_from_the_nearer_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(balance_queries, "ADDED_PAGE", 10)
    monkeypatch.setattr(balance_queries, "MAX_ENTRIES_ADDED", 200)
    books, _ = folded([("01", 1, n * MINUTE, 0) for n in range(1, 1_001)])
    assert balance_at(books, 50 * MINUTE).balance == 50
    assert balance_at(books, 950 * MINUTE).balance == 950
    with pytest.raises(InvalidValue) as refused:
        balance_at(books, 500 * MINUTE)
    assert refused.value.param == "at"
    assert "more than 200 times" in refused.value.detail


def test_debits_without_an_entry_yet_are_not_guessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(balance_queries, "ADDED_PAGE", 10)
    monkeypatch.setattr(balance_queries, "MAX_ENTRIES_ADDED", 200)
    books, _ = folded([("d00", -1, n * MINUTE, 0) for n in range(1, 1_001)])
    assert balance_at(books, 950 * MINUTE).balance == -950
    books.lines["d00"].pop()
    assert balance_at(books, 50 * MINUTE).balance == -50, "from the beginning it is still exact"
    with pytest.raises(Unavailable):
        balance_at(books, 950 * MINUTE)


@pytest.mark.parametrize(
    ("text", "balance"),
    [
        ("2026-03-14T09:00:01Z", 1),
        ("2026-03-14T09:00:00.999999999999Z", 0),
        ("2026-03-14T09:00:01.0+00:00", 1),
        ("2026-03-14T09:00:01.000 00:00", 1),
        ("2026-03-14T09:00:01.1239999999", 1),
        ("2026-03-14T09:00:01.123Z", 1),
        ("2026-03-14T09:00:01.124Z", 2),
        ("2026-03-14T09:00:01.124", 2),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_a_timestamp_may_have_any_number_of_fractional_digits(text: str, balance: int) -> None:
    books = Books()
    books.version(1, 1, 1_000)
    books.version(2, 1, 1_124)
    books.version(3, 1, 2_000)
    assert balance_at(books, text).balance == balance


@pytest.mark.parametrize(
    "text", ["2026-03-14T10:00:00.001Z", "2026-02-30T00:00:00Z", "2026-03-14T25:00:00Z"]
)
def test_a_future_or_invalid_time_is_rejected(text: str) -> None:
    books = Books()
    books.version(1, 1, 0)
    assert balance_at(books, "2026-03-14T10:00:00Z", now=60 * MINUTE).balance == 1
    with pytest.raises(InvalidValue) as refused:
        balance_at(books, text, now=60 * MINUTE)
    assert refused.value.param == "at"


def test_another_merchants_account_is_not_found() -> None:
    books = Books()
    books.version(1, 1, 0)
    with pytest.raises(NotFound):
        balance_at(books, 0, merchant="mer_other")
