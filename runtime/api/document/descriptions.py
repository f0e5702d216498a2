"""Descriptions of fields and parameters whose models give none.

A `Field(description=…)` of a model comes first. Here `Model.field` is for one model and what
inherits from it; `field` is for every model that has it. Keys name the Python classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.api.document.account_descriptions import ACCOUNTS

_COMMON: Final[Mapping[str, str]] = {
    "id": "The resource's id. Ids sort by time of creation.",
    "version": "Starts at 1 and increases by 1 with every change.",
    "created_at": "When the resource was created, in UTC.",
    "updated_at": "When the resource last changed, in UTC.",
    "data": "The items of this page.",
    "limit": "Items per page.",
    "merchant_id": "The merchant that owns the resource; `platform` for the operator's own.",
    "name": "A name for people.",
    "email": "Email address.",
    "phone": "Phone number.",
    "metadata": (
        "Up to 50 pairs of key and value for your own use, such as an order number. Never put card "
        "data into them: such a request is refused."
    ),
    "currency": "ISO 4217 code in capitals, such as USD.",
    "amount": "In minor units of the currency: 1000 is 10.00 USD, and 1000 JPY.",
    "description": "Your own description, for people.",
    "customer_id": "The customer, `cus_…`.",
    "payment_id": "The payment, `pay_…`.",
    "transaction_id": "The transaction, `txn_…`.",
    "settlement_id": "The settlement, `set_…`.",
    "status": "The current status.",
    "type": "The kind.",
    "start_date": "Only items from this day or time on: YYYY-MM-DD or ISO 8601, in UTC.",
    "end_date": "Only items up to this time, or to the end of this day: as `start_date`.",
    "completed_at": "When it was completed, in UTC; null before.",
    "failure_code": "The code of the error, as in the error catalogue; null unless it failed.",
    "failure_reason": "Why it failed, in one sentence; null unless it failed.",
    "reason": "Why, in one sentence.",
    "line": "Number of the line within the settlement.",
    "action": "What to do, or what was done.",
    "attempts": "Attempts so far.",
}
_PAYMENTS: Final[Mapping[str, str]] = {
    "PaymentRequest.payment_method": (
        "A stored payment method of the customer, `pm_…`, or a token of the processor: at the "
        "sandbox `tok_approved`, `tok_declined`, `tok_insufficient_funds`, `tok_timeout` and "
        "others. Never a card number. Required without `customer_id`."
    ),
    "PaymentRequest.customer_id": (
        "The customer who pays, `cus_…`; required for a `pm_…`. Without `payment_method` its "
        "default payment method is charged. Three failed payments in a row lock the customer for "
        "30 minutes."
    ),
    "PaymentRequest.reference": (
        "Your own name for the payment, such as an order number: shown with it, sent to the "
        "processor, and a filter of the list. Several payments may have the same one."
    ),
    "PaymentRequest.currency": "ISO 4217 code in capitals, such as USD.",
    "PaymentRequest.capture_method": (
        "`automatic` takes the money at once. `manual` authorizes it: capture or cancel it later, "
        "before the authorization expires."
    ),
    "PaymentRequest.statement_descriptor": "What the customer reads on the card statement.",
    "CaptureRequest.amount": "A part of the authorized amount. Default: all that is left.",
    "CaptureRequest.final": (
        "True, the default: this is the last capture, and the rest of the authorization is "
        "released. False: more captures can follow."
    ),
    "RefundRequest.amount": "A part of the captured amount. Default: all that is left of it.",
    "RefundRequest.reason": "Why, for your own records; shown with the refund's transaction.",
    "PaymentAnswer.amount": "The charged or authorized amount in minor units.",
    "PaymentAnswer.status": (
        "`succeeded`, `failed` and `canceled` are final. `requires_capture`: capture or cancel it. "
        "`unknown`: the processor's answer was lost. The platform asks the processor until the "
        "outcome is known; wait for the webhook, or read the payment again after 30 seconds and "
        "then less often. Never charge again under a new key meanwhile."
    ),
    "PaymentAnswer.capture_method": "`automatic` or `manual`, as it was requested.",
    "PaymentAnswer.amount_capturable": "What can still be captured, in minor units.",
    "PaymentAnswer.amount_captured": "What was captured, in minor units.",
    "PaymentAnswer.amount_refunded": "What was refunded, in minor units.",
    "PaymentAnswer.payment_method": "The `pm_…` that was charged, or `tok_…` for a token.",
    "PaymentAnswer.customer_id": "The customer who paid, if one was given.",
    "PaymentAnswer.reference": "Your own reference, as it was requested.",
    "PaymentAnswer.statement_descriptor": "What the customer reads on the card statement.",
    "PaymentAnswer.failure_code": "The processor's decline code; null unless the payment failed.",
    "PaymentAnswer.dispute_status": (
        "`opened`: the customer's bank takes the money back for now. `won` and `lost` are final. "
        "Null if there was no dispute."
    ),
    "PaymentDetail.transactions": "What the processor was asked to do, oldest first.",
    "TransactionAnswer.payment_id": "The payment that it belongs to.",
    "TransactionAnswer.type": (
        "`authorization`, `capture`, `refund`, or `void`: the release of an authorization."
    ),
    "TransactionAnswer.amount": "In minor units; always positive, `type` says in which direction.",
    "TransactionAnswer.status": (
        "`pending`: the processor's answer is not known yet. `settled`: it was found in a "
        "settlement file."
    ),
    "TransactionAnswer.fee": "The processor's fee in minor units, as far as it is known.",
    "TransactionAnswer.processor_id": "The processor's own id; null while it is not known.",
    "TransactionAnswer.response_code": "The processor's result code.",
    "TransactionAnswer.response_text": "The processor's result in words.",
    "TransactionAnswer.processed_at": "When its outcome became known; null while it is pending.",
    "TransactionAnswer.reason": "The reason that a refund was given.",
    "TransactionAnswer.settlement_id": "The settlement that it was found in, `set_…`.",
    "TransactionAnswer.audit_trail": "Its changes of status, oldest first.",
    "AuditStep.status": "The status that it took.",
    "AuditStep.at": "When, in UTC.",
    "AuditStep.by": "The user, API key or schedule that caused it.",
    "PaymentQuery.status": "Only payments in this status.",
    "PaymentQuery.customer_id": "Only payments of this customer.",
    "PaymentQuery.currency": "Only payments in this currency.",
    "PaymentQuery.reference": "Only payments with exactly this reference.",
    "PaymentQuery.idempotency_key": (
        "Only payments created with this key, which can be reused after 24 hours."
    ),
    "PaymentQuery.min_amount": "Only payments of at least this amount, in minor units.",
    "PaymentQuery.max_amount": "Only payments of at most this amount, in minor units.",
    "PaymentSummary.start_date": "The beginning of the period.",
    "PaymentSummary.end_date": "The end of the period.",
    "PaymentSummary.total_count": "Payments created in the period.",
    "PaymentSummary.by_status": "Number of payments by status.",
    "PaymentSummary.by_currency": "Sums by currency.",
    "CurrencySummary.count": "Number of payments in the currency.",
    "CurrencySummary.captured": "Captured, in minor units.",
    "CurrencySummary.refunded": "Refunded, in minor units.",
    "CurrencySummary.fees": "The processor's fees, in minor units.",
    "CurrencySummary.net": "Captured less refunded less fees, in minor units.",
    "CurrencySummary.average": "Captured per payment with a capture, rounded down.",
}
_PEOPLE: Final[Mapping[str, str]] = {
    "CustomerRequest.name": "The customer's name; stored encrypted.",
    "CustomerRequest.email": "The customer's email address; stored encrypted, and searchable.",
    "CustomerRequest.phone": "The customer's phone number; stored encrypted.",
    "CustomerPatch.name": "The new name.",
    "CustomerPatch.email": "The new email address.",
    "CustomerPatch.phone": "The new phone number; null removes it.",
    "CustomerPatch.default_method": (
        "The stored method to charge where a payment names only the customer; null removes it."
    ),
    "CustomerQuery.email": "Only the customer with this email address, regardless of case.",
    "CustomerAnswer.payment_methods": "The stored payment methods, without their tokens.",
    "CustomerAnswer.default_method": "The default payment method, `pm_…`; null if there is none.",
    "MethodRequest.type": "`card` or `bank_account`.",
    "MethodRequest.last4": "The last four digits, for display.",
    "brand": "The card's brand, for display.",
    "expiry_month": "The card's expiry month, 1 to 12.",
    "expiry_year": "The card's expiry year, four digits.",
    "bank_name": "The bank's name, for display.",
    "is_default": "Whether it is the customer's default payment method.",
    "MethodRequest.account_type": "The kind of bank account, for display.",
    "StoredMethod.id": "The id to charge: send it as `payment_method` of a payment.",
    "StoredMethod.type": "`card` or `bank_account`.",
    "StoredMethod.last4": "The last four digits, for display.",
    "StoredMethod.account_type": "The kind of bank account, for display.",
    "LockedCustomer.locked_until": "Until when the customer is locked.",
}
_MERCHANTS: Final[Mapping[str, str]] = {
    "MerchantRequest.name": "The merchant's name.",
    "MerchantRequest.email": "The merchant's email address.",
    "MerchantQuery.email": "Only the merchant with this email address.",
    "processor": "The payment processor: `sandbox` or `stripe`.",
    "processor_config": (
        "The processor's keys and settings, stored encrypted and never shown. Stripe: `api_key` "
        "and `webhook_secret`. Sandbox: anything; `webhook_secret` signs its notifications."
    ),
    "webhook_url": "Where events are sent; null: nowhere.",
    "features": "Free labels for your own use.",
    "rate_limits": "Limits of the merchant's payments.",
    "reconciliation": "How closely and how soon settlement files must match.",
    "index_buckets": (
        "How many parts the merchant's indexes have: 1 suits 100 payments a second. It can only "
        "be increased."
    ),
    "payments_per_minute": "Payments per UTC minute; null: no limit.",
    "payments_per_day": "Payments per UTC day; null: no limit.",
    "max_payment_amount": "Largest amount of a payment, in minor units; null: no limit.",
    "tolerance_minor": "Largest difference in amount or fee that still matches, in minor units.",
    "sla_days": "Days after which a transaction that is in no settlement file counts as missing.",
    "MerchantAnswer.status": "Only an `active` merchant takes payments.",
    "MerchantPatch.status": "Only an `active` merchant takes payments. For operators.",
    "NewMerchant.webhook_secret": (
        "Verifies the signatures of webhooks. No other answer contains it: keep it safe."
    ),
    "SecretRotation.revoke_old": (
        "True: earlier secrets stop signing at once. False: they also sign for 24 hours."
    ),
    "ProcessorAccountAnswer.account": "The processor's id of the account.",
    "ProcessorAccountAnswer.left_at": "When the merchant left it; null for the current account.",
    "permissions": "What a request with this key may do.",
    "ApiKeyAnswer.created_by": (
        "The user who created it, or `key:` and the id of the API key that did. Null for keys "
        "created before this was recorded."
    ),
    "ApiKeyAnswer.revoked_at": "When it was revoked; null while it works.",
    "ApiKeyAnswer.last_used_at": "When it was last used, to the hour; null if never.",
}
_EVENTS: Final[Mapping[str, str]] = {
    "event_type": "The type of the event.",
    "WebhookQuery.event_type": "Only deliveries of this type of event.",
    "WebhookQuery.status": "Only deliveries in this status.",
    "WebhookAnswer.payment_id": "The payment that the event is about, if any.",
    "WebhookAnswer.url": "Where it is sent, or was sent last.",
    "WebhookAnswer.status": "`pending` is tried again; the others are final.",
    "WebhookAnswer.last_attempt": "When it was last sent; null before the first attempt.",
    "WebhookAnswer.next_retry": "When it is sent next; null if it is final.",
    "WebhookBody.id": "The event's id, also in the header `webhook-id`; the same at every attempt.",
    "WebhookBody.type": "The type of the event.",
    "WebhookBody.created": "When it happened, in UTC; not when it was sent.",
    "WebhookBody.sequence": (
        "Rises with every change of the resource: of two events about it, the higher is newer."
    ),
    "WebhookBody.data": "The resource after the change, as its GET shows it.",
    "EndpointAnswer.id": (
        "`whe_…`. The endpoint of the merchant's `webhook_url` has the merchant's id after the "
        "prefix."
    ),
    "EndpointAnswer.url": "Where its events are sent.",
    "EndpointAnswer.health": "How it has answered lately.",
    "EndpointHealthAnswer.condition": (
        "`failing`: its last answers were failures; `paused`: nothing is sent until "
        "`paused_until`; `gone`: it answered 410."
    ),
    "EndpointHealthAnswer.consecutive_failures": "Failures since its last success.",
    "EndpointHealthAnswer.paused_until": "When it is tried again; null unless it is paused.",
    "NewEndpoint.secret": (
        "Verifies the signatures of its webhooks. No other answer contains it: keep it safe."
    ),
    "EndpointPatch.url": "Where its events are sent from now on, and what still waits.",
    "EndpointPatch.status": "`enabled` also ends what an answer 410 has caused.",
    "EndpointRecovery.since": "Only events from this time on.",
    "EndpointSecretRotation.revoke_old": "Whether earlier secrets stop signing immediately.",
    "ExportData.kind": "The list that was exported.",
    "ExportData.format": "The format of the file.",
    "ExportData.rows": "Rows of the file.",
    "ExportData.sha256": "Of the file's bytes, in hex.",
    "AlertAnswer.entity_id": "The resource that it is about.",
    "AlertAnswer.type": "What was noticed.",
    "EventAnswer.id": "The processor's id of the notification.",
    "EventAnswer.result": "What became of it; `kept` waits for an operator.",
    "KeptEventQuery.status": "Only events in this status.",
    "KeptEventAnswer.kind": "What happened at the processor.",
    "KeptEventAnswer.event_at": "When it happened at the processor, in UTC.",
    "KeptEventAnswer.charge_id": "The processor's id of the charge, if it named one.",
    "KeptEventAnswer.payment_id": "The payment that it is about, if it is known.",
    "KeptEventAnswer.attempts": "How often it was tried.",
    "KeptEventAnswer.applied_at": "When it was applied; null before.",
}
_RECORDS: Final[Mapping[str, str]] = {
    "AuditQuery.action": "Only changes by this action, such as `balance_debited`.",
    "AuditQuery.user_id": "Only changes by this user or API key.",
    "AuditQuery.entity_id": "Only changes of this resource.",
    "AuditQuery.request_id": "Only changes by this request: the `x-request-id` of its answer.",
    "ListedAuditRow.entity_id": "The resource that changed.",
    "ListedAuditRow.entity_type": "The kind of resource.",
    "ListedAuditRow.sequence": "The row's place in the resource's chain; sorts as text.",
    "ListedAuditRow.timestamp": "When the change was made, in UTC.",
    "ListedAuditRow.version": "The resource's version after the change.",
    "ListedAuditRow.action": "What was done, such as `funds_held`; `out_of_band` past the API.",
    "ListedAuditRow.user_id": "The user, API key or schedule that made the change.",
    "ListedAuditRow.old_values": "The changed fields before; a secret is shown as `changed`.",
    "ListedAuditRow.new_values": "The changed fields after; a secret is shown as `changed`.",
    "ListedAuditRow.changes": "Names of the changed fields.",
    "ListedAuditRow.ip_address": "Address of the client that sent the request.",
    "ListedAuditRow.user_agent": "User agent of the client that sent the request.",
    "ListedAuditRow.request_id": "The request, `req_…`, or the run of a schedule, `run_…`.",
    "ListedAuditRow.cause": "The operation that the change belongs to.",
    "ListedAuditRow.image_hash": "SHA-256 of the whole stored resource after the change, in hex.",
    "ListedAuditRow.prev_hash": "`hash` of the resource's row before; zeros in the first one.",
    "ListedAuditRow.hash": "SHA-256 of this row, in hex.",
    "VerifyQuery.shard": "A balance shard of a hot account; omitted: the account itself.",
    "VerifyAnswer.entity_id": "The resource whose chain was verified.",
    "VerifyAnswer.valid": "Whether every row follows from the one before.",
    "VerifyAnswer.length": "Rows of the chain.",
    "VerifyAnswer.head_hash": "`hash` of the last valid row.",
    "VerifyAnswer.first_bad": "The first broken link; null if there is none.",
    "BrokenAnswer.sequence": "`sequence` of the row.",
    "BrokenAnswer.position": "Its place in the chain, counted from 1.",
    "BrokenAnswer.reason": "What does not fit.",
    "holds": "Whether it holds.",
    "as_of": "Operations up to this time were verified.",
    "CheckAnswer.name": "What was checked.",
    "CheckAnswer.counted": "How many items were checked.",
    "CheckAnswer.violations": "The first violations.",
    "ProofAnswer.checks": "All checks of this run.",
    "ViolationAnswer.id": "What violates the check.",
    "ViolationAnswer.expected": "What it should be.",
    "ViolationAnswer.found": "What it is.",
    "ExportAnswer.kind": "The list that is exported.",
    "ExportAnswer.format": "The format of the file.",
    "ExportAnswer.status": "`completed` and `failed` are final; poll the others.",
    "SettlementAnswer.status": "`completed_with_exceptions`: some lines need a decision.",
    "SettlementFileAnswer.status": (
        "`received` and `processing` change by themselves; the others are final."
    ),
    "SettlementFileAnswer.name": "The name of the file.",
    "SettlementFileAnswer.progress": "How much of it is recorded.",
    "LineFacts.status": "How it compares with what is booked.",
    "LineFacts.type": "What kind of movement it is.",
    "ResolutionAnswer.action": "What was decided.",
    "ResolutionAnswer.at": "When it was decided, in UTC.",
    "Decision.action": (
        "`accept` books the line as it is, `link` assigns it to a transaction, `write_off` books "
        "its difference as a cost of the platform, `ignore` books nothing, `undo` takes the last "
        "decision back."
    ),
    "LineDecision.line": "Number of the line within the settlement.",
    "BulkResolveRequest.lines": "The decisions, each about one line.",
    "ExpectedAmounts.amount": "In minor units.",
    "ExpectedAmounts.fee": "In minor units.",
    "ExpectedAmounts.status": "The status of what it was compared with.",
    "CurrencyTotal.amount": "Sum of the amounts, in minor units.",
    "CurrencyTotal.fee": "Sum of the fees, in minor units.",
    "CurrencyTotal.net": "Sum of the amounts less fees, in minor units.",
    "TypeTotal.count": "Number of lines.",
    "Problem.title": "The error in a few words; the same for every error of this code.",
    "Problem.status": "The HTTP status.",
    "Problem.instance": "The path of the request.",
    "Problem.request_id": "The request, also in the header `x-request-id`; quote it to support.",
    "Problem.decline_code": "Why the processor declined, such as `insufficient_funds`.",
    "Problem.payment_id": "The failed payment in which the decline is recorded.",
    "Health.status": "Always `ok`.",
    "Health.stage": "The name of the stage.",
}
FIELDS: Final[Mapping[str, str]] = {
    **_COMMON,
    **ACCOUNTS,
    **_PAYMENTS,
    **_PEOPLE,
    **_MERCHANTS,
    **_EVENTS,
    **_RECORDS,
}
PATH_PARAMETERS: Final[Mapping[str, str]] = {
    "id": "The resource's id.",
    "pm_id": "The payment method, `pm_…`.",
    "account": "The processor's id of the account.",
    "processor": "`sandbox` or `stripe`.",
    "settlement_id": "The settlement, `set_…`.",
    "line": "Number of the line within the settlement.",
    "action": "The payment's id and the secret of its page.",
    "entity_id": "The resource whose chain to verify.",
}
