"""`make upload-console`: the console's files into the bucket behind CloudFront, after a deployment.

CloudFormation cannot upload files. The make targets that deploy run this once the stacks are
deployed; it does nothing for a stage whose console CloudFront does not serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from local.errors import LocalError
from local.progress import Progress
from local.workspace import PROJECT_ROOT
from operations.deployed import output_of
from runtime.console.files import FILES_PREFIX, INDEX
from runtime.console.headers import CACHE_CONTROL, content_type_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

SOURCES: Final = PROJECT_ROOT / "console"
KEY_PREFIX: Final = FILES_PREFIX.lstrip("/")
"""Of every object: its key is its path, without the slash at the beginning."""
MOST_DELETED: Final = 1_000
"""Keys in one DeleteObjects request (Amazon S3 API Reference)."""


@dataclass(frozen=True)
class Uploaded:
    """What an upload changed, as keys."""

    written: tuple[str, ...]
    deleted: tuple[str, ...]


def upload_console(stage: str, progress: Progress, sources: Path = SOURCES) -> None:
    """Upload the files to the stage's bucket, if CloudFront serves its console.

    Raises:
        LocalError: no credentials, or no right to write into the bucket.
    """
    import boto3  # noqa: PLC0415 - not for those who only ask what a command does

    if not _has_console_stack(stage):
        progress.say(f"The stage {stage!r} has no console behind CloudFront: nothing to upload.")
        return
    bucket = output_of(stage, "console", "ConsoleBucket")
    try:
        done = upload(boto3.client("s3"), bucket, sources)
    except (BotoCoreError, ClientError) as error:
        raise LocalError(
            f"The console's files could not be uploaded to {bucket}: {error}.",
            hint=f"Correct the cause, then: make upload-console STAGE={stage}",
        ) from error
    progress.say(
        f"{len(done.written)} files of the console uploaded, {len(done.deleted)} old ones deleted: "
        f"{output_of(stage, 'console', 'ConsoleUrl')}"
    )


def upload(client: S3Client, bucket: str, sources: Path) -> Uploaded:
    """Write all files, the page last, then delete what is not one of them.

    The page comes last, so whoever loads the new one finds all that it refers to.
    """
    paths = [path for path in sources.rglob("*") if path.is_file()]
    keys = {f"{KEY_PREFIX}{path.relative_to(sources).as_posix()}": path for path in paths}
    page = f"{KEY_PREFIX}{INDEX}"
    if page not in keys:
        raise LocalError(f"{sources} has no {INDEX}.", hint="Run this in a whole checkout.")
    written = (*sorted(keys.keys() - {page}), page)
    for key in written:
        client.put_object(
            Bucket=bucket,
            Key=key,
            Body=keys[key].read_bytes(),
            ContentType=content_type_of(key),
            CacheControl=CACHE_CONTROL,
        )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = {each["Key"] for part in pages for each in part.get("Contents", ())}
    old = tuple(sorted(found - keys.keys()))
    for start in range(0, len(old), MOST_DELETED):
        objects: list[ObjectIdentifierTypeDef] = [
            {"Key": key} for key in old[start : start + MOST_DELETED]
        ]
        client.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    return Uploaded(written, old)


def _has_console_stack(stage: str) -> bool:
    import boto3  # noqa: PLC0415 - as above

    try:
        boto3.client("cloudformation").describe_stacks(StackName=f"payments-{stage}-console")
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and "does not exist" in str(error):
            return False
        raise LocalError(
            f"The stage {stage!r} could not be looked up: {error}.",
            hint="AWS_PROFILE and AWS_REGION choose the account.",
        ) from error
    return True
