"""All planted faults, in the order in which they are reported."""

from __future__ import annotations

from typing import Final

from simulation.mutations.actions import ACTIONS
from simulation.mutations.defects import DEFECTS
from simulation.mutations.derived import DERIVED
from simulation.mutations.hot_accounts import HOT_ACCOUNTS
from simulation.mutations.idempotency import IDEMPOTENCY
from simulation.mutations.ledger import LEDGER
from simulation.mutations.mutation import Mutation
from simulation.mutations.payments import PAYMENTS
from simulation.mutations.reconciliation import RECONCILIATION

MUTATIONS: Final[tuple[Mutation, ...]] = (
    *LEDGER,
    *HOT_ACCOUNTS,
    *IDEMPOTENCY,
    *PAYMENTS,
    *ACTIONS,
    *RECONCILIATION,
    *DERIVED,
    *DEFECTS,
)
BY_NAME: Final = {mutation.name: mutation for mutation in MUTATIONS}
