"""CloudWatch log groups with a retention and our own key."""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.stage import LogRetentionDays, StageConfig

_RETENTION: Final[dict[LogRetentionDays, logs.RetentionDays]] = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1096: logs.RetentionDays.THREE_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
}


def encrypted_log_group(
    scope: Construct, construct_id: str, *, stage: StageConfig, key: kms.IKey
) -> logs.LogGroup:
    """A log group that forgets after the stage's retention; kept where data is kept."""
    return logs.LogGroup(
        scope,
        construct_id,
        encryption_key=key,
        retention=_RETENTION[stage.log_retention_days],
        removal_policy=stage.data.removal_policy,
    )
