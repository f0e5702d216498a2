"""A merchant on a counted stage, and each operation whose cost is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from benchmarks.bill.counted_stage import CountedStage
from benchmarks.requests.request_cpu import SALE
from simulation.partners.receivers import Endpoints
from simulation.platform.http import EVERYTHING, OPERATOR, HttpRequest, token

WARMING_SALES: Final = 3
USER_AGENT: Final = "shop-backend/4.2.1 (python-requests/2.32.3; Linux x86_64)"
LIST_LIMIT: Final = 20
CURRENCY: Final = "USD"
RICH: Final = 10**9
"""Opening balance, in minor units, of the account that pays in transfers."""


class Shop:
    """A merchant on a stage of its own, with a webhook endpoint or without."""

    def __init__(self, *, has_endpoint: bool = True) -> None:
        self.stage = CountedStage()
        self._requests = 0
        self.merchant_id = self.open_merchant("bench", has_endpoint=has_endpoint)
        self._caller = token(self.merchant_id, *EVERYTHING, subject="shop-backend@7d1f0c2a")
        for _ in range(WARMING_SALES):
            self.sell()
        self.stage.drain()
        self.stage.forget_uses()

    def open_merchant(self, name: str, *, has_endpoint: bool = False) -> str:
        """The id of a new merchant."""
        shop = {"name": "Bench Shop", "email": "bench@shops.example"}
        if has_endpoint:
            shop["webhook_url"] = Endpoints.url_of(name)
        return str(self._ask("POST", "/v1/merchants", shop, 201, OPERATOR)["id"])

    def open_accounts(self) -> None:
        """A customer, and the accounts of the transfers."""
        who = {"name": "Jane Doe", "email": "jane@mail.example"}
        self._customer = self._created("/v1/customers", who)
        self._source = self.open_account(self.merchant_id, opening_balance=RICH)
        self._target = self.open_account(self.merchant_id)

    def open_account(self, merchant_id: str, **changes: Any) -> str:
        """The id of a new wallet."""
        account = {"account_type": "wallet", "currency": CURRENCY, "merchant_id": merchant_id}
        made = self._ask("POST", "/v1/accounts", {**account, **changes}, 201, OPERATOR)
        return str(made["id"])

    # ------------------------------------------------------------ operations

    def sell(self, **changes: Any) -> str:
        """The id of a new payment."""
        return self._created("/v1/payments", {**SALE, **changes})

    def sell_to_customer(self) -> str:
        """A sale that names the customer."""
        return self.sell(customer_id=self._customer)

    def decline(self) -> None:
        """A sale that the processor declines."""
        body = {**SALE, "payment_method": "tok_declined"}
        self._ask("POST", "/v1/payments", body, 402, self._caller)

    def authorize(self) -> str:
        """The id of a payment to be captured later."""
        return self.sell(capture_method="manual")

    def capture(self, payment_id: str) -> None:
        """Capture an authorized payment."""
        self._ask("POST", f"/v1/payments/{payment_id}/capture", {}, 200, self._caller)

    def refund(self, payment_id: str) -> None:
        """Refund a payment as a whole."""
        self._ask("POST", f"/v1/payments/{payment_id}/refund", {}, 200, self._caller)

    def transfer(self) -> None:
        """A transfer between the two accounts."""
        body = {
            "from_account_id": self._source,
            "to_account_id": self._target,
            "amount": 700,
            "currency": CURRENCY,
            "description": "Invoice 2026-0042",
            "metadata": {"invoice": "2026-0042"},
        }
        self._created("/v1/transfers", body)

    def read(self, payment_id: str) -> None:
        """Read a payment."""
        self._ask("GET", f"/v1/payments/{payment_id}", None, 200, self._caller)

    def list_payments(self) -> None:
        """A page of the merchant's payments."""
        self._ask("GET", "/v1/payments", None, 200, self._caller, limit=str(LIST_LIMIT))

    # ------------------------------------------------------------ requests

    def each(
        self, operation: Callable[..., object], subjects: Sequence[Any] | int, *, at_once: bool
    ) -> None:
        """Do it for each subject (or so often), derived at the end or after each."""
        given = [()] * subjects if isinstance(subjects, int) else [(each,) for each in subjects]
        for arguments in given:
            operation(*arguments)
            if not at_once:
                self.stage.drain()
        self.stage.drain()

    def _created(self, path: str, body: Mapping[str, Any]) -> str:
        return str(self._ask("POST", path, body, 201, self._caller)["id"])

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        status: int,
        caller: Any,
        **query: str,
    ) -> Any:
        """The answer's body. Raises RuntimeError for another status."""
        self._requests += 1
        headers = {"user-agent": USER_AGENT}
        if method == "POST":
            headers["idempotency-key"] = f"{self._requests:036d}"
        request = HttpRequest(
            "bench",
            method,
            path,
            None if body is None else dict(body),
            query=query,
            headers=headers,
            credential=caller,
        )
        response = self.stage.api(request)
        if response.status != status:
            raise RuntimeError(f"{path} was answered {response.status}: {response.text}")
        return response.body
