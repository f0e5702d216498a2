"""What dead-letter queues are called, so that the API can count their messages.

Their names follow from the stage: an export would keep a stack from removing its queue for as long
as the API uses it (decision 0148).
"""

from __future__ import annotations

from typing import Final

DELIVERIES: Final = "deliveries"
EXPORT_JOBS: Final = "export-jobs"
SETTLEMENT_FILES: Final = "settlement-files"
WORK_QUEUES: Final = (DELIVERIES, EXPORT_JOBS, SETTLEMENT_FILES)
"""The queues that feed functions; beside these each schedule has dead letters, by its name."""


def dead_letter_queue(stage: str, name: str) -> str:
    """Physical name of the dead-letter queue of a work queue or schedule."""
    return f"payments-{stage}-{name}-dead-letters"
