"""Which tests are tried on a mutated file: those of its area, the fastest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_LEDGER: Final = (
    "unit/ledger/test_rules.py",
    "integration/ledger/test_decisions_between_commits.py",
    "integration/ledger/test_transfer_answers.py",
    "integration/ledger/test_account_answers.py",
    "integration/dynamodb/test_mixed_errors.py",
    "integration/payments/test_crashes.py",
    "integration/ledger/test_races.py",
    "integration/dynamodb/test_expressions.py",
    "integration/dynamodb/test_repositories.py",
    "integration/verification/test_verification.py",
)
_HOT_ACCOUNTS: Final = (
    "unit/ledger/test_hot_accounts.py",
    "unit/ledger/test_known_hot_accounts.py",
    "integration/ledger/test_hot_accounts.py",
    "integration/ledger/test_hot_account_reads.py",
    "integration/streams/test_projector.py",
    "integration/verification/test_floors.py",
    "integration/verification/test_holds.py",
    "integration/operations/test_rebuild_balances.py",
    "integration/simulations/test_hot_account_simulation.py",
)
_IDEMPOTENCY: Final = (
    "unit/idempotency/test_rules.py",
    "integration/payments/test_idempotency.py",
    "integration/ledger/test_transfer_answers.py",
    "integration/ledger/test_account_answers.py",
    "integration/customers/test_customers.py",
    "integration/dynamodb/test_mixed_errors.py",
    "integration/payments/test_crashes.py",
    "integration/payments/test_operation_crashes.py",
)
_STORE: Final = (
    "unit/dynamodb/test_store_retries.py",
    "integration/dynamodb/test_expressions.py",
    "integration/dynamodb/test_repositories.py",
    "integration/dynamodb/test_fault_layer.py",
    "integration/dynamodb/test_mixed_errors.py",
    "integration/payments/test_lists.py",
    "integration/functions/test_look_ups.py",
    "integration/merchants/test_merchants.py",
    "integration/audit/test_projection.py",
    "integration/audit/test_balance_changes.py",
    "integration/webhooks/test_projection.py",
    "integration/streams/test_projector.py",
    "integration/dynamodb/test_capacity.py",
    "integration/payments/test_charge_budget.py",
)
_CUSTOMERS: Final = (
    "unit/customers/test_lockout.py",
    "integration/ledger/test_decisions_between_commits.py",
    "integration/customers/test_customers.py",
    "integration/customers/test_lockout.py",
    "integration/customers/test_lockout_faults.py",
    "integration/ledger/test_transfer_lockout.py",
)
_PAYMENTS: Final = (
    "unit/payments/test_operations.py",
    "unit/payments/test_states.py",
    "unit/ledger/test_rules.py",
    "integration/payments/test_operations.py",
    "integration/payments/test_operation_answers.py",
    "integration/payments/test_crashes.py",
    "integration/payments/test_operation_crashes.py",
    "integration/payments/test_operation_races.py",
    "integration/payments/test_actions.py",
    "integration/payments/test_resolver.py",
    "integration/payments/test_authorization_expiry.py",
    "integration/payments/test_idempotency.py",
)
_ACTIONS: Final = ("integration/payments/test_actions.py",)
_PROCESSORS: Final = (
    "unit/payments/test_disputes.py",
    "unit/payments/test_connectors.py",
    "unit/merchants/test_processor_accounts.py",
    "unit/payments/stripe/test_shapes.py",
    "unit/payments/stripe/test_events.py",
    "integration/payments/processors/test_events.py",
    "integration/payments/processors/test_hints.py",
    "integration/payments/processors/test_accounts.py",
    "integration/payments/processors/test_stripe_connector.py",
)
_RESOLVER: Final = (
    "unit/core/test_fair_queue.py",
    "unit/core/test_fair_run.py",
    "unit/payments/test_operations.py",
    "integration/payments/test_resolver.py",
    "integration/payments/test_crashes.py",
    "integration/payments/test_operation_crashes.py",
    "integration/payments/test_authorization_expiry.py",
    "integration/alerts/test_operational_alerts.py",
    "integration/functions/test_functions.py",
)
_VERIFICATION: Final = (
    "unit/verification/test_rules.py",
    "unit/verification/test_changes.py",
    "integration/verification/test_verification.py",
    "integration/verification/test_incremental.py",
    "integration/verification/test_incremental_payments.py",
    "integration/verification/test_holds.py",
    "integration/verification/test_postings.py",
    "integration/verification/test_floors.py",
)
_TOTALS: Final = (
    "unit/reporting/test_totals.py",
    "integration/reporting/test_totals.py",
    "integration/operations/test_rebuild_totals.py",
)
_AUDIT: Final = (
    "unit/audit/test_chain.py",
    "unit/audit/test_out_of_band_changes.py",
    "integration/audit/test_projection.py",
    "integration/audit/test_balance_changes.py",
    "integration/audit/test_disorder.py",
    "integration/operations/test_audit_verification.py",
)
_WEBHOOKS: Final = (
    "unit/webhooks/test_events.py",
    "unit/webhooks/test_dispute_events.py",
    "unit/webhooks/test_schedule.py",
    "integration/webhooks/test_projection.py",
    "integration/webhooks/test_delivery.py",
    "integration/webhooks/test_endpoints.py",
    "integration/webhooks/test_api.py",
)
_RECONCILIATION: Final = (
    "unit/reconciliation/engine/test_engine_processing.py",
    "unit/reconciliation/engine/test_engine_crashes.py",
    "unit/reconciliation/engine/test_engine_failures.py",
    "unit/reconciliation/engine/test_engine_objects.py",
    "unit/reconciliation/test_judgement.py",
    "unit/reconciliation/test_repeated_lines.py",
    "unit/reconciliation/test_deltas.py",
    "unit/reconciliation/test_conservation.py",
    "unit/reconciliation/test_decisions_conservation.py",
    "unit/functions/test_order_of_checks.py",
    "integration/reconciliation/test_batches.py",
    "integration/reconciliation/test_chunks.py",
    "integration/reconciliation/test_reconcile.py",
    "integration/reconciliation/test_resolutions.py",
    "integration/verification/test_settlements.py",
)

RELATED: Final[Mapping[str, tuple[str, ...]]] = {
    "payments/disputes/rules.py": _PROCESSORS,
    "ledger/hot_accounts/rules.py": _HOT_ACCOUNTS,
    "ledger/rules.py": (*_LEDGER, *_HOT_ACCOUNTS, *_PAYMENTS),
    "customers/lockout_rules.py": _CUSTOMERS,
    "payments/operations/rules.py": (*_PAYMENTS, *_RESOLVER),
    "reconciliation/matching/counterparts.py": _RECONCILIATION,
    "reconciliation/matching/flows.py": _RECONCILIATION,
    "reconciliation/matching/rules.py": _RECONCILIATION,
    "reporting/totals/rules.py": _TOTALS,
    "webhooks/events.py": _WEBHOOKS,
    "payments/processors/connectors.py": _PROCESSORS,
    "payments/processors/stripe/answers.py": _PROCESSORS,
    "ledger/accounts/repository.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "idempotency/repository.py": _IDEMPOTENCY,
    "customers/repository.py": (*_CUSTOMERS, "integration/encryption/test_key_rotation.py"),
    "ledger/hot_accounts/repository.py": _HOT_ACCOUNTS,
    "ledger/repository.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "payments/rate_limits/repository.py": (
        "unit/payments/test_rate_limits.py",
        "integration/payments/test_rate_limits.py",
        "integration/payments/test_rate_limit_leases.py",
    ),
    "ledger/movements.py": (*_LEDGER, *_HOT_ACCOUNTS, *_CUSTOMERS),
    "payments/resolution/open_queue.py": _RESOLVER,
    "payments/writes.py": (*_PAYMENTS, *_CUSTOMERS),
    "payments/repository.py": (*_PAYMENTS, *_IDEMPOTENCY),
    "dynamodb/errors.py": (*_IDEMPOTENCY, *_STORE),
    "reconciliation/files/chunks_repository.py": _RECONCILIATION,
    "reconciliation/settlements/writes.py": _RECONCILIATION,
    "dynamodb/reads.py": (*_STORE, *_LEDGER),
    "dynamodb/store.py": (*_STORE, *_LEDGER),
    "reporting/totals/repository.py": _TOTALS,
    "webhooks/repository.py": _WEBHOOKS,
    "ledger/accounts/account_lifecycle.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "audit/projection/projection.py": _AUDIT,
    "audit/projection/rows.py": _AUDIT,
    "payments/processors/sandbox/actions.py": _ACTIONS,
    "payments/processors/sandbox/repository.py": _ACTIONS,
    "payments/resolution/sandbox_pages.py": _ACTIONS,
    "payments/resolution/charge.py": (*_RESOLVER, *_IDEMPOTENCY),
    "payments/resolution/leases.py": (*_RESOLVER, *_IDEMPOTENCY),
    "payments/disputes/hints.py": _PROCESSORS,
    "payments/disputes/apply_processor_event.py": _PROCESSORS,
    "ledger/hot_accounts/known_accounts.py": (*_HOT_ACCOUNTS, *_LEDGER),
    "ledger/hot_accounts/projection.py": _HOT_ACCOUNTS,
    "ledger/holds/expiry.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "ledger/holds/holds.py": ("integration/ledger/test_holds_for_operators.py", *_LEDGER),
    "idempotency/claims.py": _IDEMPOTENCY,
    "dynamodb/index_shards.py": ("unit/dynamodb/test_index_shards_and_merge.py", *_RESOLVER),
    "payments/operations/operations.py": _PAYMENTS,
    "payments/charge/outcome.py": (*_PAYMENTS, *_RESOLVER),
    "payments/resolution/resolver.py": _RESOLVER,
    "payments/charge/charge.py": (*_PAYMENTS, *_IDEMPOTENCY),
    "payments/two_phase.py": (*_PAYMENTS, *_IDEMPOTENCY),
    "verification/run.py": _VERIFICATION,
    "verification/rules.py": _VERIFICATION,
    "verification/changes/pages.py": _VERIFICATION,
    "reconciliation/files/closing.py": _RECONCILIATION,
    "reconciliation/matching/draft.py": _RECONCILIATION,
    "streams/records.py": (
        "unit/streams/test_batch_responses.py",
        "integration/streams/test_projector.py",
        "integration/functions/test_functions.py",
        "integration/streams/test_poison_records.py",
        "integration/streams/test_stream_poller.py",
    ),
    "ledger/transfers/transfer_builder.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "ledger/transfers/transfers.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "webhooks/delivery.py": _WEBHOOKS,
    "webhooks/projection.py": _WEBHOOKS,
}
"""By the beginning of a path below `runtime/`: tests below `tests/`."""


_STAGED: Final = frozenset(
    {
        "tests/integration/operations/test_audit_verification.py",
        "tests/integration/dynamodb/test_capacity.py",
        "tests/integration/customers/test_customers.py",
        "tests/integration/functions/test_functions.py",
        "tests/integration/payments/test_rate_limits.py",
        "tests/integration/payments/test_rate_limit_leases.py",
        "tests/integration/customers/test_lockout.py",
        "tests/integration/customers/test_lockout_faults.py",
        "tests/integration/merchants/test_merchants.py",
        "tests/integration/streams/test_poison_records.py",
        "tests/integration/payments/processors/test_events.py",
        "tests/integration/payments/processors/test_stripe_connector.py",
        "tests/integration/ledger/test_transfer_answers.py",
        "tests/integration/ledger/test_transfer_lockout.py",
        "tests/integration/webhooks/test_api.py",
    }
)
"""Tests that start more than the engine in memory."""


def related_tests(paths: Iterable[str]) -> tuple[str, ...]:
    """Tests of these files of the product, from the root of the project, the fastest first.

    Raises LookupError for a file of which nothing is said here.
    """
    found: dict[str, None] = {}
    for path in paths:
        below = path.removeprefix("runtime/")
        tests = [each for start, each in RELATED.items() if below.startswith(start)]
        if not tests:
            raise LookupError(f"no tests are named for {path}")
        found.update({f"tests/{name}": None for several in tests for name in several})
    return tuple(sorted(found, key=_slowness))


def by_slowness(tests: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Unit tests, tests on the engine in memory, and those that start more; each in its order."""
    groups: tuple[list[str], ...] = ([], [], [])
    for test in tests:
        groups[_slowness(test)].append(test)
    return tuple(tuple(group) for group in groups if group)


def _slowness(test: str) -> int:
    return 0 if test.startswith("tests/unit/") else 1 + (test in _STAGED)
