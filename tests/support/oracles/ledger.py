"""Invariants of a ledger at rest, checked row by row and against the model."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

from runtime.idempotency.models import ClaimState
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
from runtime.ledger.entries.models import Entry
from runtime.ledger.transfers.models import Transfer
from tests.support.oracles.ledger_model import LedgerModel, Legs, net_of

if TYPE_CHECKING:
    from runtime.http.responses import StoredAnswer
    from tests.support.simulation.ledger import LedgerPlatform, Order

TRANSFERS = "/v1/transfers"
_SWEEP = "swp_"


class Books:
    """All rows of the ledger, read without the repositories when the streams are quiet."""

    def __init__(self, ledger: LedgerPlatform) -> None:
        platform = ledger.platform
        self.accounts = platform.rows(Account)
        self.entries = platform.rows(Entry)
        self.transfers = {row.id: row for row in platform.rows(Transfer)}
        self.claims = platform.claims()
        self.entries_of: dict[str, list[Entry]] = defaultdict(list)
        self.entries_of_shard: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in sorted(self.entries, key=lambda entry: entry.sequence):
            self.entries_of[entry.account_shard].append(entry)
            if entry.balance_shard is not None:
                self.entries_of_shard[entry.account_id, entry.balance_shard].append(entry)
        self.images = list(_images(ledger))

    def must_hold(self, model: LedgerModel) -> None:
        """Checks that need no knowledge of the requests."""
        self._must_conserve()
        self._must_never_have_passed_a_floor()
        for row in self.accounts:
            if row.shard == PROFILE_SHARD:
                self._entries_of_a_row_are_exact(row)
            else:
                self._entries_of_a_fold_row_are_exact(row)
        self._every_leg_has_its_entry_once()
        self._no_entry_is_without_its_transfer()
        self._must_agree_with(model)

    # ------------------------------------------------------------ accounts

    def _must_conserve(self) -> None:
        sums: Counter[str] = Counter()
        for row in self.accounts:
            sums[row.currency] += row.balance
        assert set(sums.values()) <= {0}, f"money came from nowhere: {sums}"

    def _must_never_have_passed_a_floor(self) -> None:
        """Every state of every row 00, from the stream.

        For a hot account the total counts, which is in no row: `CommitWatch` checks it.
        """
        for image in self.images:
            if image["shard"] != PROFILE_SHARD:
                continue
            spendable = image["balance"] - image["held_out"] + image["credit_limit"]
            assert image["spendable"] == spendable, image
            if image["posting"] != "folded":
                assert spendable >= 0, f"below its floor: {image}"
            assert min(image["held_out"], image["held_in"]) >= 0, image

    def _must_agree_with(self, model: LedgerModel) -> None:
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for row in self.accounts:
            for place, amount in enumerate((row.balance, row.held_out, row.held_in)):
                found[row.account_id][place] += amount
        wanted = {
            name: [account.balance, account.held_out, account.held_in]
            for name, account in model.accounts.items()
        }
        assert dict(found) == wanted
        assert set(model.totals().values()) <= {0}

    # ------------------------------------------------------------ entries

    def _entries_of_a_row_are_exact(self, row: Account) -> None:
        entries = self.entries_of[f"{row.id}#{row.shard}"]
        versions = [f"{version:012d}" for version in range(1, row.version + 1)]
        assert [entry.sequence for entry in entries] == versions, f"{row.id}: a gap"
        balance = 0
        for entry in entries:
            balance += entry.amount
            assert entry.balance_after == balance, entry
            assert (entry.account_id, entry.currency) == (row.id, row.currency)
        assert balance == row.balance, row

    def _entries_of_a_fold_row_are_exact(self, row: Account) -> None:
        entries = self.entries_of_shard[row.account_id, row.shard] or self.entries_of[row.id]
        assert sum(entry.amount for entry in entries) == row.balance, row
        versions = {entry.fold_version for entry in entries}
        assert versions == set(range(1, row.version + 1)), f"{row.id}#{row.shard}: {versions}"

    def _every_leg_has_its_entry_once(self) -> None:
        found: dict[str, Counter[tuple[str, str, int]]] = defaultdict(Counter)
        for entry in self.entries:
            if entry.amount and entry.transfer_id and not entry.transfer_id.startswith(_SWEEP):
                line = (entry.operation_id, entry.account_id, entry.amount)
                found[entry.transfer_id][line] += 1
        for row in self.transfers.values():
            wanted = Counter(
                (row.operation_id, account, change)
                for account, change in net_of(_final_legs(row)).items()
            )
            assert found.pop(row.id, Counter()) == wanted, f"{row.id} {row.status}"
        assert not found, f"entries of no transfer: {dict(found)}"

    def _no_entry_is_without_its_transfer(self) -> None:
        """Holds and their ends have entries of zero; each operation changes a row once."""
        swept: Counter[str] = Counter()
        for place, entries in self.entries_of.items():
            operations = [(entry.operation_id, entry.balance_shard) for entry in entries]
            assert len(operations) == len(set(operations)), f"{place}: an operation twice"
            for entry in entries:
                if entry.operation_id.startswith(_SWEEP):
                    swept[entry.operation_id] += entry.amount
                elif entry.operation_id.startswith("chg_"):
                    assert entry.amount == 0, entry
                elif entry.transfer_id is not None:
                    row = self.transfers[entry.transfer_id]
                    assert entry.operation_id in (row.id, row.operation_id), entry
                    assert row.status != "failed", entry
        assert set(swept.values()) <= {0}, f"a consolidation changed the total: {swept}"


class Story:
    """All answers to clients, by key: at the end one result for each."""

    def __init__(self) -> None:
        self.reported: dict[str, list[StoredAnswer]] = defaultdict(list)
        self.unanswered: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, order: Order, answer: StoredAnswer) -> None:
        """A client received this answer."""
        with self._lock:
            self.reported[order.key].append(answer)

    def operational_alerts(self, error: BaseException) -> None:
        """A client received an answer that is not stored."""
        with self._lock:
            self.unanswered[getattr(error, "code", type(error).__name__)] += 1

    def apply_to(self, model: LedgerModel, orders: Sequence[Order], books: Books) -> None:
        """Apply to the model what was accepted, and release what has expired."""
        accepted = {
            order.key: json.loads(self.reported[order.key][0].body)
            for order in orders
            if self.reported[order.key] and self.reported[order.key][0].status in (200, 201)
        }
        ends = []
        for order in {order.key: order for order in orders}.values():
            document = accepted.get(order.key)
            if document is None:
                continue
            legs = legs_in(document)
            if order.path != TRANSFERS:
                ends.append((order, document))
            elif document["status"] == "pending":
                model.hold(document["id"], legs, document["expires_at"])
            else:
                model.transfer(document["id"], legs)
        for order, document in ends:
            if order.path.endswith("/post"):
                model.post(order.transfer_id, document["posted_amount"])
            else:
                model.release(order.transfer_id, "canceled")
        for row in books.transfers.values():
            if row.status == "expired":
                assert row.updated_at >= (row.expires_at or ""), f"{row.id} expired too early"
                model.release(row.id, "expired")

    def must_be_of(self, merchant_id: str, orders: Iterable[Order], books: Books) -> None:
        """Each accepted order is applied exactly once, each refused one not at all."""
        accepted: dict[str, str] = {}
        failed: dict[str, str] = {}
        claimed: set[str] = set()
        for order in {order.key: order for order in orders}.values():
            answers = self.reported[order.key]
            verdicts = {(answer.status, answer.body) for answer in answers}
            assert len(verdicts) <= 1, f"{order}: {verdicts}"
            if not verdicts:
                continue
            ((status, body),) = verdicts
            document = json.loads(body)
            claimed.add("#".join((merchant_id, "POST", order.path, order.key)))
            if order.path == TRANSFERS:
                named = document["id"] if status == 201 else document["transfer_id"]
                kept = accepted if status == 201 else failed
                assert named not in kept, f"{named} is the answer to two keys"
                kept[named] = order.key
            elif status == 200:
                row = books.transfers[order.transfer_id]
                assert document["status"] == row.status
                assert document["posted_amount"] == row.posted_amount
        others = {id_ for id_, row in books.transfers.items() if row.description or row.payment_id}
        stand = {id_ for id_, row in books.transfers.items() if row.status != "failed"}
        assert stand - others == set(accepted)
        refused = {id_ for id_, row in books.transfers.items() if row.status == "failed"}
        assert set(failed) <= refused, "a reported refusal is stored"
        assert refused - set(failed) == set(), "one failed transfer for each refusal"
        assert {claim.state for claim in books.claims} <= {ClaimState.COMPLETED}
        assert claimed == {claim.key for claim in books.claims if f"#{TRANSFERS}" in claim.key}


def legs_in(document: Mapping[str, Any]) -> Legs:
    """The legs in an answer about a transfer."""
    return [
        (leg["from_account_id"], leg["to_account_id"], leg["amount"]) for leg in document["legs"]
    ]


def _final_legs(row: Transfer) -> Legs:
    """What a transfer has really moved."""
    if row.status != "processed":
        return []
    legs = [(leg.from_account_id, leg.to_account_id, leg.amount) for leg in row.legs]
    if row.posted_amount != row.amount:
        ((source, target, _),) = legs
        return [(source, target, row.posted_amount or 0)]
    return legs


def _images(ledger: LedgerPlatform) -> Iterable[dict[str, Any]]:
    deserializer = TypeDeserializer()
    table = ledger.platform.tables["accounts"]
    for (stream_arn, _), shard in ledger.poller.shards.items():
        if f":table/{table}/" in stream_arn:
            for record in shard.records:
                image = record["dynamodb"]["NewImage"]
                yield {name: deserializer.deserialize(value) for name, value in image.items()}
