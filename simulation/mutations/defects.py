"""Defects that the product once had: the fix of each is taken back."""

from __future__ import annotations

from typing import Final

from simulation.mutations.mutation import Mutation, defect

_OUTCOME: Final = "payments/disputes/apply_processor_event.py"
_QUEUE: Final = "payments/resolution/open_queue.py"

DEFECTS: Final[tuple[Mutation, ...]] = (
    defect(
        "defect-refunds-folded-late",
        "a refund reaches the receivable through the change stream, and not in its own commit",
        (
            "ledger/hot_accounts/rules.py",
            "tuple(name for name, net in nets.items() if net < 0 and is_receivable(name))",
            "()",
        ),
        why="a payout takes what was refunded a moment ago: a receivable without credit is "
        "overdrawn, and verification holds",
    ),
    defect(
        "defect-hold-unseen-by-close",
        "a hold towards a hot account leaves no trace in its row 00",
        (
            "ledger/transfers/transfers.py",
            "        elif movement.held_in:\n",
            "        elif movement.held_in < 0:\n",
        ),
        why="the account is closed, the hold is posted, and the money is locked away",
    ),
    defect(
        "defect-refund-event-lost",
        "an event about a refund that is being made is answered as done",
        (
            "payments/disputes/hints.py",
            'raise Unavailable(f"{refund.id} is in progress; send {echoed(event.id)} again")',
            "return AppliedEvent(EventResult.UNCHANGED)",
        ),
        why="the processor does not send it again: a refund that failed stays booked as paid",
    ),
    defect(
        "defect-verification-blind",
        "verification compares neither holds with accounts nor payments with postings",
        (
            "verification/run.py",
            "state.differing_holds = differing(entries.holds, transfers.holds)",
            "state.differing_holds = []",
        ),
        (
            "verification/run.py",
            "state.differing_bookings = differing(transfers.booked, payments.booked)",
            "state.differing_bookings = []",
        ),
        why="a capture that is booked twice, or not at all, is proved to be right",
    ),
    defect(
        "defect-refund-lines-unsettled",
        "the line of a refund settles nothing",
        (
            "reconciliation/matching/counterparts.py",
            "opened = [each for each in refunds if has_happened(each) and each.settlement_id is "
            "None]",
            "opened: list[Transaction] = []",
        ),
        why="every refund leaves its amount on the clearing account, and an exception",
    ),
    defect(
        "defect-event-believed",
        "a refund is taken back because an event says so, and the processor is not asked",
        (
            _OUTCOME,
            "    RefundOutcome,\n    Unapplied,\n",
            "    RefundOutcome,\n    RefundState,\n    Unapplied,\n",
        ),
        (
            _OUTCOME,
            "state = _connector_of(payment, deps).find_refund(refund.id, refund.processor_id)",
            "state = RefundState(\n"
            "        refund.id, RefundOutcome.FAILED, deps.now, refund.amount, refund.currency\n"
            "    )",
        ),
        why="whoever knows the webhook secret credits the merchant with its refunds",
    ),
    defect(
        "defect-few-open-buckets",
        "what waits for an answer stands in 8 partitions, whatever the merchant says",
        (
            "dynamodb/index_shards.py",
            "return _in_a_row(OPEN_QUEUE, OPEN_BUCKETS, merchant_id, number)",
            "return _in_a_row(OPEN_QUEUE, 8, merchant_id, number)",
        ),
        why="the platform takes 2,000 sales a second and not more, however many merchants it has",
        unseen="nothing is wrong but the speed: the simulated tables have no hot partitions",
    ),
    defect(
        "defect-resolver-starved",
        "the resolver takes the oldest first, whosever they are, and as often as its lease allows",
        (
            "payments/resolution/resolver.py",
            "return [Due(each, owners[each], partial(resolve, each)) for each in due]",
            'return [Due(each, "", partial(resolve, each)) for each in due]',
        ),
        (_QUEUE, "        if len(oldest) < max_due:\n            return oldest\n", ""),
        (
            _QUEUE,
            "return oldest + self._first(model, conditions, max_due, newest_first=True)",
            "return oldest",
        ),
        (
            "payments/operations/rules.py",
            "return max(lease, min(age / 2, LONGEST_RETRY))",
            "return lease",
        ),
        why="one merchant's processor that does not answer keeps all others' payments waiting",
        unseen="all is resolved before the world is at rest; how long that takes is not judged",
    ),
    defect(
        "defect-other-account-asked",
        "a payment is asked about at the processor account that its merchant has now",
        (
            "payments/processors/connectors.py",
            "return self.of(payment.merchant_id, payment.processor, payment.processor_account)",
            "now = self._connection(payment.merchant_id).processor_account\n"
            "        return self.of(payment.merchant_id, payment.processor, now)",
        ),
        why="a charged payment is unknown to the new account, and is called off as never charged",
    ),
)
