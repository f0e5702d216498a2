"""Examples of accounts, transfers and payments."""

from __future__ import annotations

from typing import Any

from simulation.api_examples.book import Book
from simulation.platform.http import OPERATOR

EUR = {"currency": "EUR"}


def accounts(book: Book) -> None:
    """Two accounts, one with money."""
    funded = book.example(
        "createAccount",
        "With an opening balance",
        body={
            "account_type": "wallet",
            "opening_balance": 100_000,
            "merchant_id": book.known["merchant"],
            **EUR,
        },
        by=OPERATOR,
    )
    wallet = book.example(
        "createAccount",
        "A customer's wallet",
        body={
            "account_type": "wallet",
            "account_number": "W-4711",
            "customer_id": book.known["customer"],
            **EUR,
        },
    )
    book.known |= {"funded": funded["id"], "wallet": wallet["id"]}
    book.example("getAccount", "An account with money", path={"id": funded["id"]})
    book.example("listAccounts", "Of a customer", query={"customer_id": book.known["customer"]})


def transfers(book: Book) -> None:
    """Transfers and holds."""
    moved = {"from_account_id": book.known["funded"], "to_account_id": book.known["wallet"], **EUR}
    made = book.example(
        "createTransfer",
        "At once",
        body={
            **moved,
            "amount": 2500,
            "description": "Refund of a deposit",
            "metadata": {"order": "1001"},
            "expand": ["balances_after"],
        },
    )
    book.example(
        "createTransfer",
        "Two legs",
        body={"legs": [{**_leg(moved), "amount": 300}, {**_leg(moved), "amount": 200}], **EUR},
    )
    book.example(
        "createTransfer", "Insufficient funds", body={**moved, "amount": 9_000_000}, expect=422
    )
    holding = {**moved, "amount": 1000, "hold": True, "expires_in_seconds": 86_400}
    first = book.example("createTransfer", "A hold for a day", body=holding)
    second = book.example("createTransfer", "A hold to cancel", body=holding)
    book.example("postTransfer", "A part", path={"id": first["id"]}, body={"amount": 600})
    book.example("postTransfer", "Posted before", path={"id": first["id"]}, expect=409)
    book.example("cancelTransfer", "Release the amount", path={"id": second["id"]})
    book.example("getTransfer", "A transfer", path={"id": made["id"]})
    book.wait(30)
    book.example(
        "listTransfers", "Of an account", query={"account_id": book.known["wallet"], "limit": "2"}
    )
    book.example("listEntries", "A statement", path={"id": book.known["wallet"]})
    book.example(
        "getBalance",
        "A minute after the beginning",
        path={"id": book.known["funded"]},
        query={"at": "2026-03-14T09:04:00Z"},
    )


def accounts_closed(book: Book) -> None:
    """What operators do with an account."""
    made = book.example(
        "createAccount", "Required fields only", body={"account_type": "savings", **EUR}
    )
    for operation, title in (
        ("deactivateAccount", "Stop transfers"),
        ("activateAccount", "Allow transfers again"),
        ("unlockAccount", "End a lock"),
        ("closeAccount", "Close an account"),
    ):
        book.example(operation, title, path={"id": made["id"]}, by=OPERATOR)


def payments(book: Book) -> None:
    """Payments: at once, authorized, declined, unknown."""
    sale = {"amount": 4099, **EUR, "payment_method": book.known["card"]}
    paid = book.example(
        "createPayment",
        "A stored card",
        body={
            **sale,
            "customer_id": book.known["customer"],
            "reference": "1001",
            "description": "Order 1001",
            "metadata": {"channel": "web"},
        },
    )
    authorized = _authorized(book, "Authorize only")
    book.example(
        "createPayment",
        "Insufficient funds",
        body={"amount": 1000, **EUR, "payment_method": "tok_insufficient_funds"},
        expect=402,
    )
    lost = {"amount": 1500, **EUR, "payment_method": "tok_timeout"}
    book.example("createPayment", "The processor's answer was lost", body=lost, expect=202)
    wrong = {"amount": 19.99, "currency": "eur", "payment_method": "tok_approved"}
    book.example("createPayment", "Two invalid fields", body=wrong, expect=422)
    book.example("createPayment", "An unknown field", body={**sale, "amout": 1}, expect=400)
    path = {"id": authorized["id"]}
    book.example(
        "capturePayment", "A part, more follows", path=path, body={"amount": 1000, "final": False}
    )
    book.example("capturePayment", "The rest", path=path)
    book.example("capturePayment", "Nothing left", path=path, expect=409)
    voided = _authorized(book, "Authorize again")
    book.example("cancelPayment", "Release the amount", path={"id": voided["id"]})
    path = {"id": paid["id"]}
    refunded = book.example(
        "refundPayment", "A part", path=path, body={"amount": 500, "reason": "Damaged"}
    )
    book.example("refundPayment", "Too much", path=path, body={"amount": 5000}, expect=422)
    fails = {"amount": 1200, **EUR, "payment_method": "tok_refund_fails"}
    kept = book.example("createPayment", "Its refund will fail", body=fails)
    book.example("refundPayment", "Declined", path={"id": kept["id"]}, expect=402)
    book.known |= {"payment": paid["id"], "transaction": refunded["transactions"][0]["id"]}
    acts = {"amount": 2700, **EUR, "payment_method": "tok_requires_action"}
    waits = book.example("createPayment", "The customer has to act", body=acts, expect=202)
    action = {"action": waits["next_action"]["url"].rpartition("/")[2]}
    book.example("showSandboxAction", "The page", path=action)
    book.example("decideSandboxAction", "Approve", path=action, form={"decision": "approve"})
    book.wait(30)
    book.example("getPayment", "A refunded payment", path=path)
    book.example("getPayment", "Another merchant's, or none", path={"id": "pay_0"}, expect=404)
    book.example("listPayments", "Two a page", query={"status": "succeeded", "limit": "2"})
    book.example("listPayments", "Of an order", query={"reference": "1001"})
    book.example("summarizePayments", "The last 30 days")
    book.example("summarizePayments", "Day by day", query={"interval": "day"})
    book.example("getTransaction", "A capture", path={"id": book.known["transaction"]})
    book.example("listTransactions", "Of a payment", query={"payment_id": paid["id"]})
    book.example("listIdempotencyKeys", "Two a page", query={"limit": "2"})


def disputes(book: Book) -> None:
    """A dispute that is booked, and one that is kept until it can be; both are decided."""
    about = {"reference": book.known["payment"], "amount": 400}
    opened = {"type": "dispute_opened", **about, "fee": 15}
    book.notification(
        "A dispute is opened", {"id": "evt_1", **opened, "dispute_id": "dp_1", "currency": "EUR"}
    )
    other = {**opened, "dispute_id": "dp_2"}
    book.notification("In another currency", {"id": "evt_2", **other, "currency": "USD"})
    kept = book.example("listProcessorEvents", "All", by=OPERATOR)["data"][0]
    book.notification(
        "Corrected", {"id": "evt_3", **other, "currency": "EUR", "silent": True}, record=False
    )
    book.example("applyProcessorEvent", "Apply it again", path={"id": kept["id"]}, by=OPERATOR)
    for number, (outcome, dispute) in enumerate((("won", "dp_1"), ("lost", "dp_2")), start=4):
        decided = {"type": f"dispute_{outcome}", **about, "dispute_id": dispute, "currency": "EUR"}
        book.notification(f"A dispute is {outcome}", {"id": f"evt_{number}", **decided})


def _authorized(book: Book, title: str) -> Any:
    body = {"amount": 3000, **EUR, "payment_method": "tok_approved", "capture_method": "manual"}
    return book.example("createPayment", title, body=body)


def _leg(moved: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in moved.items() if name != "currency"}
