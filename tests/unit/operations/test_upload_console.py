"""The console's files reach the bucket behind CloudFront, and old ones leave it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from mypy_boto3_s3 import S3Client

from local.errors import LocalError
from local.progress import Progress
from operations.upload_console import upload, upload_console

BUCKET = "console-files"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    # The session of all clients keeps the region in which it was made: this one ends with the test.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with mock_aws():
        client: S3Client = boto3.client("s3")
        client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield client


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "app/main.js").write_text("export {};")
    return tmp_path


def test_each_file_is_an_object_with_its_type(client: S3Client, sources: Path) -> None:
    done = upload(client, BUCKET, sources)
    assert done.written == ("console/app/main.js", "console/index.html"), "the page is the last"
    found = client.get_object(Bucket=BUCKET, Key="console/app/main.js")
    assert found["Body"].read() == b"export {};"
    assert found["ContentType"] == "text/javascript; charset=utf-8"
    assert found["CacheControl"] == "no-cache"


def test_what_is_no_file_any_more_is_deleted(client: S3Client, sources: Path) -> None:
    (sources / "app/old.js").write_text("export {};")
    upload(client, BUCKET, sources)
    (sources / "app/old.js").unlink()
    assert upload(client, BUCKET, sources).deleted == ("console/app/old.js",)
    listed = client.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [each["Key"] for each in listed] == ["console/app/main.js", "console/index.html"]


def test_a_checkout_without_the_page_uploads_nothing(client: S3Client, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"has no index\.html"):
        upload(client, BUCKET, tmp_path)
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET)


def test_a_stage_without_cloudfront_has_nothing_to_upload(
    client: S3Client, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload_console("staging", Progress(), sources)
    assert "has no console behind CloudFront" in capsys.readouterr().err
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET)


def test_a_stage_with_cloudfront_gets_the_files_into_its_bucket(
    client: S3Client, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boto3.client("cloudformation").create_stack(
        StackName="payments-staging-console",
        TemplateBody="""{"Resources": {}, "Outputs": {
            "ConsoleBucket": {"Value": "console-files"},
            "ConsoleUrl": {"Value": "https://console.payments.test/console"}}}""",
    )
    upload_console("staging", Progress(), sources)
    assert "2 files of the console uploaded" in capsys.readouterr().err
    assert client.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 2
