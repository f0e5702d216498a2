"""Acknowledging a finding of a rule pack, at the resource that it is about."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, rule_id: str, reason: str) -> None:
    """Accept what `rule_id` finds on `construct`, and on nothing beside it, because of `reason`."""
    Validations.of(construct).acknowledge(Acknowledgment(id=rule_id, reason=reason))
