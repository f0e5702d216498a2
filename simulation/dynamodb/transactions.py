"""TransactWriteItems: judged at one moment, seen at another, done once for each token.

Sources: DynamoDB Developer Guide, "Amazon DynamoDB Transactions: How it works" (idempotency for ten
minutes after the request is completed, isolation levels, conflicts), "Constraints" (100 items, 4
MB); API reference, TransactWriteItems and CancellationReason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from botocore.exceptions import ClientError

from runtime.dynamodb.capacity import Consistency
from simulation.dynamodb.actions import PARTS, Action
from simulation.dynamodb.capacity import Consumed
from simulation.dynamodb.catalog import Catalog
from simulation.dynamodb.commits import Commits, Place
from simulation.dynamodb.errors import (
    CONFLICT,
    NOT_REFUSED,
    Reason,
    Unsupported,
    canceled,
    invalid,
    refusal,
    validation_error,
)
from simulation.dynamodb.requests import Answer, Request, answer, judge_length, only
from simulation.dynamodb.sizes import MAX_ITEM_BYTES, MAX_TRANSACTION_BYTES, size_of
from simulation.dynamodb.tables import Change
from simulation.dynamodb.values import Item

Actions = Sequence[Request]

MAX_ACTIONS: Final = 100
MAX_TOKEN_LENGTH: Final = 36
TOKEN_SECONDS: Final = 600.0
_REQUEST: Final = frozenset({"TransactItems", "ClientRequestToken", "ReturnConsumedCapacity"})
_FEW: Final = MAX_TRANSACTION_BYTES // MAX_ITEM_BYTES
"""So many items cannot be too large together."""


class Transaction:
    """A transaction that passed its conditions; its items stay locked until `finish`."""

    __slots__ = ("changes", "checks", "places", "request", "seen", "token")

    def __init__(
        self, judged: Sequence[Change], places: list[Place], token: str | None, request: Actions
    ) -> None:
        self.changes = [each for each in judged if each.new is not each.old]
        self.checks = [each for each in judged if each.new is each.old]
        """Items that were only looked at."""
        self.places = places
        self.token = token
        self.request = request
        self.seen: set[int] = set()
        """Positions of the changes that plain readers see already."""


class Transactions:
    """Transactions of one account, with the tokens that it remembers."""

    def __init__(self, catalog: Catalog, commits: Commits) -> None:
        self._catalog = catalog
        self._commits = commits
        self._done: dict[str, tuple[float, Actions]] = {}
        self._until: deque[tuple[float, str]] = deque()
        self._at_work: set[str] = set()

    def transact_write_items(self, **request: Any) -> Answer:
        """As the operation of this name, judged and seen at the same moment."""
        only(request, _REQUEST, "TransactWriteItems")
        consumed = Consumed(request)
        actions = request["TransactItems"]
        transaction = self.begin(actions, request.get("ClientRequestToken"))
        if transaction is None:
            return answer(**self._consumed_again(actions, consumed))
        for change in (*transaction.changes, *transaction.checks):
            consumed.write(change, transactional=True)
        return self.finish(transaction) | consumed.all("Write")

    def begin(self, actions: Actions, token: str | None = None) -> Transaction | None:
        """Judge a transaction and lock its items. None: what this token stands for was done before.

        Raises as the operation does: TransactionCanceledException says why, item by item.
        """
        judge_length("transactItems", len(actions), MAX_ACTIONS)
        if token is not None and len(token) > MAX_TOKEN_LENGTH:
            raise invalid(
                "1 validation error detected: Value at 'clientRequestToken' failed to satisfy "
                "constraint: Member must have length less than or equal to 36"
            )
        asked = _read(actions)
        if token is not None and self._was_done(token, actions):
            return None
        for action, name in asked:
            action.find(self._catalog, name)
        writes = [action for action, _ in asked]
        places: list[Place] = [(action.table.name, action.key) for action in writes]
        if len(set(places)) != len(places) and not any(action.fault for action in writes):
            raise invalid("Transaction request cannot include multiple operations on one item")
        transaction = Transaction(self._judged(writes, places), places, token, actions)
        self._commits.locks.update(dict.fromkeys(places, transaction))
        if token is not None:
            self._at_work.add(token)
        return transaction

    def finish(self, transaction: Transaction) -> Answer:
        """Do what `begin` has judged, and let the items go."""
        seen = transaction.seen
        if seen:
            rest = [each for n, each in enumerate(transaction.changes) if n not in seen]
            self._commits.apply(rest)
        for place in transaction.places:
            del self._commits.locks[place]
        self._remember(transaction)
        if not seen:
            self._commits.commit(transaction.changes)
        return answer()

    def show_part(self, transaction: Transaction, chance: Random) -> None:
        """Let plain readers see some items of it before the others: they are not isolated.

        From then on it is decided: whoever reads the stream may act on it before the rest is seen.
        """
        first = not transaction.seen
        for number, change in enumerate(transaction.changes):
            if number not in transaction.seen and chance.random() < 0.5:
                self._commits.apply([change])
                transaction.seen.add(number)
        if first and transaction.seen:
            self._commits.tell(transaction.changes)

    # ------------------------------------------------------------ judging

    def _judged(self, asked: Sequence[Action], places: Sequence[Place]) -> list[Change]:
        """What they do. One answer may mix reasons: a busy item's condition is not judged."""
        locks = self._commits.locks
        reasons: list[Any] = []
        changes: list[Change] = []
        for action, place in zip(asked, places, strict=True):
            if locks and place in locks:
                reasons.append(CONFLICT)
                continue
            old = action.table.items.get(action.key)
            reason, new = _verdict(action, old)
            reasons.append(reason)
            changes.append(Change(action.table, action.key, old, new))
        if any(reason is not NOT_REFUSED for reason in reasons):
            raise canceled(reasons)
        if len(changes) > _FEW:
            _judge_size(changes)
        return changes

    # ------------------------------------------------------------ tokens

    def _was_done(self, token: str, actions: Actions) -> bool:
        if token in self._at_work:
            raise refusal(
                "TransactionInProgressException",
                "The transaction with the given request token is already in progress.",
            )
        known = self._done.get(token)
        if known is None or known[0] < self._commits.now():
            return False
        if known[1] != actions:
            raise refusal(
                "IdempotentParameterMismatchException",
                "The provided token has been used with different parameters",
            )
        return True

    def _remember(self, transaction: Transaction) -> None:
        token = transaction.token
        if token is None:
            return
        now = self._commits.now()
        while self._until and self._until[0][0] < now:
            until, old = self._until.popleft()
            if self._done[old][0] == until:
                del self._done[old]
        self._at_work.discard(token)
        self._done[token] = (now + TOKEN_SECONDS, transaction.request)
        self._until.append((now + TOKEN_SECONDS, token))

    def _consumed_again(self, actions: Actions, consumed: Consumed) -> Answer:
        """A transaction that was done before only reads what it has written."""
        for action, name in _read(actions):
            action.find(self._catalog, name)
            item = action.table.items.get(action.key)
            consumed.read_item(action.table, item, Consistency.TRANSACTIONAL)
        return consumed.all("Read")


def _read(actions: Actions) -> list[tuple[Action, str]]:
    """What is asked for, each with the name of its table."""
    read = []
    for each in actions:
        ((kind, body),) = each.items()
        if kind not in PARTS:
            raise Unsupported(f"TransactWriteItems with {kind}")
        only(body, PARTS[kind], kind)
        read.append((Action(kind, body), body["TableName"]))
    return read


def _verdict(action: Action, old: Item | None) -> tuple[Any, Item | None]:
    """Why the action is refused, if it is, and what it makes of the item."""
    try:
        action.judge_key()
        if not action.holds(old):
            return _failed(old if action.shows_old else None), None
        return NOT_REFUSED, action.item_after(old)
    except ClientError as error:
        return validation_error(error.response["Error"]["Message"]), None


def _failed(shown: Item | None) -> Reason:
    reason: Reason = {
        "Code": "ConditionalCheckFailed",
        "Message": "The conditional request failed",
    }
    if shown is not None:
        reason["Item"] = dict(shown)
    return reason


def _judge_size(changes: Sequence[Change]) -> None:
    if sum(size_of(each.new or each.old or {}) for each in changes) > MAX_TRANSACTION_BYTES:
        raise invalid("Transaction payload size cannot exceed 4MB.")
