"""Settings of the ledger's scheduled functions."""

from typing import Annotated, ClassVar

from pydantic import Field

from runtime.settings.base import Settings
from runtime.settings.table_uses import TableUses, allow, record_run


class HoldsSettings(Settings, frozen=True):
    """The scheduled function that releases expired holds."""

    TABLE_USES: ClassVar[TableUses] = {
        "accounts": allow("UpdateItem"),
        "scheduled_runs": record_run("holds"),
        "transfers": allow("GetItem", "UpdateItem", query=("expiry-index",)),
    }

    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10


class VerifyLedgerSettings(Settings, frozen=True):
    """The scheduled function that verifies the ledger.

    `audit_bucket`: the archive of the audit log, which names the rows that changed. `full_days`:
    how long after a full run the next one is due.
    `cut_seconds`: younger writes may not be committed yet and are skipped. The default is the
    maximum duration of a Lambda invocation.
    """

    TABLE_USES: ClassVar[TableUses] = {
        "accounts": allow("BatchGetItem", "Scan"),
        "entries": allow("BatchGetItem", "Query", query=("transfer-index",)),
        "payments": allow("BatchGetItem", "Scan"),
        "proofs": allow("BatchGetItem", "GetItem", "PutItem", "Query"),
        "scheduled_runs": record_run("proof"),
        "settlement_lines": allow("BatchGetItem", "Query", "Scan", query=("gsi-transaction",)),
        "settlements": allow("BatchGetItem"),
        "transactions": allow("BatchGetItem"),
        "transfers": allow("BatchGetItem", "Scan"),
    }

    audit_bucket: str
    full_days: Annotated[int, Field(ge=1, le=366)] = 30
    cut_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    patience_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    """How long an entry may lag behind its account or transfer before it counts as missing."""
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30
