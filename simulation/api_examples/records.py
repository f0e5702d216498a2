"""Examples of settlements, exports, webhooks, alerts, the audit log and the system."""

from __future__ import annotations

from simulation.api_examples.book import Book
from simulation.platform.http import OPERATOR

HEADER = "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,settlement_date"


def unverified(book: Book) -> None:
    """The ledger before its first verification, which a schedule starts some minutes later."""
    book.example("getProof", "Nothing is verified yet", by=OPERATOR)


def settlements(book: Book) -> None:
    """A file with one line that matches, one that differs and two that are unexpected."""
    paid = book.example("getPayment", "Before its settlement", path={"id": book.known["payment"]})
    charge = paid["transactions"][0]
    fee = charge["fee"]
    days = "EUR,2026-03-14,2026-03-15"
    lines = [
        HEADER,
        f"{paid['id']},{charge['id']},settled,4099,{fee},{4099 - fee},{days}",
        f"pay_unknown,txn_a,settled,500,0,500,{days}",
        f"pay_unknown,txn_b,settled,700,0,700,{days}",
        f"pay_unknown,txn_c,settled,900,0,900,{days}",
    ]
    made = book.example("createSettlementFile", "A canonical file", body={"name": "2026-03-15.csv"})
    book.upload(made["upload_url"], "\n".join([*lines, ""]).encode())
    book.wait(60)
    path = {"id": made["id"]}
    file = book.example("getSettlementFile", "Processed, with exceptions", path=path)
    book.example("listSettlementFiles", "All")
    path = {"id": file["settlement_ids"][0]}
    book.example("getSettlement", "With open exceptions", path=path)
    book.example("listSettlements", "Of a day", query={"start_date": "2026-03-15"})
    book.example("listSettlementLines", "All lines", path=path)
    book.example("getSettlementReport", "Links to the report", path=path)
    listed = book.example("listExceptions", "Open exceptions", query={"settlement_id": path["id"]})
    first, second, third = (each["line"] for each in listed["data"])
    ignored = {"action": "ignore", "note": "Of another shop"}
    book.example(
        "resolveException",
        "Ignore a line",
        path={"settlement_id": path["id"], "line": str(first)},
        body=ignored,
    )
    lines_of = [
        {"settlement_id": path["id"], "line": second, **ignored},
        {"settlement_id": path["id"], "line": first, **ignored},
    ]
    book.example("resolveExceptions", "One is decided before", body={"lines": lines_of})
    book.example(
        "resolveException",
        "For operators only",
        path={"settlement_id": path["id"], "line": str(third)},
        body={"action": "write_off", "note": "Too small to ask"},
        expect=403,
    )
    book.example(
        "resolveException",
        "Write a line off",
        path={"settlement_id": path["id"], "line": str(third)},
        body={"action": "write_off", "note": "Too small to ask"},
        by=OPERATOR,
    )


def exports(book: Book) -> None:
    """An export from the request to the file."""
    made = book.example(
        "createExport",
        "Payments of a month as CSV",
        body={"kind": "payments", "format": "csv", "start_date": "2026-03-01"},
    )
    book.wait(60)
    book.example("getExport", "Completed", path={"id": made["id"]})
    book.example("listExports", "All")


def alerts(book: Book) -> None:
    """Many payments of one customer within a minute, and a large one."""
    sale = {
        "amount": 100,
        "currency": "EUR",
        "customer_id": book.known["customer"],
        "payment_method": book.known["card"],
    }
    for number in range(5):
        book.send("createPayment", {**sale, "amount": 100 + number}, at_once=True)
    book.send("createPayment", {**sale, "amount": 500_000_000})
    book.wait(30)
    book.example("listAlerts", "All")


def webhooks(book: Book) -> None:
    """Deliveries, and one more on request."""
    book.wait(30)
    listed = book.example(
        "listWebhooks", "Delivered ones", query={"status": "delivered", "limit": "2"}
    )
    path = {"id": listed["data"][0]["id"]}
    book.example("getWebhook", "A delivery", path=path)
    book.example("redeliverWebhook", "Send it again", path=path)
    book.example("getPaymentTimeline", "A refunded payment", path={"id": book.known["payment"]})


def audit(book: Book) -> None:
    """Who changed an account, and the proof of its chain."""
    account = book.known["wallet"]
    book.example("listAudit", "Changes of an account", query={"entity_id": account, "limit": "2"})
    book.example("verifyAudit", "A valid chain", path={"entity_id": account})


def system(book: Book) -> None:
    """What needs no token, and the last verification of the ledger."""
    book.example("health", "The API answers")
    book.example("openapi", "This document")
    book.example("docs", "The page")
    book.example("errors", "The list")
    book.prove()
    book.example("getProof", "The books balance", by=OPERATOR)
    book.example("getOperations", "Nothing waits for a person", by=OPERATOR)
