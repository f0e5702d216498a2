"""The total of hot accounts, checked at the very moment after each accepted debit.

All commits of the watched clients are serialized, so that nothing happens between a
debit's commit and the check of its account. What happens between reads and commits is unchanged.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.ledger.accounts.models import FIRST_CREDIT_SHARDS, PROFILE_SHARD, row_key
from runtime.ledger.hot_accounts.rules import shards_of
from tests.support.engines.faults import COMMIT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TAKES = "#spendable = #spendable - "
"""In an update of row 00 that lowers what can be spent: a transfer, hold or consolidation."""


@dataclass
class CommitWatch:
    """One for all clients of a world. `below` lists debits below the floor: none is allowed."""

    reader: DynamoDBClient
    accounts: str
    transfers: str
    looked: Counter[str] = field(default_factory=Counter)
    below: list[tuple[str, str, int]] = field(default_factory=list)
    """(account, transfer, total after it) each."""
    _seen: set[str] = field(default_factory=set)
    _commits: threading.Lock = field(default_factory=threading.Lock)

    def attach(self, client: DynamoDBClient) -> DynamoDBClient:
        """`client`, watched. Attach it last: a request that never arrives is not a commit."""
        events = client.meta.events
        events.register_last("before-call.dynamodb", self._before)
        events.register_first("after-call.dynamodb", self._after)
        events.register_first("after-call-error.dynamodb", self._failed)
        return client

    def _before(self, model: Any, params: Any, context: Any, **_: Any) -> None:
        if model.name == COMMIT:
            self._commits.acquire()
            context["watched"] = json.loads(params["body"])

    def _after(self, http_response: Any, context: Any, **_: Any) -> None:
        request = context.pop("watched", None)
        if request is None:
            return
        try:
            if http_response.status_code == 200:
                self._look_behind(request)
        finally:
            self._commits.release()

    def _failed(self, context: Any, **_: Any) -> None:
        if context.pop("watched", None) is not None:
            self._commits.release()

    def _look_behind(self, request: Mapping[str, Any]) -> None:
        token = str(request["ClientRequestToken"])
        if token in self._seen:
            return  # a repetition of a commit that took effect long ago
        self._seen.add(token)
        actions = request["TransactItems"]
        moved = [each["Put"]["Item"] for each in actions if self._begins_a_transfer(each)]
        for account_id in self._debited(actions) if moved else ():
            self.looked[account_id] += 1
            total = self._total(account_id)
            if total is not None and total < 0:
                self.below.append((account_id, moved[0]["id"]["S"], total))

    def _begins_a_transfer(self, action: Mapping[str, Any]) -> bool:
        return "Put" in action and action["Put"]["TableName"] == self.transfers

    def _debited(self, actions: list[Mapping[str, Any]]) -> Iterator[str]:
        for action in actions:
            update = action.get("Update", {})
            if update.get("TableName") != self.accounts:
                continue
            key = update["Key"]
            if key["shard"]["S"] == PROFILE_SHARD and _TAKES in update["UpdateExpression"]:
                yield key["id"]["S"]

    def _total(self, account_id: str) -> int | None:
        """The spendable total of a hot account, all rows together; None for another account."""
        profile = self._rows([row_key(account_id)])[0]
        if profile["posting"]["S"] != "folded":
            return None
        held, credit = (int(profile[name]["N"]) for name in ("held_out", "credit_limit"))
        shards = shards_of(account_id, FIRST_CREDIT_SHARDS)
        rows = [profile, *self._rows([row_key(account_id, shard) for shard in shards])]
        return sum(int(row["balance"]["N"]) for row in rows) - held + credit

    def _rows(self, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        wanted = [{name: {"S": value} for name, value in key.items()} for key in keys]
        request = {self.accounts: {"Keys": wanted, "ConsistentRead": True}}
        rows: list[dict[str, Any]] = self.reader.batch_get_item(RequestItems=request)["Responses"][
            self.accounts
        ]
        return rows
