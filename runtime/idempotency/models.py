"""Idempotency records: the claim of a request and its stored answer."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from runtime.core.fields import EpochSeconds, Timestamp
from runtime.dynamodb.schema import Encrypted, Row, Ttl, partition, sort


class ClaimState(StrEnum):
    """State of a claim. A claim in progress never expires; a completed one does at `expires_at`."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class IdempotencyRecord(Row, table="idempotency", frozen=True):
    """The claim of one merchant#method#path#key, and the status and body of its answer."""

    key: Annotated[str, partition()]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    created_at: Annotated[Timestamp, sort("gsi-merchant")]
    merchant_id: str
    key_subject: str
    """Owner of the data key that encrypts the answer: the customer it is about, or the merchant."""
    request_id: str
    fingerprint: str
    owner: str
    state: ClaimState = ClaimState.IN_PROGRESS
    resource_id: str | None = None
    status_code: int | None = None
    response_body: Annotated[
        str | None, Encrypted("pii", subject="key_subject"), Field(repr=False)
    ] = None
    expires_at: Annotated[EpochSeconds | None, Ttl()] = None
