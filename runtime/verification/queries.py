"""Reads the last completed ledger verification."""

from __future__ import annotations

from runtime.verification.api import NOTHING_VERIFIED, ProofAnswer
from runtime.verification.repository import VerificationRepository


def get_report(verifications: VerificationRepository) -> ProofAnswer:
    """The last completed run; NOTHING_VERIFIED if there is none."""
    report = verifications.latest()
    if report is None:
        return NOTHING_VERIFIED
    return ProofAnswer.model_validate(report, from_attributes=True)
