"""What is left unfinished: requests without a final answer, dead letters, failed batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.platform.settings import FAILED_BATCHES_BUCKET
from simulation.watch.settled.rows import Faults

if TYPE_CHECKING:
    from simulation.platform.world import Platform


def left_over_faults(platform: Platform) -> Faults:
    """Without faults every request gets its answer, and no message or record fails for good."""
    for client in platform.clients:
        for request in client.unanswered:
            yield f"{client.plan.name} has no final answer to {request.method} {request.path}"
    for queue in platform.queues.values():
        assert queue.dead_letters is not None, f"{queue.name} has no dead letters"
        for message in queue.dead_letters.messages.values():
            yield f"{queue.name} has the dead letter {message}"
    bucket = platform.aws.s3.list_objects_v2(Bucket=FAILED_BATCHES_BUCKET)
    for each in bucket.get("Contents", ()):
        yield f"the record {each['Key']} lies in the bucket of failed batches"
