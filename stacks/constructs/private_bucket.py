"""An S3 bucket that only TLS and our own key open."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.stage_parts import DataConfig


class PrivateBucket(Construct):
    """Versioned, encrypted with `key`, logged, TLS only, no public access.

    `lock`: nothing that is written there can be changed or deleted for so long (S3 Object Lock).
    """

    def __init__(  # noqa: PLR0913 - what one bucket is made of
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey,
        access_logs: s3.IBucket,
        lifecycle: Sequence[s3.LifecycleRule],
        data: DataConfig,
        lock: s3.ObjectLockRetention | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            bucket_key_enabled=True,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            enforce_ssl=True,
            lifecycle_rules=lifecycle,
            minimum_tls_version=1.2,
            object_lock_default_retention=lock,
            object_lock_enabled=True if lock else None,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=data.removal_policy,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix=f"{construct_id.lower()}/",
            versioned=True,
        )

    def send_events(self) -> None:
        """Tell EventBridge of every object.

        Said in the bucket's own resource: the CDK's switch for it adds a Lambda function and a
        custom resource for what CloudFormation can do itself.
        """
        resource = self.bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)  # noqa: S101 - what L2 buckets are made of
        resource.add_property_override(
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True
        )
