"""Reading the last completed proof of the books."""

from __future__ import annotations

from runtime.core.errors import NotFound
from runtime.verification.api import ProofAnswer
from runtime.verification.repository import VerificationRepository


def get_report(proofs: VerificationRepository) -> ProofAnswer:
    """The last completed run. Raises NotFound when none was completed yet."""
    report = proofs.latest()
    if report is None:
        raise NotFound("No ledger verification has been completed yet; it runs by schedule")
    return ProofAnswer.model_validate(report, from_attributes=True)
