"""Faults of payments that wait for their customer (status `requires_action`)."""

from __future__ import annotations

from typing import Final

from simulation.mutations.mutation import Mutation, fault, fault_of

_OUTCOME: Final = "payments/charge/outcome.py"

ACTIONS: Final[tuple[Mutation, ...]] = (
    fault(
        "action-page-of-anyone",
        "the sandbox's page opens for any address that contains the payment's id",
        "payments/processors/sandbox/actions.py",
        "return hmac.compare_digest(found[2], charge.action_secret)",
        "return True",
        why="whoever knows the id of a payment approves it in place of its customer",
    ),
    fault_of(
        "action-decided-again",
        "a page whose charge was decided or canceled decides once more",
        (
            "payments/resolution/sandbox_pages.py",
            "    if charge.state == WAITING:\n",
            "    if charge.state in (WAITING, wanted.state, charge.state):\n",
        ),
        (
            "payments/processors/sandbox/repository.py",
            'transact([decided.when(equals("state", WAITING))], token=token)',
            "transact([decided], token=token)",
        ),
        why="a customer is charged for a payment that was canceled",
    ),
    fault(
        "action-never-expires",
        "a customer has a thousand times as long to act as the merchant was promised",
        _OUTCOME,
        '"action_expires_at": to_timestamp(now + expiry),',
        '"action_expires_at": to_timestamp(now + 1000 * expiry),',
        why="a payment stays open that the shop has given up, and is charged weeks later",
    ),
    fault(
        "action-secret-in-row",
        "what lets the customer act is kept in the payment's row",
        _OUTCOME,
        '        "charge_id": required.processor_id,\n',
        '        "charge_id": required.processor_id,\n'
        '        "failure_reason": required.client_secret,\n',
        why="whoever may read payments can act for the customers of all of them",
    ),
)
