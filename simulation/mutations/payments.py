"""Faults of payments: charges, captures, refunds, disputes and what processors answer."""

from __future__ import annotations

from typing import Final

from simulation.mutations.mutation import Mutation, fault, fault_of

_WRITES: Final = "payments/writes.py"
_OPERATIONS: Final = "payments/operations/rules.py"
_OUTCOME: Final = "payments/charge/outcome.py"
_RULES: Final = "ledger/rules.py"

PAYMENTS: Final[tuple[Mutation, ...]] = (
    fault(
        "charged-before-recorded",
        "the processor is asked to charge before the intent is written",
        "payments/charge/charge.py",
        "    connector.check_method(method.token)\n",
        "    connector.check_method(method.token)\n    connector.charge(\n"
        "        replace(charge_request(payment), payment_method=method.token)\n    )\n",
        why="a customer is charged for a payment without a record",
    ),
    fault_of(
        "in-doubt-taken-as-declined",
        "a charge without an answer is settled as declined",
        (
            "payments/charge/charge.py",
            "from runtime.payments.rules import ActionRequired, ProcessorAnswer\n",
            "from runtime.payments.rules import ActionRequired, ProcessorAnswer, Refused\n",
        ),
        (
            "payments/charge/charge.py",
            "        return _mark_unknown(payment, merchant, lost, call, deps)\n",
            '        reply = Refused(None, "processing_error", str(lost))\n',
        ),
        why="the customer was charged, and the merchant hears that the card was declined",
    ),
    fault_of(
        "called-off-on-its-way",
        "a charge that the processor has not seen yet is called off at once, and not forbidden",
        (_OPERATIONS, "return now >= begun_at + longest", "return True"),
        (
            "payments/resolution/charge.py",
            "reply = processor.forbid(request) or NOT_CHARGED",
            "reply = NOT_CHARGED",
        ),
        why="a charge that arrives late is taken, and no payment has it",
    ),
    fault(
        "reference-of-another",
        "captures and refunds are sent under the reference of their payment",
        "payments/operations/operations.py",
        "reference=operation.id,",
        "reference=payment.id,",
        why="the processor takes a refund for the charge sent again, and pays nothing back",
    ),
    fault(
        "lease-unchecked",
        "the resolver takes payments that a request is still at work on",
        "payments/resolution/leases.py",
        "return to_datetime(row.lease_expires_at) > now",
        "return False",
        why="merchants hear 'unknown' of payments that are being made",
    ),
    fault(
        "payment-version-unchecked",
        "a step of a payment does not compare the version that was read",
        _WRITES,
        'conditions = [equals("version", before.version)]\n',
        'conditions = [absent("no_such_attribute")]\n',
        why="of two refunds that end at once one is not counted",
    ),
    fault(
        "refund-ceiling-unchecked",
        "the write of a refund does not compare what is left to refund",
        _WRITES,
        'at_least("refundable_minor", amount),',
        'at_least("refundable_minor", 0),',
        why="two concurrent refunds return more than was captured",
    ),
    fault_of(
        "refund-ceiling-off-by-one",
        "one minor unit more than was captured can be refunded",
        (
            _WRITES,
            'at_least("refundable_minor", amount),',
            'at_least("refundable_minor", amount - 1),',
        ),
        (_OPERATIONS, "0 < amount <= ceiling:", "0 < amount <= ceiling + 1:"),
        why="a merchant's receivable goes below what it has earned",
    ),
    fault(
        "capture-ceiling-unchecked",
        "the write of a capture does not compare what is left to capture",
        _WRITES,
        'enough = at_least("capturable_minor", amount)',
        'enough = at_least("capturable_minor", 0)',
        why="two partial captures at once take more than was authorized",
    ),
    fault(
        "capture-while-closing",
        "a capture may begin while the authorization is captured in full or voided",
        _WRITES,
        '        absent("closing_id"),\n',
        "",
        why="a payment is canceled and captured",
    ),
    fault(
        "declined-refund-keeps-ceiling",
        "a refund that failed is not refundable again",
        _OPERATIONS,
        'return {"pending_refund_minor": pending, **refundable_again(payment, amount)}',
        'return {"pending_refund_minor": pending}',
        why="the customer can never be paid back",
    ),
    fault(
        "declined-capture-keeps-ceiling",
        "a capture that failed is not capturable again",
        _OPERATIONS,
        '"capturable_minor": payment.capturable_minor + amount,',
        '"capturable_minor": payment.capturable_minor,',
        why="the merchant cannot take what was authorized",
    ),
    fault(
        "fee-reversed",
        "the processor's fee is paid to the merchant",
        _RULES,
        "from_account_id=receivable, to_account_id=fees_account(currency), amount=fee",
        "from_account_id=fees_account(currency), to_account_id=receivable, amount=fee",
        why="every sale credits the merchant twice the fee too much",
    ),
    fault(
        "fee-of-last-capture",
        "a payment keeps the fee of its last capture alone",
        _OPERATIONS,
        '"fee": payment.fee + answer.fee_minor,',
        '"fee": answer.fee_minor,',
        why="totals and exports show too small fees",
    ),
    fault(
        "unknown-payment-forgotten",
        "a payment whose answer was lost is not due for the resolver",
        _OUTCOME,
        '"next_action_at": to_timestamp(now),\n        "lease_owner": None,',
        '"next_action_at": None,\n        "lease_owner": None,',
        why="the processor is never asked whether the customer was charged",
    ),
    fault(
        "authorization-never-expires",
        "an authorization is not due when its time is over",
        _OUTCOME,
        '"next_action_at": expiry,',
        '"next_action_at": None,',
        why="the customer's money stays blocked",
    ),
    fault(
        "dispute-booked-in-full-again",
        "each step of a dispute books all that was taken so far",
        "payments/disputes/rules.py",
        "taken_minor=_kept(after) - _kept(known),",
        "taken_minor=_kept(after),",
        why="the merchant pays for a chargeback again when its status changes",
    ),
    fault(
        "disputed-money-refundable",
        "what a dispute has taken can still be refunded",
        "payments/disputes/rules.py",
        '"refundable_minor": payment.refundable_minor - withheld}',
        '"refundable_minor": payment.refundable_minor}',
        why="a customer is paid back twice",
    ),
    fault(
        "stripe-timeout-taken-as-declined",
        "a connection to Stripe that broke counts as 'nothing was done'",
        "payments/processors/stripe/answers.py",
        "    stripe.PermissionError,\n)",
        "    stripe.PermissionError,\n    stripe.APIConnectionError,\n)",
        why="the customer was charged, and the merchant hears that the card was declined",
    ),
)
