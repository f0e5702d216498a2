"""Parts of a stage's settings: what protects its data from people and failures."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from stacks.stage_parts import StagePart

RECOVERY_DAYS: Final = 35
"""How far back point-in-time recovery of DynamoDB reaches, and the longest that rows may be kept
with which an erased customer's fields could be read again."""
SHORTEST_GRACE_DAYS: Final = 3
"""AWS Backup gives at least 72 hours before a lock in compliance mode can no longer be removed (AWS
Backup Developer Guide, "AWS Backup Vault Lock")."""
LONGEST_KEPT_DAYS: Final = 36_500
"""The longest retention of a backup (AWS Backup Developer Guide, "Quotas")."""


class BackupConfig(StagePart, frozen=True):
    """Copies of tables and settlement files in a vault of AWS Backup, apart from the data.

    Point-in-time recovery is on in every stage and restores a table to any second of the last 35
    days. These backups are for what it does not survive: a deleted table or key, an administrator
    who means harm, a need to look back further.
    """

    daily_kept_days: Annotated[int, Field(ge=1, le=RECOVERY_DAYS)] = 7
    """How long the backup of a day is kept. Costs: each is a full copy of the tables
    ([costs](costs.md#backups))."""
    monthly_kept_days: Annotated[int, Field(gt=RECOVERY_DAYS, le=LONGEST_KEPT_DAYS)] = 365
    """How long the backup of a month is kept. Costs: each is a full copy of the tables
    ([costs](costs.md#backups))."""
    lock: Literal["none", "governance", "compliance"] = "governance"
    """Who may delete a backup before its time: `none`, whoever has the right to; `governance`,
    whoever has the right to remove the vault's lock; `compliance`, not even AWS, and the
    lock can never be removed. Costs: a locked backup is paid for until its time is over."""
    lock_grace_days: Annotated[int, Field(ge=SHORTEST_GRACE_DAYS, le=LONGEST_KEPT_DAYS)] = 14
    """How long after its deployment a `compliance` lock can still be removed."""
    copy_to: Annotated[
        str | None, Field(pattern=r"^arn:[\w-]+:backup:[\w-]+:\d{12}:backup-vault:[\w-]{2,50}$")
    ] = None
    """Vault in another region or account that receives a copy of every backup. Needs advanced
    features of DynamoDB backups ([operations](operations.md#backups)). Costs: the same again, and
    the transfer between regions."""

    @model_validator(mode="after")
    def _grace_is_for_compliance(self) -> Self:
        if "lock_grace_days" in self.model_fields_set and self.lock != "compliance":
            raise ValueError(
                f'lock_grace_days has no meaning for lock "{self.lock}": only a lock in '
                "compliance mode becomes permanent"
            )
        return self


class TrailConfig(StagePart, frozen=True):
    """Who reads and changes tables and buckets directly: data events of CloudTrail.

    Without them CloudTrail records changes of the account's configuration for 90 days, but not who
    read or wrote a row or an object.
    """

    mode: Literal["own", "existing"]
    """`own`: a trail of this stage, with a locked bucket and a log group. `existing`: a trail of
    the account or organization already records data events of DynamoDB and S3, and the stage makes
    none. Costs: an own trail, a key and $0.10 per 100,000 events
    ([costs](costs.md#data-events-of-cloudtrail))."""
    log_group: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_./#-]+$", max_length=512)] = None
    """Of mode `existing`: the log group of this account and region that receives the events, for
    the saved query. None: the events are queried where the trail keeps them."""
    kept_days: Annotated[int, Field(ge=90, le=2_555)] = 365
    """How long the bucket of an own trail keeps and locks events. PCI DSS 4.0 demands a year
    (requirement 10.5.1)."""
    functions: bool = False
    """Whether an own trail also records what the platform's own functions do. Costs: each call of
    DynamoDB and S3 is an event."""

    @model_validator(mode="after")
    def _settings_fit_the_mode(self) -> Self:
        only = {"own": {"kept_days", "functions"}, "existing": {"log_group"}}
        other = "existing" if self.mode == "own" else "own"
        if unused := sorted(self.model_fields_set & only[other]):
            raise ValueError(f'trail.mode "{self.mode}" has no use for {", ".join(unused)}')
        return self
