"""Reports in the export bucket: small objects, created again at every request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from runtime.core.errors import Unavailable
from runtime.reconciliation.settlements.models import REPORTS_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HTML: Final = "text/html; charset=utf-8"
CSV: Final = "text/csv; charset=utf-8"


@dataclass(frozen=True)
class ReportFiles:
    """Prefix of reports, which the bucket's lifecycle deletes."""

    s3: S3Client
    bucket: str

    def put(self, key: str, content: bytes, content_type: str) -> None:
        """Write a report, or replace it by a newer one. Raises Unavailable."""
        try:
            self.s3.put_object(
                Bucket=self.bucket,
                Key=f"{REPORTS_PREFIX}{key}",
                Body=content,
                ContentType=content_type,
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("The report could not be stored; try again") from error
