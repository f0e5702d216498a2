"""Signed links to one object in a bucket, valid for 15 minutes without credentials.

A link is signed with the function's role, so it permits no more than the role does, and it becomes
invalid when the role's credentials expire. The object is encrypted with the bucket's default key,
for which the role needs `kms:GenerateDataKey` (upload) and `kms:Decrypt` (download).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LINK_SECONDS: Final = 900
"""How long a link is valid."""
CHECKSUM_HEADER: Final = "x-amz-checksum-sha256"


@dataclass(frozen=True, slots=True)
class UploadLink:
    """Where to PUT an object, and the headers that the signature covers."""

    url: str
    headers: dict[str, str]


@dataclass(frozen=True)
class SignedLinks:
    """Links to objects of one bucket. `s3` signs with version 4 (`AwsClients.signing_s3`)."""

    s3: S3Client
    bucket: str

    def upload(self, key: str, sha256: str | None = None) -> UploadLink:
        """A link to put one object; with `sha256` (hex) S3 rejects any other content."""
        parameters: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        headers = {}
        if sha256 is not None:
            checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
            parameters["ChecksumSHA256"] = checksum
            headers[CHECKSUM_HEADER] = checksum
        url = self.s3.generate_presigned_url(
            "put_object", Params=parameters, ExpiresIn=LINK_SECONDS
        )
        return UploadLink(url, headers)

    def download(self, key: str, file_name: str, *, inline: bool = False) -> str:
        """A link to read one object; a browser saves it as `file_name`, or shows it `inline`."""
        kind = "inline" if inline else "attachment"
        disposition = f"{kind}; filename*=UTF-8''{quote(file_name, safe='')}"
        return self.s3.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ResponseContentDisposition": disposition,
            },
            ExpiresIn=LINK_SECONDS,
        )
