"""A customer's stored payment methods. Their tokens are only ever sent to the processor."""

from __future__ import annotations

from http import HTTPStatus

from runtime.core.echo import echoed
from runtime.core.errors import NotFound, TooManyMethods
from runtime.customers.api import MethodRequest, StoredMethod
from runtime.customers.customers import MAX_ATTEMPTS, CustomerDependencies, too_busy
from runtime.customers.models import MAX_PAYMENT_METHODS, Customer, PaymentMethod
from runtime.http.caller import require_found
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import create_once
from runtime.idempotency.optimistic_update import next_version, retry_stale, row_update


def add_method(
    customer_id: str, request: MethodRequest, call: Call, deps: CustomerDependencies
) -> StoredAnswer:
    """Store a payment method: 201. Raises NotFound, TooManyMethods, Unavailable."""
    method_id = call.new_id("pm")
    method = PaymentMethod(id=method_id, **request.model_dump(include=_SHOWN))

    def attempt() -> StoredAnswer:
        row = _customer(customer_id, call, deps)
        after = _with_method(row, method, request, call)
        return create_once(
            call,
            row.merchant_id,
            StoredMethod.shown(method, after.default_method),
            row_update(deps.customers, row, after, call),
            claims=deps.claims,
            subject=row.id,
        )

    return retry_stale(MAX_ATTEMPTS, attempt, too_busy(customer_id))


def remove_method(
    customer_id: str, method_id: str, call: Call, deps: CustomerDependencies
) -> StoredAnswer:
    """Delete a payment method and its token: 204. Raises NotFound, Unavailable."""

    def attempt() -> StoredAnswer:
        row = _customer(customer_id, call, deps)
        others = tuple(method for method in row.payment_methods if method.id != method_id)
        if len(others) == len(row.payment_methods):
            raise NotFound(
                f"Customer {echoed(customer_id)} has no payment method {echoed(method_id)}"
            )
        tokens = {name: token for name, token in row.payment_tokens.items() if name != method_id}
        default = None if row.default_method == method_id else row.default_method
        changes = {"payment_methods": others, "payment_tokens": tokens, "default_method": default}
        after = next_version(row, changes, call)
        deps.customers.alter(row, after, None, token=call.new_id("chg"), now=call.now)
        return StoredAnswer(int(HTTPStatus.NO_CONTENT), "")

    return retry_stale(MAX_ATTEMPTS, attempt, too_busy(customer_id))


_SHOWN = set(PaymentMethod.model_fields) - {"id"}


def _customer(customer_id: str, call: Call, deps: CustomerDependencies) -> Customer:
    row = deps.customers.get_with_tokens(customer_id, call.scope)
    return require_found(row, "customer", customer_id)


def _with_method(
    row: Customer, method: PaymentMethod, request: MethodRequest, call: Call
) -> Customer:
    if len(row.payment_methods) >= MAX_PAYMENT_METHODS:
        raise TooManyMethods(
            f"Customer {row.id} has {len(row.payment_methods)} payment methods, the maximum; "
            "delete one first"
        )
    return next_version(
        row,
        {
            "payment_methods": (*row.payment_methods, method),
            "payment_tokens": {**row.payment_tokens, method.id: request.token},
            "default_method": method.id if request.is_default else row.default_method,
        },
        call,
    )
