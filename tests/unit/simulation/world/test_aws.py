"""Simulated AWS, as seen by the platform's gateways through their clients."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from dataclasses import replace

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    ResponseStreamingError,
)
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from runtime.audit.archive.bucket import AuditArchive
from runtime.core.signed_links import SignedLinks
from runtime.reconciliation.files.bucket import PART_BYTES, SettlementObjects
from runtime.reconciliation.files.queue import ObjectCreated, read_message
from runtime.reporting.exports.files import ExportFiles
from runtime.reporting.exports.models import ExportFormat
from simulation.aws.account import AwsAccount
from simulation.aws.s3 import arguments_of_link
from simulation.dynamodb.errors import Unsupported
from simulation.faults import FaultRates, PartnerRates
from simulation.scheduler import Scheduler


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler("aws", FaultRates.calm())


@pytest.fixture
def account(scheduler) -> AwsAccount:
    account = AwsAccount(scheduler, None, PartnerRates.calm())
    account.s3.create("files")
    account.s3.create("audit", locked=True)
    return account


def code_of(call, *arguments, **named):
    with pytest.raises(ClientError) as raised:
        call(*arguments, **named)
    return raised.value.response["Error"]["Code"]


# ---------------------------------------------------------------- KMS


def test_a_data_key_is_decrypted_only_with_its_key_and_context(account):
    kms = account.clients(None).kms()
    named = {"KeyId": "arn:pii", "EncryptionContext": {"subject": "mer_1"}}
    made = kms.generate_data_key(KeySpec="AES_256", **named)
    blob = made["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, **named)["Plaintext"] == made["Plaintext"]
    other = {**named, "EncryptionContext": {"subject": "mer_2"}}
    assert code_of(kms.decrypt, CiphertextBlob=blob, **other) == "InvalidCiphertextException"
    assert (
        code_of(kms.decrypt, CiphertextBlob=blob, **{**named, "KeyId": "arn:pci"})
        == "IncorrectKeyException"
    )
    account.kms.disabled.add("arn:pii")
    assert code_of(kms.decrypt, CiphertextBlob=blob, **named) == "DisabledException"


def test_signatures_verify_and_are_deterministic(account):
    kms = account.clients(None).kms()
    named = {"KeyId": "a", "MessageType": "RAW", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(Message=b"root", **named)["Signature"]
    assert kms.sign(Message=b"root", **named)["Signature"] == signature
    public = load_pem_public_key(account.kms.public_key_pem("a").encode())
    public.verify(signature, b"root", ec.ECDSA(SHA256()))


# ---------------------------------------------------------------- S3


def test_settlement_objects_are_found_read_copied_and_deleted_by_version(account):
    files = SettlementObjects(account.clients(None).s3(), "files")
    assert files.find("a") is None
    first = files.write("a", [b"one", b"two"])
    second = files.write("a", [b"three"])
    assert b"".join(files.blocks(first)) == b"onetwo"
    assert b"".join(files.blocks(second, 1, 3)) == b"hr"
    assert list(files.blocks(second, 2, 2)) == []
    found = files.find("a", first.version_id)
    assert (found.size, found.version) == (6, first)
    assert files.copy(found, "b")
    assert b"".join(files.blocks(files.find("b").version)) == b"onetwo"
    files.delete(first)
    assert files.find("a", first.version_id) is None
    assert files.find("a").version == second
    files.s3.delete_object(Bucket="files", Key="a")
    assert files.find("a") is None
    assert b"".join(files.blocks(second)) == b"three"


def test_a_replaced_object_is_not_read_in_place_of_the_old_version(account):
    files = SettlementObjects(account.clients(None).s3(), "files")
    old = files.write("a", [b"one"])
    files.write("a", [b"two"])
    unversioned = type(old)(old.key, old.etag)
    assert code_of(lambda: list(files.blocks(unversioned))) == "PreconditionFailed"


def test_large_objects_are_written_in_parts(account):
    files = SettlementObjects(account.clients(None).s3(), "files")
    blocks = [bytes([n]) * (PART_BYTES // 2 + 1) for n in range(5)]
    version = files.write("large", blocks)
    assert version.etag.endswith('-3"')
    assert b"".join(files.blocks(version)) == b"".join(blocks)


def test_an_upload_is_completed_once_and_repeating_changes_nothing(account):
    files = ExportFiles(account.clients(None).s3(), "files")
    upload = files.begin("x", ExportFormat.CSV)
    parts = [
        files.upload("x", upload, 1, b"a" * 5 * 1024**2),
        files.upload("x", upload, 2, b"end"),
    ]
    files.complete("x", upload, parts)
    files.complete("x", upload, parts)
    assert files.size("x") == 5 * 1024**2 + 3
    assert files.sha256("x") == hashlib.sha256(b"a" * 5 * 1024**2 + b"end").hexdigest()
    small = files.begin("y", ExportFormat.CSV)
    some = [files.upload("y", small, n, b"a") for n in (1, 2)]
    assert code_of(files.complete, "y", small, some) == "EntityTooSmall"
    files.put_empty("x", ExportFormat.CSV)
    assert files.size("x") > 0


def test_locked_objects_cannot_be_deleted_and_their_puts_need_a_checksum(account):
    s3 = account.clients(None).s3()
    archive = AuditArchive(s3, "audit")
    assert archive.add_segment("s/1", b"rows")
    assert not archive.add_segment("s/1", b"others")
    assert archive.content("s/1") == b"rows"
    assert code_of(s3.put_object, Bucket="audit", Key="k", Body=b"") == "InvalidRequest"
    (version,) = archive.versions("s/")
    named = {"Bucket": "audit", "Key": "s/1"}
    assert code_of(s3.delete_object, VersionId=version.version_id, **named) == "AccessDenied"
    s3.delete_object(**named)
    assert sorted(each.is_marker for each in archive.versions("s/")) == [False, True]
    assert list(archive.names("s/")) == []


def test_lists_are_paged(account):
    s3 = account.clients(None).s3()
    archive = AuditArchive(s3, "files")
    keys = [f"k/{n:05d}" for n in range(2_500)]
    for key in keys:
        account.s3.put_object(Bucket="files", Key=key, Body=b"")
    assert list(archive.names("k/")) == keys
    assert list(archive.names("k/", after=keys[1_999])) == keys[2_000:]
    assert [each.key for each in archive.versions("k/")] == keys


def test_a_signed_link_contains_its_purpose(account):
    links = SignedLinks(account.clients(None).signing_s3(), "files")
    body = b"a file"
    link = links.upload("incoming/ä b.csv", hashlib.sha256(body).hexdigest())
    operation, arguments = arguments_of_link(link.url)
    assert operation == "put_object"
    account.s3.put_object(**arguments, Body=body)
    assert code_of(account.s3.put_object, **arguments, Body=b"another") == "BadDigest"
    operation, arguments = arguments_of_link(links.download("incoming/ä b.csv", "x.csv"))
    assert account.s3.get_object(**arguments)["Body"].read() == body


def test_objects_are_announced_in_a_queue(scheduler, account):
    queue = account.sqs.create("files", visibility_seconds=30)
    account.announce("files", queue)
    put = account.s3.put_object(Bucket="files", Key="incoming/1.csv", Body=b"x")
    account.s3.put_object(Bucket="audit", Key="a", Body=b"", ChecksumSHA256=_sha256(b""))
    scheduler.run()
    (message,) = queue.receive(10)
    expected = ObjectCreated(key="incoming/1.csv", version_id=put["VersionId"])
    assert read_message(message.body) == expected


def _sha256(body):
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


# ---------------------------------------------------------------- faults


def test_a_client_retries_transient_faults_and_may_execute_twice(scheduler):
    account = AwsAccount(scheduler, None, PartnerRates(answer_lost=0.4, refused=0.2))
    queue = account.sqs.create("q", visibility_seconds=30)
    account.sqs.failing = 0.0
    sqs = account.clients(None).sqs()
    sent, failed = 0, 0

    def work():
        nonlocal sent, failed
        for n in range(200):
            try:
                sqs.send_message(QueueUrl=queue.url, MessageBody=str(n), MessageGroupId="m")
                sent += 1
            except (ClientError, ConnectionError, HTTPClientError):
                failed += 1

    scheduler.join([scheduler.spawn(work, "sender")])
    bodies = [message.body for message in queue.messages.values()]
    assert 0 < failed < 60
    assert sent == 200 - failed
    assert len(set(bodies)) >= sent
    assert len(bodies) > len(set(bodies))


def test_an_unsupported_request_ends_the_run(scheduler, account):
    s3 = account.clients(None).s3()

    def work():
        with suppress(Exception):  # like code that treats every failure of AWS as transient
            s3.list_buckets()

    scheduler.spawn(work, "a")
    with pytest.raises(Unsupported, match="list_buckets"):
        scheduler.run()


def test_a_body_may_be_truncated_while_it_is_read(scheduler, account):
    s3 = account.clients(None).s3()
    files = SettlementObjects(s3, "files")
    version = files.write("a", [bytes(PART_BYTES)])
    account.rates = PartnerRates(answer_lost=0.5)
    outcomes = set()

    def work():
        for _ in range(40):
            try:
                outcomes.add(sum(map(len, files.blocks(version))))
            except ResponseStreamingError:
                outcomes.add("broken")
            except (ConnectionError, HTTPClientError):
                outcomes.add("lost")

    scheduler.join([scheduler.spawn(work, "reader")])
    assert outcomes == {PART_BYTES, "broken", "lost"}


def test_a_conditional_put_may_conflict_with_another_one(scheduler, account):
    account.rates = replace(PartnerRates.calm(), refused=0.9)
    archive = AuditArchive(account.clients(None).s3(), "audit")
    codes = set()

    def work():
        for n in range(40):
            try:
                archive.add_segment(f"s/{n}", b"rows")
            except ClientError as error:
                codes.add(error.response["Error"]["Code"])

    scheduler.join([scheduler.spawn(work, "writer")])
    assert "ConditionalRequestConflict" in codes


def test_entries_of_a_batch_are_refused_individually(account):
    account.events.failing = account.sqs.failing = 0.5
    entries = [{"Source": "s", "DetailType": "d", "Detail": json.dumps(n)} for n in range(10)]
    answer = account.clients(None).events().put_events(Entries=entries)
    codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
    assert answer["FailedEntryCount"] == len(codes) - codes.count(None)
    taken = [entry["Detail"] for entry in account.events.taken]
    assert taken == [str(n) for n, code in enumerate(codes) if code is None]


def test_a_failed_upload_is_aborted(account, scheduler):
    account.rates = PartnerRates(unreached=0.3)
    s3 = account.clients(None).s3()
    outcomes = set()

    def work():
        for n in range(10):
            files = SettlementObjects(s3, "files")
            try:
                files.write(f"k{n}", [bytes(PART_BYTES), b"rest"])
                outcomes.add("done")
            except (ConnectionError, HTTPClientError):
                outcomes.add("failed")

    scheduler.join([scheduler.spawn(work, "writer")])
    assert "done" in outcomes
