"""The sandbox processor's memory."""

from __future__ import annotations

from runtime.models.sandbox_charge import SandboxCharge
from runtime.models.scope import EVERYBODY
from runtime.repositories.expressions import absent, put
from runtime.repositories.store import Store, TransactionRefused


class SandboxChargeRepository:
    """The sandbox_charges table: one row per reference, written once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def remember(self, charge: SandboxCharge, *, token: str) -> SandboxCharge:
        """Store `charge`, or return what was remembered for its reference before."""
        try:
            self._store.transact([put(charge).when(absent("reference"))], token=token)
        except TransactionRefused as refused:
            item = refused.failed[0]
            return self._store.codec.to_row(SandboxCharge.table_schema, item, SandboxCharge)
        return charge

    def recall(self, reference: str) -> SandboxCharge | None:
        """What is remembered for a reference, strongly consistent."""
        return self._store.get(SandboxCharge, {"reference": reference}, SandboxCharge, EVERYBODY)
