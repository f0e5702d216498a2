"""Data at rest is encrypted with our keys, and data in transit with TLS."""

from __future__ import annotations

from tests.infrastructure.synthesized import Json, Synthesized, listed, without_hashes


def _denies_plain_http(statement: Json) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {})
    return bool(statement["Effect"] == "Deny" and condition == {"aws:SecureTransport": "false"})


def _is_prod(stage: Synthesized) -> bool:
    return stage.name == "prod"


def test_there_is_one_key_for_each_purpose(stage: Synthesized) -> None:
    keys = without_hashes(key.logical_id for key in stage.all("AWS::KMS::Key"))
    of_parts = ["BackupsBackupKey", "DataTrailTrailKey"] if _is_prod(stage) else []
    of_data = ["AuditKey", "IndexKey", "PciKey", "PiiKey", "TableKey"]
    assert keys == sorted([*of_data, *of_parts])


def test_every_key_is_rotated_except_the_signing_key_which_kms_cannot_rotate(
    stage: Synthesized,
) -> None:
    for key in stage.all("AWS::KMS::Key"):
        signs = key.properties.get("KeyUsage") == "SIGN_VERIFY"
        assert signs == key.logical_id.startswith("AuditKey")
        assert signs or key.properties["EnableKeyRotation"] is True, key.logical_id


def test_only_the_archive_signs_roots(stage: Synthesized) -> None:
    (key,) = (k for k in stage.all("AWS::KMS::Key") if k.logical_id.startswith("AuditKey"))
    assert key.properties["KeySpec"] == "ECC_NIST_P256"
    (denial,) = (s for s in key.properties["KeyPolicy"]["Statement"] if s.get("Sid") == "OneSigner")
    assert (denial["Effect"], denial["Action"]) == ("Deny", "kms:Sign")
    assert denial["Principal"] == {"AWS": "*"}
    pattern = stage.flat(denial["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    name = stage.stacks["audit"].stack_name
    assert pattern.endswith(f":role/{name}-ArchiveRole*")
    roles = stage.templates["audit"]["Resources"]
    assert any(logical_id.startswith("ArchiveRole") for logical_id in roles)
    signers = [
        service
        for service in stage.functions()
        if any("kms:Sign" in s["Action"] for s in stage.statements_of(service))
    ]
    assert signers == ["archive"]


def test_the_audit_archive_is_locked_for_seven_years(stage: Synthesized) -> None:
    locked = {
        bucket.logical_id: bucket.properties["ObjectLockConfiguration"]
        for bucket in stage.all("AWS::S3::Bucket")
        if "ObjectLockConfiguration" in bucket.properties
        and not bucket.logical_id.startswith("DataTrail")
    }
    assert without_hashes(locked) == ["AuditBucket"]
    (lock,) = locked.values()
    assert lock["Rule"]["DefaultRetention"] == {
        "Mode": "COMPLIANCE" if _is_prod(stage) else "GOVERNANCE",
        "Days": 2555,
    }
    (bucket,) = (b for b in stage.all("AWS::S3::Bucket") if b.logical_id in locked)
    for rule in bucket.properties["LifecycleConfiguration"]["Rules"]:
        assert not {name for name in rule if "xpiration" in name}


def test_only_conversions_expire_in_the_settlement_bucket(stage: Synthesized) -> None:
    (bucket,) = (
        each
        for each in stage.all("AWS::S3::Bucket")
        if each.logical_id.startswith("SettlementBucket")
    )
    expiring = [
        (rule.get("Prefix"), rule["ExpirationInDays"])
        for rule in bucket.properties["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    ]
    assert expiring == [("converted/", 30)]


def test_production_keeps_its_keys_buckets_and_logs(prod: Synthesized) -> None:
    kept = prod.all("AWS::KMS::Key", "AWS::S3::Bucket", "AWS::Logs::LogGroup")
    for resource in kept:
        assert resource.body["DeletionPolicy"] == "RetainExceptOnCreate", resource.logical_id
        assert resource.body["UpdateReplacePolicy"] == "Retain", resource.logical_id
    for key in prod.all("AWS::KMS::Key"):
        assert key.properties["PendingWindowInDays"] == 30


def test_only_three_services_use_the_tables_key(stage: Synthesized) -> None:
    services = {}
    for key in stage.all("AWS::KMS::Key"):
        if key.logical_id.startswith("DataTrail"):
            continue
        for statement in key.properties["KeyPolicy"]["Statement"]:
            principal = statement["Principal"]
            if "Service" in principal:
                assert key.logical_id.startswith("TableKey")
                assert "kms:*" not in listed(statement["Action"])
                if "Sid" not in statement:
                    # The CDK's own, for the rule of failed backups, which is in the same stack.
                    assert principal == {"Service": "events.amazonaws.com"}
                    continue
                services[statement["Sid"]] = "AWS::AccountId" in str(statement.get("Condition"))
            elif statement["Effect"] == "Allow":
                assert stage.flat(principal["AWS"]).endswith(":${AWS::AccountId}:root")
    # EventBridge sends no aws:SourceAccount for encrypted queues, nor CloudWatch for topics.
    assert services == {
        "AlarmsToTopics": False,
        "CloudWatchLogs": True,
        "EventBridgeToQueues": False,
    }


def test_every_bucket_is_private_versioned_and_requires_tls(stage: Synthesized) -> None:
    policies = {
        policy.properties["Bucket"]["Ref"]: policy.properties["PolicyDocument"]["Statement"]
        for policy in stage.all("AWS::S3::BucketPolicy")
    }
    buckets = stage.all("AWS::S3::Bucket")
    assert set(policies) == {bucket.logical_id for bucket in buckets}
    for bucket in buckets:
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket.properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert any(map(_denies_plain_http, policies[bucket.logical_id])), bucket.logical_id


def test_files_are_encrypted_with_our_key_and_their_access_is_logged(stage: Synthesized) -> None:
    for bucket in stage.all("AWS::S3::Bucket"):
        (rule,) = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        default = rule["ServerSideEncryptionByDefault"]
        if bucket.logical_id.startswith("AccessLogs"):
            assert default["SSEAlgorithm"] == "AES256"
        else:
            of_trail = bucket.logical_id.startswith("DataTrail")
            key = "${DataTrailTrailKey" if of_trail else "${TableKey"
            assert stage.flat(default["KMSMasterKeyID"]).startswith(key)
            assert "DestinationBucketName" in bucket.properties["LoggingConfiguration"]


def test_only_the_settlement_bucket_sends_events(stage: Synthesized) -> None:
    telling = {
        bucket.logical_id: bucket.properties["NotificationConfiguration"]
        for bucket in stage.all("AWS::S3::Bucket")
        if "NotificationConfiguration" in bucket.properties
    }
    assert without_hashes(telling) == ["SettlementBucket"]
    assert list(telling.values()) == [{"EventBridgeConfiguration": {"EventBridgeEnabled": True}}]


def test_every_queue_requires_tls(stage: Synthesized) -> None:
    protected = {
        queue["Ref"]
        for policy in stage.all("AWS::SQS::QueuePolicy")
        if any(map(_denies_plain_http, policy.properties["PolicyDocument"]["Statement"]))
        for queue in policy.properties["Queues"]
    }
    assert protected == {queue.logical_id for queue in stage.all("AWS::SQS::Queue")}


def test_the_data_stack_outputs_the_buckets(stage: Synthesized) -> None:
    assert set(stage.output("data", "Buckets")) == {
        "settlement",
        "export",
        "audit",
        "failed_batches",
    }


def test_no_bucket_or_queue_allows_everyone_everything(stage: Synthesized) -> None:
    for policy in stage.all("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                assert list(statement["Principal"]) == ["Service"], policy.logical_id
                assert "Condition" in statement, policy.logical_id
                assert not [a for a in listed(statement["Action"]) if "*" in a], policy.logical_id
