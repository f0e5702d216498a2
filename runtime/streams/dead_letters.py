"""Dead letters: parked stream records, stored next to the batches that Lambda gives up on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PARKED_PREFIX: Final = "parked/"


class FailedBatches:
    """The bucket of records that could not be projected. A redrive reads both kinds of objects."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def park(self, table: str, sequence_number: str, raw: Mapping[str, Any], reason: str) -> None:
        """Store a record in the format of Lambda's failed batches: JSON text under `payload`.

        The key depends only on the record and reason, so parking again is idempotent.
        """
        document = {"parked": reason, "payload": json.dumps({"Records": [raw]})}
        self._s3.put_object(
            Bucket=self._bucket,
            Key=f"{PARKED_PREFIX}{table}/{sequence_number}-{crc32(reason.encode()):08x}.json",
            Body=json.dumps(document).encode(),
            ContentType="application/json",
        )
