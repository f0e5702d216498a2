"""What the document says in words: about the API, its tags, its operations and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

INTRODUCTION: Final = """\
Payments, customers, accounts, transfers and settlements.

- **Amounts** are integers in minor units of their currency: 1000 is 10.00 USD, and 1000 JPY.
- **Times** are in UTC, as ISO 8601 with milliseconds.
- **Ids** begin with their kind (`pay_…`, `cus_…`) and sort by time of creation.
- **Errors** are RFC 9457 problem documents. `code` is stable: decide by it, and show `detail` to
  people. `type` is a link to what to do about it, on the page `/v1/docs/errors`.
- **Repeat a POST safely** with an `Idempotency-Key`: the same key and body get the first answer
  again.
- **Lists** are newest first. Send `next_cursor` as `cursor`, with the same filters, for the next
  page. A list may be seconds behind; reads by id are not.
- **Every answer** has the id of its request in the header `x-request-id`: quote it to support.
- **Versions.** Fields, events and codes may be added; ignore those that you do not know.
"""
TAGS: Final[Mapping[str, str]] = {
    "merchants": "Merchants: their processor, limits, webhook URL and secrets.",
    "api keys": "Keys for machine clients, as an alternative to tokens.",
    "customers": "Customers and their stored payment methods. Personal data is stored encrypted.",
    "accounts": "Accounts of the ledger: balances, entries, and balances of the past.",
    "transfers": "Money moved between accounts, at once or as a hold that is posted later.",
    "payments": "Charges, authorizations, captures and refunds through the processor.",
    "idempotency keys": "Recent requests that were sent with an Idempotency-Key.",
    "processor events": "Notifications of processors: disputes and returned refunds.",
    "sandbox": "The page of the sandbox on which a customer authenticates (test mode only).",
    "settlements": "Settlement files of processors, matched line by line with what is booked.",
    "exports": "Lists written into files.",
    "alerts": "What compliance rules and the platform noticed.",
    "webhooks": "Events sent to merchants, and their deliveries.",
    "audit": "Who changed what, when, from what to what; and the proof that it was not edited.",
    "proof": "The last verification of the ledger.",
    "operations": "The state of the stage's background work, for operators.",
    "system": "The API itself.",
}
NOTES: Final[Mapping[str, str]] = {
    "createMerchant": (
        "The webhook secret, given or generated, is in this answer and in no other. The "
        "processor's keys are checked at the processor, stored encrypted and never shown."
    ),
    "getMerchant": "The merchant without its secrets.",
    "listMerchants": "All merchants, or the one with an email address.",
    "changeMerchant": (
        "Omitted fields keep their values. Send the `version` that you read: if the merchant has "
        "changed since, the answer is 409 `stale_version` and nothing is changed."
    ),
    "rotateWebhookSecret": (
        "The new secret is in this answer and in no other. For 24 hours webhooks have "
        "signatures by both, unless `revoke_old` is true."
    ),
    "listProcessorAccounts": "The current account first, then those that the merchant has left.",
    "removeProcessorAccount": "Refused (409 `processor_in_use`) while payments need the keys.",
    "createApiKey": (
        "The secret is in this answer and in no other. A key never has a permission that its maker "
        "lacks."
    ),
    "listApiKeys": "Keys without their secrets.",
    "revokeApiKey": (
        "Requests with the key are refused from then on, within seconds. Keys that were created "
        "with it stay valid: their `created_by` names it."
    ),
    "createCustomer": "Name, email address and phone number are encrypted with a key of their own.",
    "getCustomer": "The customer with its stored payment methods, without their tokens.",
    "findCustomers": "All customers, or those with an email address, regardless of case.",
    "changeCustomer": (
        "Omitted fields keep their values; `metadata` replaces all of it. Send the `version` that "
        "you read: if the customer has changed since, the answer is 409 `stale_version` and "
        "nothing is changed."
    ),
    "eraseCustomer": (
        "Deletes the keys of the personal data, which cannot be decrypted afterwards. The "
        "customer's payments stay; the customer is answered 404."
    ),
    "unlockCustomer": "Ends the lock after failed payments or transfers before its time.",
    "addPaymentMethod": (
        "Stores the processor's token for a card or bank account. Charge it with the `id` of the "
        "answer, `pm_…`. Card numbers and security codes are refused (422)."
    ),
    "removePaymentMethod": "Payments that were made with it stay.",
    "createAccount": (
        "An opening balance is booked as a transfer, and needs an Idempotency-Key. The types "
        "`merchant` and `system`, an opening balance, a credit limit and hot accounts are for "
        "operators."
    ),
    "getAccount": (
        "Strongly consistent; the balance of a hot account is seconds behind: see `as_of`."
    ),
    "listAccounts": "By number, by customer, or by status and type.",
    "listEntries": "The account's statement: every change with the exact balance after it.",
    "getBalance": "The balance as it was at a time, from the account's entries.",
    "deactivateAccount": "Transfers from and to the account are refused from then on.",
    "activateAccount": "Takes a deactivation back.",
    "unlockAccount": "Ends a lock before its time.",
    "closeAccount": "Cannot be undone. Refused while the balance is not zero or a hold is open.",
    "createTransfer": (
        "Booked in one commit, all legs or none. With `hold` the amount is only held: post it, or "
        "cancel it, before it expires. A refusal for lack of funds, or of an inactive or locked "
        "account, is recorded as a failed transfer: see `transfer_id` of the problem."
    ),
    "postTransfer": (
        "Books a hold. A part releases the rest: a hold is posted once. Whoever may not transfer "
        "from or to one of its accounts may not post it either (403): holds on accounts of type "
        "`merchant` or `system`, or with posting `folded`, are for operators."
    ),
    "cancelTransfer": "Releases all of the held amount. For whom: as for posting the hold.",
    "getTransfer": "Strongly consistent.",
    "listTransfers": "All transfers, or those of a customer, an account, or in a status.",
    "createPayment": (
        "Charges the payment method at the merchant's processor. 201: it succeeded, or is "
        "authorized with `capture_method` `manual`. 402: it was declined, and is recorded as "
        "failed. 202: the processor's answer was lost, and the payment is `unknown`; the platform "
        "finds out what happened; or it is `requires_action`, and the customer has to do what "
        "`next_action` says. A repetition with the same Idempotency-Key never charges twice."
    ),
    "capturePayment": (
        "Takes an authorized amount, all or a part of it. `final` defaults to true and releases "
        "the rest; with `final` false more captures can follow. 202: the processor's answer is not "
        "known yet; read the payment again."
    ),
    "cancelPayment": (
        "Releases what was authorized and not captured, or stops waiting for the customer. 402: "
        "the customer has just approved the payment."
    ),
    "refundPayment": (
        "Returns captured money, all or a part of it, as often as something is left. 202: the "
        "processor's answer is not known yet; read the payment again."
    ),
    "getPayment": "Strongly consistent, with its transactions.",
    "listPayments": (
        "All payments, narrowed by any of the filters. By `idempotency_key`: the payment of one "
        "request."
    ),
    "getPaymentTimeline": (
        "Its creation, transactions, postings in the ledger, changes in the audit log, webhooks, "
        "settlement lines and disputes. Audit rows, webhooks and settlement lines follow within "
        "seconds. Postings of settlement lines, alerts, and webhooks to endpoints that were "
        "deleted since are not in it."
    ),
    "summarizePayments": (
        "Counts and sums of a period, the last 30 days by default; never across currencies. "
        "Payments are counted seconds after they happen."
    ),
    "getTransaction": "The transaction, and the settlement lines that are about it.",
    "listTransactions": (
        "Exactly one of `payment_id`, `processor_id` and `status` is needed. By `processor_id` "
        "what the processor calls by that id is found, such as `ch_…` of Stripe."
    ),
    "listIdempotencyKeys": "Without the answers: repeat a request to get its answer.",
    "receiveProcessorEvent": (
        "Books disputes and returned refunds. What cannot be booked is kept for an operator, and "
        "answered 200, too: it need not be sent again."
    ),
    "showSandboxAction": (
        "`next_action.url` of a payment with `tok_requires_action`: a page with two buttons, "
        "without scripts. Only who knows the address can use it."
    ),
    "decideSandboxAction": (
        "Decides once, as the customer: the payment is approved, or fails. 303 leads back to "
        "`return_url`. 409: it was decided otherwise, or canceled."
    ),
    "listProcessorEvents": "Notifications that could not be booked, each with its reason.",
    "applyProcessorEvent": "Asks the processor for its present state, and books that.",
    "createSettlementFile": (
        "PUT the file to `upload_url`, with `upload_headers`, before it expires."
    ),
    "listSettlementFiles": "All files, or those in a status.",
    "getSettlementFile": "Poll it until the status is final.",
    "listSettlements": "All settlements, or those in a status, or of some days.",
    "getSettlement": "What was paid out, and of what lines it is made up.",
    "listSettlementLines": "All lines, or those in a status or of a type.",
    "getSettlementReport": "The links are signed, and work without a token until they expire.",
    "listExceptions": "What is missing, unexpected or different, and has no decision yet.",
    "resolveException": (
        "All decisions but `ignore` also need the permission `transfers`; `write_off` is for "
        "operators. `undo` takes the last decision back."
    ),
    "resolveExceptions": "Each decision is judged and booked alone; see `problem` of each result.",
    "createExport": (
        "Written in the background: poll the export, or wait for the event `export.completed`."
    ),
    "listExports": "All exports, or those in a status.",
    "getExport": "Once it is completed, `result_url` is a link that works for 15 minutes.",
    "listAlerts": "A merchant's own, or all for an operator.",
    "listWebhooks": "All deliveries, or those in a status or of a type.",
    "getWebhook": "The delivery with its attempts.",
    "redeliverWebhook": "Whatever its status; its retries start over.",
    "createWebhookEndpoint": (
        "It receives every event that happens after this answer. Its secret is in this answer and "
        "in no other. A merchant has at most 16 endpoints, that of its `webhook_url` included."
    ),
    "listWebhookEndpoints": "The endpoint of the merchant's `webhook_url` comes last.",
    "getWebhookEndpoint": "The endpoint without its secret.",
    "changeWebhookEndpoint": (
        "Send the `version` that you read: if the endpoint has changed since, the answer is 409 "
        "`stale_version`. What a disabled endpoint misses is recorded as failed: recover it later."
    ),
    "deleteWebhookEndpoint": "What waits for it ends as `expired`.",
    "testWebhookEndpoint": "Sent at once, also to an endpoint that is disabled or paused.",
    "recoverWebhookEndpoint": (
        "Also what still waits for a retry. Ends the pause of the endpoint. At most 500 webhooks "
        "for each request: while `has_more` is true, send another one."
    ),
    "rotateWebhookEndpointSecret": (
        "The new secret is in this answer and in no other. For 24 hours webhooks have "
        "signatures by both, unless `revoke_old` is true."
    ),
    "listAudit": (
        "Exactly one of `entity_id`, `action`, `user_id` and `request_id` is needed. By "
        "`request_id`: everything that one request changed. With `include=record` anyone can "
        "recompute the hashes, as docs/audit.md shows."
    ),
    "verifyAudit": "Recomputes the hash of every row of the chain.",
    "getProof": (
        "The books balance, holds agree with accounts, and more: each check with its count. Before "
        "the first completed run `holds` and `as_of` are null, and `checks` is empty."
    ),
    "getOperations": (
        "A run that is killed, as at its timeout, or whose function cannot start, records nothing: "
        "its schedule becomes late, or keeps `late` null if none of its runs has ended yet. The "
        "canary's runs are in the log and its alarm, and not here. Of a change stream with several "
        "shards the last batch of any shard is shown, but for two minutes no good one after one "
        "that failed. A consumer that is killed notes nothing: the metric IteratorAge shows it."
    ),
    "health": "Answers without touching any table.",
    "openapi": "Supports entity tags, and gzip.",
    "docs": "Try requests against this API; needs no other host.",
    "errors": "`type` of a problem leads to its code on this page.",
}
"""By operation: what its summary does not say."""
ANSWERS: Final[Mapping[tuple[str, int], str]] = {
    ("createPayment", 201): "The payment succeeded, or is authorized (`requires_capture`).",
    (
        "createPayment",
        202,
    ): "The outcome is not known yet, or the customer has to act. Poll it, or wait for the event.",
    ("capturePayment", 200): "The payment after the capture, with its transactions.",
    ("capturePayment", 202): "The processor's answer is not known yet.",
    ("cancelPayment", 200): "The payment after the release, with its transactions.",
    ("cancelPayment", 202): "The processor's answer is not known yet.",
    ("refundPayment", 200): "The payment after the refund, with its transactions.",
    ("refundPayment", 202): "The processor's answer is not known yet.",
    ("createExport", 202): "The export is queued.",
    ("redeliverWebhook", 202): "The delivery is queued.",
    ("testWebhookEndpoint", 202): "The test is queued.",
    ("recoverWebhookEndpoint", 202): "The webhooks are queued.",
}
"""By operation and status: what the status alone does not say."""
REFUSALS: Final[Mapping[int, str]] = {
    400: "Malformed: the JSON, an unknown field or parameter, the cursor or the Idempotency-Key.",
    401: "The token or API key is missing, invalid or expired.",
    402: "The processor declined; see `decline_code`.",
    403: "The token or key lacks the permission.",
    404: "It does not exist, or belongs to another merchant.",
    409: "The present state does not allow it, or the first request with this key still runs.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "A field is missing or has a wrong value, or the request is not acceptable; see `errors`.",
    423: "The customer or account is locked after failed attempts; see Retry-After.",
    429: "Too many requests: the merchant's limit, or the stage's own.",
    500: "An internal error; report the request id.",
    503: "Temporarily unavailable: send the same request, with the same key, after Retry-After.",
}
