"""Stripe in memory, as far as the platform's connector speaks to it.

Answers have the shapes of Stripe's API reference (docs.stripe.com/api), cut to what is read. What
the connector relies on is kept: an idempotency key is answered as before and refused with other
parameters (docs.stripe.com/api/idempotent_requests), the search lags behind
(docs.stripe.com/search), one capture per authorization, refunds within what was captured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from runtime.payments.processors.stripe.amounts import from_stripe
from simulation.partners.movements import STRIPES_KINDS, Movement
from simulation.partners.stripe_account import StripeAccount, read
from simulation.partners.stripe_answers import (
    Answer,
    Json,
    copy_of,
    error_body,
    failure_of,
    metadata_of,
    not_found,
    unexpected_state,
)
from simulation.partners.stripe_tokens import (
    AUTHENTICATES,
    CHARGEABLE,
    DECLINED,
    NEVER_HEARD,
    PENDING_REFUND,
    REFUND_FAILS_AT_ONCE,
)

LONGEST_SEARCH_LAG: Final = 60.0
"""Seconds until the search shows a PaymentIntent, in ordinary times."""
SEARCH_LAG_IN_OUTAGES: Final = 90.0
"""Seconds more until it shows one whose answer is not heard either."""
_PAGE: Final = "https://hooks.stripe.com/redirect/authenticate/simulated"
DISPUTE_FEE: Final = 1_500


def fee_of(amount: int) -> int:
    """2.9 % + 30, never more than the amount."""
    return min((amount * 29 + 500) // 1000 + 30, amount)


@dataclass
class StripeServer:
    """All accounts, by their API key. `now` is the virtual time, `epoch` the Unix time of its 0.

    `on_event` is called with each account's events as they happen; who sends notifications does so
    from there.
    """

    now: Callable[[], float]
    epoch: float
    dice: Random
    on_event: Callable[[StripeAccount, Json], None] = lambda _account, _event: None
    accounts: dict[str, StripeAccount] = field(default_factory=dict)
    overtaken: set[str] = field(default_factory=set)
    """Refunds that had failed before the request for them was answered."""
    _number: int = 0

    def open_account(self, api_key: str) -> StripeAccount:
        """A new account with a key of its own."""
        account = StripeAccount(f"acct_{len(self.accounts) + 1:016d}", api_key)
        self.accounts[api_key] = account
        return account

    def answer(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None
    ) -> Answer:
        """Status and body of one request."""
        parts = urlsplit(url)
        params = dict(parse_qsl(post_data or parts.query, keep_blank_values=True))
        api_key = headers.get("Authorization", "").removeprefix("Bearer ")
        account = self.accounts.get(api_key)
        if account is None:
            return 401, error_body("invalid_request_error", None, "Invalid API Key provided")
        path = parts.path.removeprefix("/v1/").split("/")
        if method == "GET":
            return read(account, path, params, self.now())
        key = headers.get("Idempotency-Key")
        if key is None:
            return self._write(account, path, params)
        asked = (parts.path, params)
        if key in account.keys:
            before, answer = account.keys[key]
            if before == asked:
                return answer
            message = "Keys for idempotent requests can only be used with the same parameters"
            return 400, error_body("idempotency_error", None, message)
        answer = self._write(account, path, params)
        account.keys[key] = (asked, answer)
        return answer

    # ------------------------------------------------------------ writes

    def _write(self, account: StripeAccount, path: list[str], params: Mapping[str, str]) -> Answer:
        match path:
            case ["payment_intents"]:
                return self._create_intent(account, params)
            case ["payment_intents", intent_id, "capture"]:
                return self._capture(account, account.intents.get(intent_id), params)
            case ["payment_intents", intent_id, "cancel"]:
                return self._cancel(account, account.intents.get(intent_id))
            case ["refunds"]:
                return self._refund(account, params)
            case _:
                raise AssertionError(f"the simulated Stripe has no POST {path}")

    def _create_intent(self, account: StripeAccount, params: Mapping[str, str]) -> Answer:
        amount, method = int(params["amount"]), params.get("payment_method", "")
        intent: Json = {
            "id": self._id("pi"),
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_received": 0,
            "currency": params["currency"],
            "last_payment_error": None,
            "latest_charge": None,
            "client_secret": f"secret_of_{self._number}",
            "next_action": None,
            "metadata": metadata_of(params),
            "payment_method": method,
            "status": "requires_payment_method",
        }
        account.intents[intent["id"]] = intent
        lag = self.dice.random() ** 4 * LONGEST_SEARCH_LAG
        if method == NEVER_HEARD:
            lag += SEARCH_LAG_IN_OUTAGES
        account.searchable_at[intent["id"]] = self.now() + lag
        if params["confirm"] == "false":
            return 200, copy_of(intent)
        if method in DECLINED:
            code, decline_code = DECLINED[method]
            failure = failure_of(
                "card_error", code, f"Your card was declined: {code}", decline_code
            )
            intent["last_payment_error"] = failure
            self._tell(account, "payment_intent.payment_failed", intent)
            return 402, {"error": {**failure, "payment_intent": copy_of(intent)}}
        if method not in CHARGEABLE:
            failure = failure_of(
                "invalid_request_error", "resource_missing", "No such PaymentMethod"
            )
            return 400, {"error": {**failure, "param": "payment_method"}}
        intent["capture_method"] = params["capture_method"]
        if method == AUTHENTICATES:
            action = {"type": "redirect_to_url", "redirect_to_url": {"url": _PAGE}}
            intent |= {"status": "requires_action", "next_action": action}
            self._tell(account, "payment_intent.requires_action", intent)
            return 200, copy_of(intent)
        self._approve(account, intent)
        return 200, copy_of(intent)

    def _approve(self, account: StripeAccount, intent: Json) -> None:
        intent |= {"latest_charge": {"id": self._id("ch"), "balance_transaction": None}}
        intent |= {"next_action": None, "last_payment_error": None}
        if intent["capture_method"] == "manual":
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
        else:
            self._take(account, intent, intent["amount"])

    def authenticate(self, account: StripeAccount, intent_id: str, *, passes: bool) -> None:
        """The customer acts, if there is still something to do; one who failed may try again."""
        intent = account.intents[intent_id]
        failed_before = intent["last_payment_error"] is not None
        if intent["status"] != "requires_action" and not (
            intent["status"] == "requires_payment_method" and failed_before
        ):
            return
        if passes:
            self._approve(account, intent)
            if intent["status"] == "requires_capture":
                self._tell(account, "payment_intent.amount_capturable_updated", intent)
            return
        code = "payment_intent_authentication_failure"
        failure = failure_of("invalid_request_error", code, "The customer failed to authenticate")
        intent |= {"status": "requires_payment_method", "next_action": None}
        intent["last_payment_error"] = failure
        self._tell(account, "payment_intent.payment_failed", intent)

    def _take(self, account: StripeAccount, intent: Json, amount: int) -> None:
        moved = self._moved(account, intent, "charge", amount, fee_of(amount))
        intent["latest_charge"] = {**intent["latest_charge"], "balance_transaction": moved}
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        self._tell(account, "payment_intent.succeeded", intent)

    def _capture(
        self, account: StripeAccount, intent: Json | None, params: Mapping[str, str]
    ) -> Answer:
        if intent is None:
            return not_found()
        if intent["status"] != "requires_capture":
            return unexpected_state(intent)
        amount = int(params["amount_to_capture"])
        if amount > intent["amount_capturable"]:
            return 400, error_body(
                "invalid_request_error", "amount_too_large", "Too much to capture"
            )
        self._take(account, intent, amount)
        return 200, copy_of(intent)

    def _cancel(self, account: StripeAccount, intent: Json | None) -> Answer:
        if intent is None:
            return not_found()
        if intent["status"] in ("succeeded", "canceled"):
            return unexpected_state(intent)
        intent |= {"status": "canceled", "amount_capturable": 0}
        self._tell(account, "payment_intent.canceled", intent)
        return 200, copy_of(intent)

    def _refund(self, account: StripeAccount, params: Mapping[str, str]) -> Answer:
        intent = account.intents.get(params["payment_intent"])
        if intent is None:
            return not_found()
        amount = int(params["amount"])
        if amount > self.refundable(account, intent):
            message = "Refund amount is greater than unrefunded amount on charge"
            return 400, error_body("invalid_request_error", "charge_already_refunded", message)
        refund: Json = {
            "id": self._id("re"),
            "object": "refund",
            "amount": amount,
            "created": int(self.epoch + self.now()),
            "currency": intent["currency"],
            "metadata": metadata_of(params),
            "payment_intent": intent["id"],
            "status": "succeeded",
        }
        if intent["payment_method"] == PENDING_REFUND:
            refund |= {"status": "pending", "pending_reason": "processing"}
        account.refunds[refund["id"]] = refund
        self._moved(account, intent, "refund", -amount, 0, refund)
        self._tell(account, "refund.created", refund)
        answer = copy_of(refund)
        if intent["payment_method"] == REFUND_FAILS_AT_ONCE:
            self.overtaken.add(refund["id"])
            self.finish_refund(account, refund["id"], "failed")
        return 200, answer

    # ------------------------------------------------------------ what happens later

    def refundable(self, account: StripeAccount, intent: Json) -> int:
        """What may still be refunded or disputed of a charge."""
        back = sum(
            refund["amount"]
            for refund in account.refunds.values()
            if refund["payment_intent"] == intent["id"] and refund["status"] != "failed"
        )
        taken = sum(
            dispute["amount"]
            for dispute in account.disputes.values()
            if dispute["payment_intent"] == intent["id"]
        )
        return int(intent["amount_received"] - back - taken)

    def finish_refund(self, account: StripeAccount, refund_id: str, status: str) -> None:
        """A pending refund succeeds, or one fails: then the money is back on the balance."""
        refund = account.refunds[refund_id]
        refund["status"] = status
        refund.pop("pending_reason", None)
        if status == "failed":
            refund["failure_reason"] = "lost_or_stolen_card"
            intent = account.intents[refund["payment_intent"]]
            self._moved(account, intent, "refund_failure", refund["amount"], 0, refund)
            self._tell(account, "refund.failed", refund)
        self._tell(account, "refund.updated", refund)

    def open_dispute(self, account: StripeAccount, intent_id: str, amount: int) -> str:
        """A bank takes a payment back, or a part of it, for a fee; the dispute's id."""
        intent = account.intents[intent_id]
        dispute: Json = {
            "id": self._id("du"),
            "object": "dispute",
            "amount": amount,
            "balance_transactions": [],
            "created": int(self.epoch + self.now()),
            "currency": intent["currency"],
            "payment_intent": intent_id,
            "status": "needs_response",
        }
        account.disputes[dispute["id"]] = dispute
        moved = self._moved(account, intent, "dispute", -amount, DISPUTE_FEE, dispute)
        dispute["balance_transactions"].append(moved)
        self._tell(account, "charge.dispute.created", dispute)
        self._tell(account, "charge.dispute.funds_withdrawn", dispute)
        return str(dispute["id"])

    def close_dispute(self, account: StripeAccount, dispute_id: str, *, won: bool) -> None:
        """The dispute is decided; one that is won is paid back, without its fee."""
        dispute = account.disputes[dispute_id]
        dispute["status"] = "won" if won else "lost"
        if won:
            intent = account.intents[dispute["payment_intent"]]
            amount = dispute["amount"]
            moved = self._moved(account, intent, "dispute_reversal", amount, 0, dispute)
            dispute["balance_transactions"].append(moved)
            self._tell(account, "charge.dispute.funds_reinstated", dispute)
        self._tell(account, "charge.dispute.closed", dispute)

    def finish_refunds(self) -> None:
        """Every pending refund succeeds."""
        for account in self.accounts.values():
            for refund_id, refund in account.refunds.items():
                if refund["status"] == "pending":
                    self.finish_refund(account, refund_id, "succeeded")

    # ------------------------------------------------------------ books and events

    def _moved(
        self,
        account: StripeAccount,
        intent: Json,
        category: str,
        amount: int,
        fee: int,
        source: Json | None = None,
    ) -> Json:
        about = source or intent["latest_charge"]
        currency = intent["currency"].upper()
        moved = Movement(
            id=self._id("txn"),
            at=self.now(),
            kind=STRIPES_KINDS[category],
            amount=from_stripe(amount, currency),
            fee=from_stripe(fee, currency),
            currency=currency,
            payment_id=intent["metadata"].get("reference"),
            transaction_id=(source or {}).get("metadata", {}).get("reference"),
            dispute_id=about["id"] if about.get("object") == "dispute" else None,
            processor_ids=(about["id"], intent["latest_charge"]["id"], intent["id"]),
        )
        account.movements.append(moved)
        return {"id": moved.id, "amount": amount, "fee": fee, "currency": intent["currency"]}

    def _tell(self, account: StripeAccount, kind: str, about: Json) -> None:
        event = {
            "id": self._id("evt"),
            "object": "event",
            "type": kind,
            "created": int(self.epoch + self.now()),
            "data": {"object": copy_of(about)},
        }
        account.events.append(event)
        self.on_event(account, event)

    def _id(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}_{self._number:024d}"
