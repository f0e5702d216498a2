"""Reads the last completed ledger verification."""

from __future__ import annotations

from runtime.core.errors import NotFound
from runtime.verification.api import ProofAnswer
from runtime.verification.repository import VerificationRepository


def get_report(verifications: VerificationRepository) -> ProofAnswer:
    """The last completed run. Raises NotFound if there is none."""
    report = verifications.latest()
    if report is None:
        raise NotFound("No ledger verification has been completed yet; it runs on a schedule")
    return ProofAnswer.model_validate(report, from_attributes=True)
