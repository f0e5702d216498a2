"""Examples of merchants, API keys, customers and payment methods."""

from __future__ import annotations

from simulation.api_examples.book import SANDBOX_SECRET, Book
from simulation.partners.receivers import Endpoints
from simulation.platform.http import EVERYTHING, OPERATOR, token


def merchants(book: Book) -> None:
    """A merchant is created, and changed. The other examples are of its token."""
    made = book.example(
        "createMerchant",
        "A merchant at the sandbox",
        body={
            "name": "Corner Shop",
            "email": "owner@corner.example",
            "processor": "sandbox",
            "processor_config": {"webhook_secret": SANDBOX_SECRET},
            "webhook_url": Endpoints.url_of("corner"),
            "rate_limits": {"payments_per_minute": 60},
        },
        by=OPERATOR,
    )
    book.known["merchant"] = made["id"]
    book.shop = token(made["id"], *EVERYTHING, subject="user_1")
    path = {"id": made["id"]}
    book.example("getMerchant", "A merchant", path=path)
    book.example("listMerchants", "By email address", query={"email": made["email"]}, by=OPERATOR)
    book.example(
        "changeMerchant",
        "Another name",
        path=path,
        body={"version": made["version"], "name": "Corner Shop Ltd"},
    )
    book.example(
        "changeMerchant",
        "An old version",
        path=path,
        body={"version": made["version"], "name": "Corner Shop"},
        expect=409,
    )
    book.example("rotateWebhookSecret", "Keep the old secret for a day", path=path)


def webhook_endpoints(book: Book) -> None:
    """A second endpoint is created, tested, changed, recovered and deleted."""
    made = book.example(
        "createWebhookEndpoint",
        "An endpoint for refunds",
        body={
            "url": Endpoints.url_of("corner-refunds"),
            "events": ["refund.succeeded", "refund.failed"],
            "description": "Customer service",
        },
    )
    path = {"id": made["id"]}
    book.example(
        "createWebhookEndpoint",
        "An unknown type of event",
        body={"url": Endpoints.url_of("corner-refunds"), "events": ["refund.lost"]},
        expect=422,
    )
    book.example("listWebhookEndpoints", "All endpoints")
    book.example("getWebhookEndpoint", "An endpoint", path=path)
    book.example("testWebhookEndpoint", "Send a test", path=path)
    book.example(
        "changeWebhookEndpoint",
        "All events",
        path=path,
        body={"version": made["version"], "events": None},
    )
    book.example("rotateWebhookEndpointSecret", "Keep the old secret for a day", path=path)
    since = {"since": made["created_at"]}
    book.example("recoverWebhookEndpoint", "Everything since a time", path=path, body=since)
    book.sleep(10.0)  # the test arrives
    book.example("deleteWebhookEndpoint", "Delete an endpoint", path=path)


def processors(book: Book) -> None:
    """Another merchant moves from the sandbox to Stripe; the sandbox's keys are deleted."""
    api_key = "sk_test_example"
    book.open_stripe_account(api_key)
    needed = {"name": "Bazaar", "email": "owner@bazaar.example"}
    made = book.example("createMerchant", "Required fields only", body=needed, by=OPERATOR)
    path = {"id": made["id"]}
    book.example(
        "changeMerchant",
        "Move to Stripe",
        path=path,
        body={
            "version": made["version"],
            "processor": "stripe",
            "processor_config": {"api_key": api_key, "webhook_secret": "whsec_of_the_endpoint"},
        },
        by=OPERATOR,
    )
    listed = book.example("listProcessorAccounts", "Stripe and the sandbox", path=path, by=OPERATOR)
    left = listed["data"][-1]["account"]
    book.example(
        "removeProcessorAccount", "The sandbox's", path={**path, "account": left}, by=OPERATOR
    )


def api_keys(book: Book) -> None:
    """A key is created, listed and revoked."""
    made = book.example(
        "createApiKey", "A key for reports", body={"name": "reports", "permissions": ["reports"]}
    )
    book.example("listApiKeys", "All keys")
    book.example("revokeApiKey", "Revoke a key", path={"id": made["id"]})


def customers(book: Book) -> None:
    """A customer with a card."""
    made = book.example(
        "createCustomer",
        "A customer",
        body={
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "phone": "+49 30 5550 123",
            "metadata": {"shop_id": "4711"},
        },
    )
    path = {"id": made["id"]}
    card = book.example(
        "addPaymentMethod",
        "A card",
        path=path,
        body={
            "type": "card",
            "token": "tok_approved",
            "last4": "4242",
            "brand": "visa",
            "expiry_month": 12,
            "expiry_year": 2030,
            "is_default": True,
        },
    )
    book.example(
        "addPaymentMethod",
        "A card number instead of a token",
        path=path,
        body={"type": "card", "token": "4242424242424242", "last4": "4242"},
        expect=422,
    )
    book.example("getCustomer", "A customer with a card", path=path)
    book.example("findCustomers", "By email address", query={"email": "ADA@example.com"})
    book.example("changeCustomer", "Another phone number", path=path, body={"phone": "+49 1710"})
    other = {"type": "card", "token": "tok_approved", "last4": "1881"}
    second = book.example("addPaymentMethod", "A second card", path=path, body=other)
    book.example("removePaymentMethod", "Remove a card", path={**path, "pm_id": second["id"]})
    book.known |= {"customer": made["id"], "card": card["id"]}


def lockout(book: Book) -> None:
    """A customer is locked after three declined payments, unlocked, and erased."""
    person = {"name": "Charles Babbage", "email": "charles@example.com"}
    made = book.example("createCustomer", "Required fields only", body=person)
    declined = {
        "amount": 1000,
        "currency": "EUR",
        "customer_id": made["id"],
        "payment_method": "tok_declined",
    }
    for attempt in ("Declined", "Declined again", "Declined a third time"):
        book.example("createPayment", attempt, body=declined, expect=402)
    book.example("createPayment", "The customer is locked", body=declined, expect=423)
    path = {"id": made["id"]}
    book.example("unlockCustomer", "Unlock a customer", path=path, by=OPERATOR)
    book.example("eraseCustomer", "Erase a customer", path=path)
    book.example("getCustomer", "An erased customer", path=path, expect=404)
