"""What `make trigger` needs before an event can happen: customers, accounts, payments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from local.api_client import ApiClient
from local.errors import LocalError
from local.progress import Progress

CURRENCY: Final = "USD"
AMOUNT: Final = 1999
"""Minor units, unless the caller gives another amount."""
OPENING: Final = 100_000
_INVALID: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


@dataclass(frozen=True)
class Fixtures:
    """Makes objects of one merchant through the API.

    `client` may do all that merchants may. `data` is merged into the request that makes the event.
    """

    client: ApiClient
    operator: ApiClient
    merchant_id: str
    progress: Progress
    data: Mapping[str, Any] = field(default_factory=dict)

    def send(self, path: str, body: Mapping[str, Any], *statuses: int) -> Any:
        """The answer to a POST under a new key.

        Raises:
            LocalError: the API refused the request, which includes the caller's data.
            UnexpectedAnswer: another status than one of `statuses`.
        """
        reply = self.client.post(path, dict(body), key=str(uuid4()))
        if reply.status in _INVALID and reply.status not in statuses:
            raise LocalError(
                f"The API refused the request: {reply.body['detail']}.",
                hint="Change DATA, or leave it out.",
            )
        return reply.require(*statuses)

    def amount(self, otherwise: int = AMOUNT) -> int:
        """The caller's amount, or another one."""
        given = self.data.get("amount")
        return given if isinstance(given, int) else otherwise

    def payment(self, *statuses: int, with_data: bool = True, **members: Any) -> Any:
        """The answer to a payment; 201 unless other statuses are expected."""
        body = {
            "amount": AMOUNT,
            "currency": CURRENCY,
            "payment_method": "tok_approved",
            **members,
            **(self.data if with_data else {}),
        }
        return self.send("/v1/payments", body, *(statuses or (HTTPStatus.CREATED,)))

    def customer(self) -> str:
        """The id of a new customer."""
        body = {"name": "Ada Byron", "email": f"ada-{uuid4().hex[:12]}@readers.example"}
        made: str = self.send("/v1/customers", body, HTTPStatus.CREATED)["id"]
        return made

    def account(self, balance: int = 0) -> str:
        """The id of a new wallet with a balance in minor units, in the currency of the data."""
        body = {
            "account_type": "wallet",
            "currency": self.data.get("currency", CURRENCY),
            "merchant_id": self.merchant_id,
            "opening_balance": balance,
        }
        opened = self.operator.post("/v1/accounts", body, key=str(uuid4()))
        made: str = opened.require(HTTPStatus.CREATED)["id"]
        return made

    def transfer(self, *statuses: int, **members: Any) -> Any:
        """The answer to a transfer between two new wallets, of which the first has enough."""
        amount = self.amount()
        body = {"amount": amount, "currency": CURRENCY, **members, **self.data}
        accounts = {
            "from_account_id": self.account(max(OPENING, amount)),
            "to_account_id": self.account(),
        }
        return self.send("/v1/transfers", accounts | body, *(statuses or (HTTPStatus.CREATED,)))
