"""The audit log's archive in tests: a locked bucket and a signing key on the embedded AWS."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime.alerts.repository import AlertRepository
from runtime.audit.archive.archiving import ArchiveDependencies
from runtime.audit.archive.bucket import AuditArchive, RootSigner
from runtime.audit.archive.rules import SignedRoot
from runtime.audit.models import ROWS_PREFIX
from runtime.dynamodb.store import Store
from tests.support.engines.engine import REGION, Engine
from tests.support.platform import Platform

LOCK: dict[str, Any] = {
    "ObjectLockEnabled": "Enabled",
    "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 2555}},
}


@dataclass(frozen=True)
class AuditStage:
    """A locked bucket and a key; `s3` and `kms` are separate clients."""

    s3: Any
    kms: Any
    bucket: str
    key_arn: str

    @staticmethod
    def on(engine: Engine) -> AuditStage:
        s3, kms = engine.client("s3"), engine.client("kms")
        bucket = f"audit-{uuid.uuid4().hex[:12]}"
        s3.create_bucket(
            Bucket=bucket,
            ObjectLockEnabledForBucket=True,
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=LOCK)
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        return AuditStage(s3, kms, bucket, key["KeyMetadata"]["Arn"])

    @property
    def archive(self) -> AuditArchive:
        return AuditArchive(self.s3, self.bucket)

    def deps(
        self,
        platform: Platform,
        *,
        store: Store | None = None,
        clock: Callable[[], datetime] | None = None,
        must_stop: Callable[[], bool] = lambda: False,
        archive: Any = None,
        max_segments: int = 1000,
    ) -> ArchiveDependencies:
        return ArchiveDependencies(
            archive=archive or self.archive,
            signer=RootSigner(self.kms, self.key_arn),
            alerts=AlertRepository(store or platform.store),
            codec=platform.store.codec,
            clock=clock or platform.clock,
            must_stop=must_stop,
            max_segments=max_segments,
        )

    def segments(self) -> dict[str, bytes]:
        """Every segment, by name."""
        archive = self.archive
        return {name: archive.content(name) for name in archive.names(ROWS_PREFIX)}

    def roots(self) -> list[SignedRoot]:
        """Every root, by number."""
        archive = self.archive
        return [archive.root(name) for name in archive.root_names()]

    def public_key(self) -> bytes:
        """In DER."""
        key: bytes = self.kms.get_public_key(KeyId=self.key_arn)["PublicKey"]
        return key
