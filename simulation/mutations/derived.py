"""Faults of what follows from the change streams: totals, audit log, webhooks, verification."""

from __future__ import annotations

from typing import Final

from simulation.mutations.mutation import Mutation, fault, fault_of

_TOTALS: Final = "reporting/totals/rules.py"
_TOTAL_ROWS: Final = "reporting/totals/repository.py"
_AUDIT: Final = "audit/projection/projection.py"
_AUDIT_ROWS: Final = "audit/projection/rows.py"
_DELIVERY: Final = "webhooks/delivery.py"

DERIVED: Final[tuple[Mutation, ...]] = (
    fault(
        "failed-records-forgotten",
        "all records of a batch are reported to Lambda as processed",
        "streams/records.py",
        "first = next((number for number in numbers if number in failed), None)",
        "first = None",
        why="a throttled write loses entries, credits and audit rows for good",
    ),
    fault_of(
        "derived-row-overwritten",
        "a derived row is written whether it is there or not",
        (
            "dynamodb/store.py",
            "                ConditionExpression=condition,\n"
            "                ExpressionAttributeNames=rendering.names,\n"
            '                ReturnValuesOnConditionCheckFailure="ALL_OLD",\n',
            "",
        ),
        why="a record that comes again resets a delivery, and a late one rewrites the audit log",
    ),
    fault(
        "totals-counted-twice",
        "a payment is counted without a look at what it is counted with",
        _TOTAL_ROWS,
        "put(step.after).when(*_still(step.before))",
        "put(step.after)",
        why="a merchant's revenue shows payments twice",
    ),
    fault(
        "totals-go-back",
        "an older version of a payment is counted after a newer one",
        _TOTALS,
        "if counted is not None and counted.version >= payment.version:",
        "if counted is not None and counted.version == payment.version:",
        why="a stream record that comes late takes a refund out of the totals",
        unseen="a stream repeats records up to the newest one, so totals at rest are right again",
    ),
    fault(
        "totals-keep-old-state",
        "what a payment was counted with before is not taken away",
        _TOTALS,
        "NOTHING.minus(figures_of(self.before))",
        "NOTHING",
        why="every refund adds the payment to the totals once more",
    ),
    fault(
        "totals-lost-while-folding",
        "rows of closed days are deleted without a look at their version",
        _TOTAL_ROWS,
        'delete(row).when(equals("version", row.version))',
        "delete(row)",
        why="a refund that is counted while yesterday is folded vanishes from the totals",
        unseen="no run crosses midnight UTC, so no day is closed and folded",
    ),
    fault(
        "audit-unchained",
        "a row of the audit log is not hashed over the one before it",
        _AUDIT_ROWS,
        "prev_hash=GENESIS if previous is None else previous.hash",
        "prev_hash=GENESIS",
        why="rows can be removed from the log unnoticed",
    ),
    fault(
        "audit-recorded-twice",
        "a stream record that arrives again is recorded again",
        _AUDIT,
        "            if same:\n                return True\n            reason",
        "            reason",
        why="the log has out-of-band changes that never happened",
    ),
    fault(
        "hand-edit-unnoticed",
        "a version that jumps does not count as an out-of-band change",
        "audit/projection/rows.py",
        "if change.new_version != change.old_version + 1:",
        "if change.new_version < change.old_version:",
        why="a balance edited by hand raises no alert",
    ),
    fault(
        "edit-below-verified-state-unread",
        "an incremental verification adds up what is new, and looks at no row of its own",
        "verification/changes/pages.py",
        """        return self._ids(subject).get(identifier, False)
""",
        """        return False
""",
        why="a hold that is called off in its row alone is found a month later",
    ),
    fault(
        "verified-despite-violation",
        "a run that has found a violation becomes the verified state",
        "verification/rules.py",
        "until = report.as_of if report.holds else self.verified_until",
        "until = report.as_of",
        why="a violation is reported once, and never again",
    ),
    fault(
        "webhook-id-by-chance",
        "the id of a delivery is not derived from the change alone",
        "webhooks/events.py",
        "self.subject_id, str(self.sequence), self.type)",
        "str(id(self)), str(self.sequence), self.type)",
        why="a record that arrives twice is sent twice, under ids that a receiver cannot compare",
    ),
    fault(
        "dispute-opening-unreported",
        "a dispute that is decided when it is first seen is not reported as opened",
        "webhooks/events.py",
        "if known is None and status != DisputeStatus.OPENED:",
        "if known is not None and status != DisputeStatus.OPENED:",
        why="a merchant that counts disputes by their opening misses those that we heard of late",
    ),
    fault(
        "lost-dispute-reported-again",
        "a dispute that is lost is reported with each later change of its payment",
        "webhooks/events.py",
        "if known != status:",
        "if known != status or known == DisputeStatus.LOST:",
        why="a merchant hears again of a dispute that was lost long ago",
    ),
    fault(
        "refusal-taken-as-delivered",
        "an endpoint that answers 404 counts as reached",
        _DELIVERY,
        "return reply.status is not None and _OK <= reply.status < _REDIRECTS",
        "return reply.status is not None and _OK <= reply.status < 500",
        why="webhooks are lost while a receiver is misconfigured",
    ),
    fault(
        "crashed-delivery-forgotten",
        "a delivery that is being attempted is not due",
        _DELIVERY,
        "        **_lease(row, began),\n",
        "        retry_bucket=None,\n",
        why="a function that dies during an attempt loses the webhook",
    ),
    fault(
        "unwritten-webhook-forgotten",
        "a webhook that could not be written is not asked for again",
        "webhooks/projection.py",
        "for (number, _), row in zip(wanted, stored, strict=True) if row is None",
        "for (number, _), row in ()",
        why="a throttled write loses the webhook",
    ),
    fault(
        "delivery-unclaimed",
        "a step of a delivery does not compare the version that was read",
        "webhooks/repository.py",
        'return change(before, after, Webhook).when(equals("version", before.version))',
        'return change(before, after, Webhook).when(absent("no_such_attribute"))',
        why="two messages of one delivery are sent side by side, and a delivered one fails",
    ),
)
