"""Least privilege, as CloudFormation will see it."""

from __future__ import annotations

import json
import re

import pytest

from runtime.dynamodb.codec import OWNER
from runtime.idempotency.repository import ClaimView
from runtime.merchants.repository import FirstEndpoint
from runtime.settings.api import CLAIM_ATTRIBUTES
from runtime.settings.derived import ENDPOINT_ATTRIBUTES
from runtime.settings.table_uses import TableUses
from runtime.tables import ALL_TABLES
from simulation.platform.functions import FUNCTIONS
from stacks import ledger
from stacks.constructs.schema_table import table_logical_id
from stacks.iam.statements import STREAM_ACTIONS
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import (
    Json,
    Synthesized,
    identity_statements,
    listed,
)

USES: dict[str, TableUses] = {
    service: function.settings.TABLE_USES for service, function in FUNCTIONS.items()
}
every_function_with_tables = pytest.mark.parametrize("service", USES)
USE_AND_MAKE = {"Decrypt", "GenerateDataKey"}
MAX_POLICY_CHARACTERS = 6144
"""IAM quota of a managed policy; white space is not counted."""
LONGEST_ARN = 130
"""Characters of a table's ARN: partition, region, account, stack, logical id, random part."""
DATA_KEY_ACTIONS: dict[str, dict[str, set[str]]] = {
    "process": {"PiiKey": USE_AND_MAKE, "PciKey": USE_AND_MAKE, "IndexKey": USE_AND_MAKE},
    "query": {"PiiKey": {"Decrypt"}, "IndexKey": USE_AND_MAKE},
    "archive": {},
    "deliver": {"PiiKey": {"Decrypt"}},
    "export": {},
    "holds": {},
    "retries": {},
    "project": {"PiiKey": USE_AND_MAKE},
    "proof": {},
    "reconcile": {},
    "resolver": {"PiiKey": USE_AND_MAKE},
    "poll": {"PiiKey": USE_AND_MAKE},
    "rotation": {"PiiKey": USE_AND_MAKE, "PciKey": USE_AND_MAKE, "IndexKey": USE_AND_MAKE},
    "totals": {},
    "authorizer": {"IndexKey": {"Decrypt"}},
}


def _declared(uses: TableUses) -> dict[str, set[str]]:
    allowed: dict[str, set[str]] = {}
    for name, use in uses.items():
        arn = f"${{{table_logical_id(name)}.Arn}}"
        if actions := (*use.actions, *use.by_key):
            allowed[arn] = {f"dynamodb:{action}" for action in actions}
        if use.reads_stream:
            stream = f"${{{table_logical_id(name)}.StreamArn}}"
            allowed[stream] = {f"dynamodb:{action}" for action in STREAM_ACTIONS}
        for index in use.queried_indexes:
            allowed[f"{arn}/index/{index}"] = {"dynamodb:Query"}
    return allowed


def _allowed(statements: list[Json], service: str) -> dict[str, set[str]]:
    allowed: dict[str, set[str]] = {}
    for statement in statements:
        actions = {action for action in statement["Action"] if action.startswith(f"{service}:")}
        for resource in statement["Resource"]:
            if actions:
                allowed.setdefault(resource, set()).update(actions)
    return allowed


@every_function_with_tables
def test_a_functions_table_permissions_are_exactly_the_declared_ones(
    service: str, stage: Synthesized
) -> None:
    assert _allowed(stage.statements_of(service), "dynamodb") == _declared(USES[service])


@pytest.mark.parametrize(
    ("table", "index"),
    [(schema.name, index.name) for schema in ALL_TABLES for index in schema.indexes],
)
def test_some_function_reads_each_index(table: str, index: str) -> None:
    """An index costs a write whenever a row enters it: one that nothing reads is wasted."""
    readers = [
        service
        for service, uses in USES.items()
        if table in uses and index in uses[table].queried_indexes
    ]
    assert readers, f"no function queries {table}/{index}: remove it or give it a reader"


@every_function_with_tables
def test_a_function_has_permissions_for_exactly_the_tables_in_its_environment(
    service: str, stage: Synthesized
) -> None:
    variables = stage.functions()[service].properties["Environment"]["Variables"]
    names = json.loads(stage.flat(variables["TABLES"]))
    assert names == {name: f"${{{table_logical_id(name)}}}" for name in USES[service]}
    assert list(names) == sorted(names)


@pytest.mark.parametrize("service", DATA_KEY_ACTIONS)
def test_a_wrapping_key_decrypts_only_for_its_purpose_and_a_subject(
    service: str, stage: Synthesized
) -> None:
    found: dict[str, set[str]] = {}
    for statement in stage.statements_of(service):
        for resource in statement["Resource"]:
            name = resource.removeprefix("${").partition("Key")[0] + "Key"
            if name not in {"PiiKey", "PciKey", "IndexKey"}:
                continue
            found.setdefault(name, set()).update(a.partition(":")[2] for a in statement["Action"])
            purpose = name.removesuffix("Key").lower()
            assert statement["Condition"] == {
                "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["purpose", "subject"]},
                "StringEquals": {"kms:EncryptionContext:purpose": purpose},
                "Null": {"kms:EncryptionContext:subject": "false"},
            }
    assert found == DATA_KEY_ACTIONS[service]


@pytest.mark.parametrize("service", USES)
def test_functions_use_the_tables_key_only_through_other_services(
    service: str, stage: Synthesized
) -> None:
    for statement in stage.statements_of(service):
        if not any(resource.startswith("${TableKey") for resource in statement["Resource"]):
            continue
        condition = statement["Condition"]["StringEquals"]
        assert stage.flat(condition["kms:ViaService"]).split(".")[0] in {"dynamodb", "s3", "sqs"}
        assert stage.flat(condition["kms:CallerAccount"]) == "${AWS::AccountId}"
        assert "kms:CreateGrant" not in statement["Action"]


OBJECTS = {
    "s3:GetObject": {
        "AuditBucket": {"roots/*", "rows/*"},
        "ExportBucket": {"exports/*", "reports/*"},
        "SettlementBucket": {"*"},
    },
    "s3:GetObjectVersion": {"SettlementBucket": {"*"}},
    "s3:DeleteObjectVersion": {"SettlementBucket": {"*"}},
    "s3:AbortMultipartUpload": {"SettlementBucket": {"converted/*"}},
    "s3:PutObject": {
        "AuditBucket": {"rows/*", "roots/*"},
        "ExportBucket": {"exports/*", "reports/*"},
        "FailedBatches": {"*"},
        "SettlementBucket": {"converted/*", "reconciliation/*", "rejected/*"},
    },
}
"""What functions may do with many objects, by a part of their bucket's name."""


def test_only_traces_and_objects_of_our_buckets_have_wildcards(
    stage: Synthesized,
) -> None:
    for policy, statement in identity_statements(stage):
        actions = listed(statement["Action"])
        assert not [action for action in actions if "*" in action], policy.logical_id
        if policy.logical_id.startswith(("Backups", "Deployments")):
            continue  # of AWS Backup and CodeDeploy: test_backups.py, test_deployments.py
        wild = [r for r in map(stage.flat, listed(statement["Resource"])) if "*" in r]
        if set(actions) == {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}:
            assert wild == ["*"]
            continue
        for action, resource in ((action, each) for action in actions for each in wild):
            bucket, _, key = resource.partition("/")
            prefixes = (keys for name, keys in OBJECTS.get(action, {}).items() if name in bucket)
            assert key in next(prefixes, set()), f"{policy.logical_id}: {action} {resource}"


def test_every_roles_policies_are_managed_policies(
    stage: Synthesized,
) -> None:
    assert not stage.all("AWS::IAM::Policy")
    for role in stage.all("AWS::IAM::Role"):
        assert "Policies" not in role.properties
        policies = role.properties["ManagedPolicyArns"]
        assert 1 <= len(policies) <= 4  # of the ten that IAM attaches to a role
        assert all(list(arn) == ["Ref"] for arn in policies)


def test_only_the_local_authorizer_reads_a_secret(stage: Synthesized) -> None:
    secrets = _allowed(stage.statements_of("authorizer"), "secretsmanager")
    if stage.name == "local":
        ((arn, actions),) = secrets.items()
        assert arn.endswith(":secret:payments/local/jwks-??????")
        assert actions == {"secretsmanager:GetSecretValue"}
    else:
        assert secrets == {}


def test_the_authorizer_reads_the_secret_of_hs256_only_where_the_stage_names_one(
    with_options: Synthesized, synthesize: Synthesize
) -> None:
    secrets = _allowed(with_options.statements_of("authorizer"), "secretsmanager")
    ((arn, actions),) = secrets.items()
    assert arn.endswith(":secret:tokens/hs256-??????")
    assert actions == {"secretsmanager:GetSecretValue"}
    assert "HS256_SECRET_ARN" in _variables(with_options)
    assert "HS256_SECRET_ARN" not in _variables(synthesize("dev"))


def _variables(stage: Synthesized) -> Json:
    variables: Json = stage.functions()["authorizer"].properties["Environment"]["Variables"]
    return variables


def test_every_policy_fits_the_iam_limit(stage: Synthesized) -> None:
    for service in stage.functions():
        for policy in stage.policies_of(stage.functions()[service]):
            statements = policy.properties["PolicyDocument"]["Statement"]
            flat = [
                {**each, "Resource": [stage.flat(item) for item in listed(each["Resource"])]}
                for each in statements
            ]
            text = json.dumps(flat, default=str, separators=(",", ":"))
            size = len(re.sub(r"\$\{[^}]*\}", "x" * LONGEST_ARN, text))
            assert size < MAX_POLICY_CHARACTERS, service


BY_KEY = {
    ("archive", "UpdateItem"): ("stream_progress", ["audit_log"]),
    ("process", "DeleteItem"): ("webhook_endpoints", ["whe_*"]),
    ("process", "UpdateItem"): ("keys", ["pci#cus_*", "pii#cus_*"]),
    ("project", "UpdateItem"): ("stream_progress", list(ledger.PROJECTED)),
    ("totals", "DeleteItem"): ("totals", ["mer_*#*"]),
    ("totals", "UpdateItem"): ("totals", ["mer_*"]),
}


def test_four_functions_may_scan_and_only_folded_totals_and_endpoints_may_be_deleted(
    stage: Synthesized,
) -> None:
    for service in USES:
        statements = stage.statements_of(service)
        actions = {action for statement in statements for action in statement["Action"]}
        scans = service in ("missing", "poll", "proof", "rotation")
        assert ("dynamodb:Scan" in actions) == scans, service
        assert ("dynamodb:DeleteItem" in actions) == ((service, "DeleteItem") in BY_KEY), service


def test_permissions_for_some_rows_are_restricted_by_their_keys(stage: Synthesized) -> None:
    for (service, action), (table, keys) in BY_KEY.items():
        rows = f"${{{table_logical_id(table)}.Arn}}"
        (statement,) = (
            each
            for each in stage.statements_of(service)
            if f"dynamodb:{action}" in each["Action"] and rows in each["Resource"]
        )
        assert statement["Action"] == [f"dynamodb:{action}"]
        assert statement["Resource"] == [rows]
        assert statement["Condition"] == {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys},
            "Null": {"dynamodb:LeadingKeys": "false"},
        }


def test_the_webhook_sender_reads_only_the_attributes_that_it_needs(
    stage: Synthesized,
) -> None:
    assert set(ENDPOINT_ATTRIBUTES) == set(FirstEndpoint.model_fields)
    (merchants,) = (
        statement
        for statement in stage.statements_of("deliver")
        if statement["Resource"] == [f"${{{table_logical_id('merchants')}.Arn}}"]
    )
    assert merchants["Action"] == ["dynamodb:GetItem"]
    assert merchants["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:Attributes": list(ENDPOINT_ATTRIBUTES)},
        "Null": {"dynamodb:Attributes": "false"},
        "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
    }


def test_listing_answered_requests_does_not_read_their_answers(stage: Synthesized) -> None:
    assert set(CLAIM_ATTRIBUTES) == {*ClaimView.model_fields, OWNER}
    (claims,) = (
        statement
        for statement in stage.statements_of("query")
        if statement["Resource"] == [f"${{{table_logical_id('idempotency')}.Arn}}"]
    )
    assert claims["Action"] == ["dynamodb:BatchGetItem"]
    assert claims["Condition"]["ForAllValues:StringEquals"] == {
        "dynamodb:Attributes": list(CLAIM_ATTRIBUTES)
    }


def test_the_function_that_queues_due_webhooks_decrypts_nothing_and_only_sends(
    stage: Synthesized,
) -> None:
    statements = stage.statements_of("retries")
    queues = _allowed(statements, "sqs")
    assert all(actions == {"sqs:SendMessage"} for actions in queues.values())
    assert len(queues) == 2  # the deliveries, and its own dead letters
