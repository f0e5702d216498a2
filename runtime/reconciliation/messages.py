"""Handles the messages of the queue of settlement files."""

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
    """Plan an object, process a chunk, or close a file. Messages may arrive twice, or late.

    Raises ValueError for a message sent neither by the bucket nor by this function, NoTimeLeft,
    StaleWrite, Unavailable: then it is delivered again, and finally becomes a dead letter.
    """
    message = read_message(body)
    match message:
        case ObjectCreated():
            plan_file(message, request_id, dependencies)
        case ChunkMessage():
            work_chunk(message, request_id, dependencies)
        case CloseMessage():
            close_file(message.file_id, request_id, dependencies)
