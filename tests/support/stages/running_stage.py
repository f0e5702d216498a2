"""The functions as deployed, in this process, on services that really run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from local.emulator.ports import free_port
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition import aws_clients
from runtime.settings import ProjectSettings, VerifyLedgerSettings
from runtime.verification.accounts.checkpoints import Checkpoints
from runtime.verification.books_repository import VerificationReads
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import RunKind
from runtime.verification.run import verify_ledger
from runtime.verification.segments import LedgerVerificationDependencies
from tests.support.engines.engine import Engine
from tests.support.engines.streams import StreamPoller
from tests.support.http import Functions, environment, functions, make_tables, record_clients
from tests.support.iam_guard import restrict_to
from tests.support.ledger_changes import NoChanges
from tests.support.outside import OUTSIDE, outside

HEADER = "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,settlement_date"


@dataclass
class Stage:
    """The functions, and the services that they use."""

    api: Functions
    aws: Engine
    aws_tables: Engine
    dynamodb: Any
    bucket: str
    queue_url: str
    tables: dict[str, str]
    stripe_port: int
    """Where the functions expect Stripe; nothing listens there unless a test does."""

    def shop(self, **settings: Any) -> dict[str, Any]:
        email = f"{uuid.uuid4().hex}@example.com"
        body = {"name": "Shop", "email": email, "index_buckets": 4, **settings}
        answer = self.api("POST", "/v1/merchants", body)
        assert answer.status == 201, answer.text
        made: dict[str, Any] = answer.body
        return made

    def put(self, key: str, *lines: str) -> Any:
        body = "\n".join([HEADER, *lines, ""]).encode()
        return self.aws.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)

    def project_payments(self) -> None:
        """Pass all records of the payments' stream to the projector."""
        self.project("payments")

    def project(self, *tables: str) -> None:
        """Pass all records of these tables' streams to the projector; of all that it reads."""
        wanted = tables or [
            name for name, use in ProjectSettings.TABLE_USES.items() if use.reads_stream
        ]
        function = self.api.modules["project"].handler
        names = [self.tables[each] for each in wanted]
        poller = StreamPoller(self.aws_tables, names, function)
        poller.drain()
        assert not poller.errors

    def work_settlement_queue(self) -> int:
        """Process all messages about settlement files; returns their number."""
        return self.api.work_settlement_queue(self.aws.client("sqs"), self.queue_url)

    def payments_that_contradict(self) -> list[str]:
        """Violations that ledger verification finds in payments and their postings."""
        client = self.aws_tables.dynamodb()
        restrict_to(client, VerifyLedgerSettings.TABLE_USES, self.tables)
        store = Store(client, self.tables, Codec(NoCipher()), lambda: 60.0, OUTSIDE)
        deps = LedgerVerificationDependencies(
            verifications=VerificationRepository(store),
            books=VerificationReads(store, segments=1),
            changes=NoChanges(),
            checkpoints=Checkpoints(store),
            outside=outside(),
            must_stop=lambda: False,
            cut=timedelta(0),
            grace_seconds=0.0,
        )
        report = verify_ledger(deps, kind=RunKind.FULL).report
        assert report is not None
        checks = (
            check
            for check in report.checks
            if check.name.value.startswith(("payment_", "settlement_"))
        )
        return [str(violation) for check in checks for violation in check.violations]


@contextmanager
def running_stage(ministack_engine: Engine, tables_on: Engine) -> Iterator[Stage]:
    """All services of the embedded AWS; the tables and their streams on `tables_on`."""
    prefix = f"f{uuid.uuid4().hex[:10]}-"
    dynamodb = tables_on.dynamodb()
    tables = make_tables(dynamodb, prefix, streams=True)
    kms = ministack_engine.client("kms")
    # Of their own, as in a stage: a call to KMS tells by its key what it is for.
    arn, pci_arn, index_arn = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(3))
    signing = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    s3, sqs = ministack_engine.client("s3"), ministack_engine.client("sqs")
    bucket = f"{prefix}settlement"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    queue_url = sqs.create_queue(QueueName=f"{prefix}queue")["QueueUrl"]
    with pytest.MonkeyPatch.context() as machine:
        variables = environment(
            tables,
            key_arn=arn,
            bucket=bucket,
            queue_url=queue_url,
            audit_key_arn=signing["KeyMetadata"]["Arn"],
        )
        variables |= {"PCI_KEY_ARN": pci_arn, "INDEX_KEY_ARN": index_arn}
        for name, value in variables.items():
            machine.setenv(name, value)
        machine.setenv("AWS_ENDPOINT_URL", ministack_engine.endpoint_url or "")
        machine.setattr(aws_clients, "dynamodb", lambda lean: tables_on.dynamodb())
        record_clients(machine)
        machine.setenv("NO_PROXY", "127.0.0.1")
        stripe_port = free_port()
        machine.setenv("STRIPE_API_BASE", f"http://127.0.0.1:{stripe_port}")
        yield Stage(
            functions(),
            ministack_engine,
            tables_on,
            dynamodb,
            bucket,
            queue_url,
            tables,
            stripe_port,
        )
