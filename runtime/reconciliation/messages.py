"""What a message of the queue of settlement files asks for."""

from __future__ import annotations

from runtime.reconciliation.dependencies import ReconciliationDependencies
from runtime.reconciliation.files.chunks import work_chunk
from runtime.reconciliation.files.closing import close_file
from runtime.reconciliation.files.planning import plan_file
from runtime.reconciliation.files.queue import (
    ChunkMessage,
    CloseMessage,
    ObjectCreated,
    read_message,
)


def handle_message(body: str, request_id: str, dependencies: ReconciliationDependencies) -> None:
    """Plan what arrived, work a chunk, or close a file. Any of them may come twice, or late.

    Raises ValueError for a message that neither the bucket nor this function has sent, NoTimeLeft,
    StaleWrite, Unavailable: then it comes again, and at last to the dead letters.
    """
    message = read_message(body)
    match message:
        case ObjectCreated():
            plan_file(message, request_id, dependencies)
        case ChunkMessage():
            work_chunk(message, request_id, dependencies)
        case CloseMessage():
            close_file(message.file_id, request_id, dependencies)
