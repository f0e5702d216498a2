"""A shop with accounts, and transfers between them, through the deployed functions."""

from __future__ import annotations

import uuid
from typing import Any

from tests.support.http import OPERATOR, Answered, token_of
from tests.support.stages.running_stage import Stage


class Teller:
    """A shop with accounts, and transfers between them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.shop = stage.shop()["id"]
        self.who = token_of(self.shop)

    def account(self, balance: int = 0, **body: Any) -> str:
        """Id of a new account of the shop, opened by an operator."""
        full = {
            "account_type": "wallet",
            "currency": "USD",
            "merchant_id": self.shop,
            "opening_balance": balance,
            **body,
        }
        if full["merchant_id"] is None:
            del full["merchant_id"]
        made = self.stage.api("POST", "/v1/accounts", full, headers=key(), authorizer=OPERATOR)
        assert made.status == 201, made.text
        found: str = made.body["id"]
        return found

    def transfer(self, body: Any, *, who: Any = None, headers: Any = None, **more: Any) -> Answered:
        return self.stage.api(
            "POST",
            "/v1/transfers",
            body,
            headers=headers or key(),
            authorizer=who or self.who,
            **more,
        )

    def post(
        self, path: str, body: Any = None, *, who: Any = None, headers: Any = None
    ) -> Answered:
        return self.stage.api(
            "POST", path, body, headers=headers or key(), authorizer=who or self.who
        )

    def get(self, path: str, query: str = "", who: Any = None) -> Any:
        answer = self.stage.api("GET", path, query=query, authorizer=who or self.who)
        assert answer.status == 200, answer.text
        return answer.body

    def see(self, account_id: str) -> Any:
        return self.get(f"/v1/accounts/{account_id}", who=OPERATOR)

    def lock(self, account_id: str, until: str) -> None:
        self.stage.dynamodb.update_item(
            TableName=self.stage.tables["accounts"],
            Key={"id": {"S": account_id}, "shard": {"S": "00"}},
            UpdateExpression="SET locked_until = :u",
            ExpressionAttributeValues={":u": {"S": until}},
        )


def key(value: str | None = None) -> dict[str, str]:
    return {"idempotency-key": value or uuid.uuid4().hex}


def order(source: str, target: str, amount: Any = 10, **more: Any) -> dict[str, Any]:
    return {
        "from_account_id": source,
        "to_account_id": target,
        "amount": amount,
        "currency": "USD",
        **more,
    }
