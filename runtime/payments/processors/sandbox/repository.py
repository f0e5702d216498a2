"""Reads and writes of the sandbox_charges table."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import (
    Update,
    Write,
    absent,
    at_least,
    equals,
    one_of,
    put,
    update,
)
from runtime.dynamodb.store import Store
from runtime.payments.processors.sandbox.models import SandboxCharge

AUTHORIZED = "authorized"
"""State of a charge that can still be captured."""
CAPTURED = "approved"
VOIDED = "voided"
WAITING = "requires_action"
"""State of a charge whose customer has to act on the sandbox's page."""
DECLINED = "declined"
RETURNED = "returned"
"""State of a refund that the customer's bank returned."""
CHARGE, REFUND, DISPUTE = "charge", "refund", "dispute"
"""Kinds of rows."""
_CHANGED_PAGE = 100

Effect = Literal["capture", "final_capture", "refund", "void"]


class _Changed(BaseModel, frozen=True, defer_build=True):
    reference: str


class SandboxChargeRepository:
    """The sandbox_charges table: one row per reference."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def remember(self, charge: SandboxCharge, *, token: str) -> SandboxCharge:
        """Store `charge`, or return the row that is already stored for its reference."""
        try:
            self._store.transact([put(charge).when(absent("reference"))], token=token)
        except TransactionRefused as refused:
            return self._row(refused, 0)
        return charge

    def operate(
        self, operation: SandboxCharge, effect: Effect, *, token: str
    ) -> SandboxCharge | None:
        """Apply `operation` to its charge, or return the row that is already stored for it.

        None if the charge does not allow the operation.
        """
        writes: list[Write] = [put(operation).when(absent("reference")), _effect(operation, effect)]
        try:
            self._store.transact(writes, token=token)
        except TransactionRefused as refused:
            return self._row(refused, 0) if 0 in refused.failed else None
        return operation

    def decide(self, after: SandboxCharge, *, token: str) -> SandboxCharge:
        """Store the customer's decision about a waiting charge, or return the row as it is.

        The charge may have been decided or voided meanwhile.
        """
        changes = {
            name: getattr(after, name)
            for name in ("state", "response_code", "response_text", "capturable", "refundable")
        }
        decided = update(SandboxCharge, {"reference": after.reference}).assign(**changes)
        try:
            self._store.transact([decided.when(equals("state", WAITING))], token=token)
        except TransactionRefused as refused:
            return self._row(refused, 0)
        return after

    def recall(self, reference: str) -> SandboxCharge | None:
        """The row stored for a reference, strongly consistent."""
        return self._store.get(SandboxCharge, {"reference": reference}, SandboxCharge, UNRESTRICTED)

    def store_dispute(
        self, before: SandboxCharge | None, after: SandboxCharge, *, token: str
    ) -> bool:
        """Store a dispute's new state; False if it was changed concurrently."""
        unchanged = absent("reference") if before is None else equals("revision", before.revision)
        try:
            self._store.transact([put(after).when(unchanged)], token=token)
        except TransactionRefused:
            return False
        return True

    def return_refund(
        self, refund: SandboxCharge, event_id: str, changed_at: Timestamp, *, token: str
    ) -> None:
        """Mark a refund as returned, once, and make its amount refundable again."""
        assert refund.charge is not None, f"{refund.reference} has no charge"
        returned = update(SandboxCharge, {"reference": refund.reference}).assign(
            state=RETURNED,
            response_code="refund_failed",
            response_text="The customer's bank returned the refund",
            event_id=event_id,
            changed_account=refund.account,
            changed_at=changed_at,
        )
        charge = update(SandboxCharge, {"reference": refund.charge}).add(refundable=refund.amount)
        writes = [
            returned.when(equals("state", CAPTURED), equals("kind", REFUND)),
            charge.when(equals("kind", CHARGE)),
        ]
        try:
            self._store.transact(writes, token=token)
        except TransactionRefused as refused:
            if 0 not in refused.failed:
                raise

    def changed(self, account: str, since: Timestamp) -> Iterator[str]:
        """References of an account's disputes and returned refunds that changed since then."""
        key = (equals("changed_account", account), at_least("changed_at", since))
        rows = self._store.query(
            SandboxCharge, _Changed, key, page_size=_CHANGED_PAGE, index="gsi-changed"
        )
        return (row.reference for row in rows)

    def _row(self, refused: TransactionRefused, position: int) -> SandboxCharge:
        item = refused.failed[position]
        return self._store.codec.to_row(SandboxCharge.table_schema, item, SandboxCharge)


def _effect(operation: SandboxCharge, effect: Effect) -> Update:
    assert operation.charge is not None, f"{operation.reference} has no charge"
    charge, amount = update(SandboxCharge, {"reference": operation.charge}), operation.amount
    if effect == "refund":
        charge = charge.add(refundable=-amount)
        return charge.when(at_least("refundable", amount), absent("refunds_fail"))
    authorized = equals("state", AUTHORIZED)
    if effect == "void":
        voidable = one_of("state", (AUTHORIZED, WAITING))
        return charge.assign(state=VOIDED, capturable=0).when(voidable)
    enough = at_least("capturable", amount)
    charge = charge.add(refundable=amount)
    if effect == "final_capture":
        return charge.assign(state=CAPTURED, capturable=0).when(authorized, enough)
    return charge.add(capturable=-amount).when(authorized, enough)
