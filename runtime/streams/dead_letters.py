"""Records of change streams that were put aside, where Lambda puts the batches that it gives up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PARKED_PREFIX: Final = "parked/"


class FailedBatches:
    """The bucket of what could not be projected. A redrive reads both kinds of its objects."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def park(self, table: str, sequence_number: str, raw: Mapping[str, Any], reason: str) -> None:
        """Keep one record as Lambda would keep its batch: under `payload`, as JSON text.

        The same record has the same key for the same reason, so that it is there once however often
        it is parked.
        """
        document = {"parked": reason, "payload": json.dumps({"Records": [raw]})}
        self._s3.put_object(
            Bucket=self._bucket,
            Key=f"{PARKED_PREFIX}{table}/{sequence_number}-{crc32(reason.encode()):08x}.json",
            Body=json.dumps(document).encode(),
            ContentType="application/json",
        )
