"""Faults of reconciliation: settlement files, their lines and what they book."""

from __future__ import annotations

from typing import Final

from simulation.mutations.mutation import Mutation, fault

_CHUNKS: Final = "reconciliation/files/chunks_repository.py"
_FLOWS: Final = "reconciliation/matching/flows.py"
_MATCHING: Final = "reconciliation/matching/rules.py"

RECONCILIATION: Final[tuple[Mutation, ...]] = (
    fault(
        "settled-by-two-files",
        "settling a transaction does not compare the version that was read",
        "reconciliation/settlements/writes.py",
        'writes.append(change(before, after).when(equals("version", before.version)))',
        "writes.append(change(before, after))",
        why="two files at once settle one capture twice, and the merchant pays for it",
        unseen="each movement is paid out once, so no two payouts' files name the same capture",
    ),
    fault(
        "settlement-sums-twice",
        "closing a file does not look whether its sums are in the settlement already",
        "reconciliation/files/closing.py",
        "if file.id in before.added_files:",
        "if file.id in before.added_files and not before.file_ids:",
        why="after a crash a settlement reports twice the lines and amounts",
    ),
    fault(
        "chunk-counted-twice",
        "the end of a chunk is counted without a look at its version",
        _CHUNKS,
        'equals("version", before.version), equals("done", before.done)',
        'equals("file_id", before.file_id)',
        why="a file is closed before all of its lines are read",
        unseen="every simulated file is one chunk, so none is closed before its last one",
    ),
    fault(
        "learned-fee-reversed",
        "a fee that only the settlement file knows is paid to the merchant",
        _FLOWS,
        '("cost", "receivable", "fees")',
        '("cost", "fees", "receivable")',
        why="the platform pays the processor's fees",
    ),
    fault(
        "accepted-difference-unbooked",
        "a difference that is accepted is not booked",
        _FLOWS,
        "        adjusted=line.amount - ours.amount,\n    )\n\n\ndef written_off",
        "    )\n\n\ndef written_off",
        why="the clearing account never comes back to zero",
    ),
    fault(
        "cent-tolerated",
        "a difference of one minor unit does not become an exception",
        _MATCHING,
        "if abs(amount - ours.ours.amount) > tolerance or",
        "if abs(amount - ours.ours.amount) > max(tolerance, 1) or",
        why="a processor that pays a cent less for each sale is not noticed",
    ),
    fault(
        "corrected-line-booked-again",
        "a corrected line does not take back what the line before it has booked",
        "reconciliation/matching/draft.py",
        "        self.take_back(key_of(line))\n        for payment_id in payments_about(line):",
        "        for payment_id in payments_about(line):",
        why="a corrected settlement file is booked in addition to the first one",
    ),
    fault(
        "settled-again",
        "a capture that is settled is open for another line",
        "reconciliation/matching/counterparts.py",
        "return capture.status is TransactionStatus.SUCCEEDED and capture.settlement_id is None",
        "return capture.status in _DONE",
        why="a line that comes twice is an error of ours and not a duplicate",
    ),
)
