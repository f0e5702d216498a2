"""Which tests are tried on a mutated file: those of its area, the fastest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_LEDGER: Final = (
    "unit/runtime/test_ledger_rules.py",
    "integration/test_decisions_between_commits.py",
    "integration/test_transfer_answers.py",
    "integration/test_mixed_refusals.py",
    "integration/test_crashes.py",
    "integration/test_ledger_races.py",
    "integration/test_expressions.py",
    "integration/test_proof.py",
)
_HOT_ACCOUNTS: Final = (
    "unit/runtime/test_hot_accounts.py",
    "unit/runtime/test_folded_accounts.py",
    "integration/test_hot_accounts.py",
    "integration/test_projector.py",
    "integration/test_proof_floors.py",
    "integration/test_proof_holds.py",
    "integration/test_balances_check.py",
    "integration/test_hot_account_simulation.py",
)
_IDEMPOTENCY: Final = (
    "unit/runtime/test_idempotency_rules.py",
    "integration/test_idempotency.py",
    "integration/test_transfer_answers.py",
    "integration/test_customers.py",
    "integration/test_mixed_refusals.py",
    "integration/test_crashes.py",
    "integration/test_operation_crashes.py",
)
_STORE: Final = (
    "unit/runtime/test_store_retries.py",
    "integration/test_expressions.py",
    "integration/test_fault_layer.py",
    "integration/test_mixed_refusals.py",
    "integration/test_lists.py",
    "integration/test_look_ups.py",
    "integration/test_merchants.py",
    "integration/test_audit_projection.py",
    "integration/test_webhook_projection.py",
    "integration/test_projector.py",
    "integration/test_capacity.py",
    "integration/test_sale_budget.py",
)
_CUSTOMERS: Final = (
    "unit/runtime/test_lock_out.py",
    "integration/test_decisions_between_commits.py",
    "integration/test_customers.py",
    "integration/test_lock_out.py",
    "integration/test_transfer_lock_out.py",
)
_PAYMENTS: Final = (
    "unit/runtime/test_payment_operations.py",
    "unit/runtime/test_payment_states.py",
    "unit/runtime/test_ledger_rules.py",
    "integration/test_payment_operations.py",
    "integration/test_crashes.py",
    "integration/test_operation_crashes.py",
    "integration/test_operation_races.py",
    "integration/test_resolver.py",
    "integration/test_authorization_expiry.py",
    "integration/test_idempotency.py",
)
_PROCESSORS: Final = (
    "unit/runtime/test_disputes.py",
    "unit/runtime/test_connectors.py",
    "unit/runtime/test_processor_accounts.py",
    "unit/runtime/test_stripe_shapes.py",
    "unit/runtime/test_stripe_events.py",
    "integration/test_processor_events.py",
    "integration/test_processor_hints.py",
    "integration/test_processor_accounts.py",
    "integration/test_stripe_connector.py",
)
_RESOLVER: Final = (
    "unit/runtime/test_fair_queue.py",
    "unit/runtime/test_fair_run.py",
    "unit/runtime/test_payment_operations.py",
    "integration/test_resolver.py",
    "integration/test_crashes.py",
    "integration/test_operation_crashes.py",
    "integration/test_authorization_expiry.py",
    "integration/test_trouble.py",
    "integration/test_functions.py",
)
_VERIFICATION: Final = (
    "unit/runtime/test_proof.py",
    "integration/test_proof.py",
    "integration/test_proof_holds.py",
    "integration/test_proof_postings.py",
    "integration/test_proof_floors.py",
)
_TOTALS: Final = (
    "unit/runtime/test_totals.py",
    "integration/test_totals.py",
    "integration/test_totals_check.py",
)
_AUDIT: Final = (
    "unit/runtime/test_audit_chain.py",
    "unit/runtime/test_audit_trouble.py",
    "integration/test_audit_projection.py",
    "integration/test_audit_disorder.py",
    "integration/test_audit_verification.py",
)
_WEBHOOKS: Final = (
    "unit/runtime/test_webhook_events.py",
    "unit/runtime/test_webhook_schedule.py",
    "integration/test_webhook_projection.py",
    "integration/test_webhook_delivery.py",
    "integration/test_webhook_api.py",
)
_RECONCILIATION: Final = (
    "unit/runtime/test_settlement_engine.py",
    "unit/runtime/test_settlement_judgement.py",
    "unit/runtime/test_settlement_deltas.py",
    "unit/runtime/test_settlement_conservation.py",
    "unit/runtime/test_settlement_decisions_conservation.py",
    "unit/runtime/test_judgement.py",
    "integration/test_settlement_batches.py",
    "integration/test_settlement_chunks.py",
    "integration/test_reconcile.py",
    "integration/test_settlement_resolutions.py",
    "integration/test_proof_settlements.py",
)

RELATED: Final[Mapping[str, tuple[str, ...]]] = {
    "domain/disputes.py": _PROCESSORS,
    "domain/hot_accounts.py": _HOT_ACCOUNTS,
    "domain/ledger.py": (*_LEDGER, *_HOT_ACCOUNTS, *_PAYMENTS),
    "domain/lock_out.py": _CUSTOMERS,
    "domain/payment_operations.py": (*_PAYMENTS, *_RESOLVER),
    "domain/settlement_": _RECONCILIATION,
    "domain/totals.py": _TOTALS,
    "domain/webhook_events.py": _WEBHOOKS,
    "gateways/processors/": _PROCESSORS,
    "repositories/accounts.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "repositories/claims.py": _IDEMPOTENCY,
    "repositories/customers.py": (*_CUSTOMERS, "integration/test_key_rotation.py"),
    "repositories/folding.py": _HOT_ACCOUNTS,
    "repositories/ledger.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "repositories/limits.py": ("unit/runtime/test_limits.py", "integration/test_limits.py"),
    "repositories/movements.py": (*_LEDGER, *_HOT_ACCOUNTS, *_CUSTOMERS),
    "repositories/open_queue.py": _RESOLVER,
    "repositories/payment_writes.py": (*_PAYMENTS, *_CUSTOMERS),
    "repositories/payments.py": (*_PAYMENTS, *_IDEMPOTENCY),
    "repositories/refusals.py": (*_IDEMPOTENCY, *_STORE),
    "repositories/settlement_": _RECONCILIATION,
    "repositories/store.py": (*_STORE, *_LEDGER),
    "repositories/totals.py": _TOTALS,
    "repositories/webhooks.py": _WEBHOOKS,
    "services/account_changes.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "services/audit_": _AUDIT,
    "services/charge_resolution.py": (*_RESOLVER, *_IDEMPOTENCY),
    "services/event_": _PROCESSORS,
    "services/folded_accounts.py": (*_HOT_ACCOUNTS, *_LEDGER),
    "services/folding_projection.py": _HOT_ACCOUNTS,
    "services/hold_expiry.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "services/holds.py": _LEDGER,
    "services/idempotency.py": _IDEMPOTENCY,
    "services/payment_desk.py": (*_RESOLVER, "unit/runtime/test_settings.py"),
    "services/payment_operations.py": _PAYMENTS,
    "services/payment_outcome.py": (*_PAYMENTS, *_RESOLVER),
    "services/payment_resolution.py": _RESOLVER,
    "services/payments.py": (*_PAYMENTS, *_IDEMPOTENCY),
    "services/processor_steps.py": (*_PAYMENTS, *_IDEMPOTENCY),
    "services/proof.py": _VERIFICATION,
    "services/reconciliation/": _RECONCILIATION,
    "services/stream_records.py": (
        "unit/runtime/test_batch_answers.py",
        "integration/test_projector.py",
        "integration/test_functions.py",
        "integration/test_poison_records.py",
        "integration/test_stream_poller.py",
    ),
    "services/transfer_drafts.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "services/transfers.py": (*_LEDGER, *_HOT_ACCOUNTS),
    "services/webhook_": _WEBHOOKS,
}
"""By the beginning of a path below `runtime/`: tests below `tests/`."""


_STAGED: Final = frozenset(
    {
        "tests/integration/test_audit_verification.py",
        "tests/integration/test_capacity.py",
        "tests/integration/test_customers.py",
        "tests/integration/test_functions.py",
        "tests/integration/test_limits.py",
        "tests/integration/test_lock_out.py",
        "tests/integration/test_merchants.py",
        "tests/integration/test_poison_records.py",
        "tests/integration/test_processor_events.py",
        "tests/integration/test_stripe_connector.py",
        "tests/integration/test_transfer_answers.py",
        "tests/integration/test_transfer_lock_out.py",
        "tests/integration/test_webhook_api.py",
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
