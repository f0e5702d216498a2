"""Which attempts count against a customer, and for it: charges and transfers in its name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from runtime.contract.call import Call
from runtime.domain.ledger import Movement
from runtime.domain.lock_out import SAY_NOTHING_OF_THE_CUSTOMER, Lockout
from runtime.domain.payments import ProcessorAnswer, Refused
from runtime.errors import Locked, PlatformError
from runtime.models.payment import Payment
from runtime.models.transfer import Transfer
from runtime.repositories.lock_out import Attempt
from runtime.repositories.movements import Operation, lock_account
from runtime.services.payment_outcome import context_of


def answered_charge(
    payment: Payment, reply: ProcessorAnswer, cause: str, rule: Lockout, now: datetime
) -> Attempt | None:
    """What the processor's answer is for the customer's count; None: nothing.

    A success is something only where there is a count to be ended.
    """
    failed = isinstance(reply, Refused)
    if isinstance(reply, Refused) and reply.decline_code in SAY_NOTHING_OF_THE_CUSTOMER:
        return None
    if payment.customer_id is None or not (failed or payment.follows_failure):
        return None
    return Attempt(
        customer_id=payment.customer_id,
        merchant_id=payment.merchant_id,
        failed=failed,
        rule=rule,
        context=context_of(payment, cause),
        now=now,
    )


def refused_transfer(
    failed: Transfer,
    movements: Iterable[Movement],
    refusal: PlatformError,
    call: Call,
    rule: Lockout,
) -> Attempt | None:
    """A failure of the customer in whose name it was; the one that locks also locks the debtors."""
    if failed.customer_id is None or isinstance(refusal, Locked):
        return None
    request_id = call.caller.request_id
    change = Operation(
        call.new_id("chg"), request_id, call.caller.change(cause=request_id), call.now
    )
    return Attempt(
        customer_id=failed.customer_id,
        merchant_id=failed.merchant_id,
        failed=True,
        rule=rule,
        context=call.caller.change(cause=failed.id),
        now=call.now,
        also_locked=tuple(
            lock_account(each.account_id, failed.merchant_id, rule.until(call.now), change)
            for each in movements
            if each.spendable < 0
        ),
    )
