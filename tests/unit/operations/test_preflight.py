"""Each check of a preflight finds what would fail, says what to do, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from local.errors import LocalError
from operations.preflight.account import Certificate, LambdaLimits, Subscription, Unreadable
from operations.preflight.command import preflight
from operations.preflight.judgement import CHECKS, Finding, judge
from operations.preflight.needs import Needs, needs_of, placeholders

NEEDS = Needs(
    stage="prod",
    settings={
        "auth": {"issuer": "https://id.shop.test", "jwks_url": "https://id.shop.test/jwks"},
        "data": {"retain": True, "deletion_protection": True, "first_deployment": True},
    },
    stacks=("payments-prod-api", "payments-prod-data"),
    bootstrap_parameter="/cdk-bootstrap/hnb659fds/version",
    bootstrap_version=6,
    tables=20,
    rules=12,
    reserved=0,
    queue_executions=125,
    scheduled=10,
    rate_per_second=1_000,
    burst=500,
    warm_write_units=0,
    key_aliases=frozenset({"alias/payments/prod/table"}),
)


ROOMY = LambdaLimits(1_000, 1_000, 75 * 10**9, 10**9)


@dataclass
class FakeAccount:
    """An account in which nothing is wrong, and no stage is deployed, unless a test says so."""

    bootstrap: int | None = 21
    limits: LambdaLimits = ROOMY
    quotas: Mapping[str, float] = field(default_factory=dict)
    tables: Collection[str] = ()
    statuses: Mapping[str, str] = field(default_factory=dict)
    aliases: Collection[str] = ()
    topics: Mapping[str, Collection[Subscription]] = field(default_factory=dict)
    secrets: Collection[str] = ()
    found_certificate: Certificate | None = None
    keys: bool = True
    document: Mapping[str, object] = field(default_factory=dict)
    refuses: Collection[str] = ()

    def bootstrap_version(self, parameter: str) -> int | None:
        assert parameter == NEEDS.bootstrap_parameter
        return self.bootstrap

    def lambda_limits(self) -> LambdaLimits:
        if "lambda" in self.refuses:
            raise Unreadable("lambda:GetAccountSettings: AccessDenied")
        return self.limits

    def quota(self, service: str, code: str) -> float:
        return self.quotas.get(code, 10_000)

    def table_names(self) -> Collection[str]:
        return self.tables

    def rules(self) -> int:
        return 3

    def stack_statuses(self, names: Collection[str]) -> Mapping[str, str]:
        return {name: status for name, status in self.statuses.items() if name in names}

    def key_aliases(self) -> Collection[str]:
        return self.aliases

    def topics_of(self, stack: str) -> Collection[str]:
        assert stack == NEEDS.data_stack
        return [arn for arn in self.topics if "payments" in arn]

    def subscriptions(self, topic_arn: str) -> Collection[Subscription]:
        return self.topics[topic_arn]

    def secret_exists(self, name: str) -> bool:
        return name in self.secrets

    def certificate(self, arn: str) -> Certificate | None:
        return self.found_certificate

    def usable_keys(self, url: str) -> bool:
        return self.keys

    def discovery(self, issuer: str) -> Mapping[str, object]:
        return self.document


DEPLOYED = {"payments-prod-data": "UPDATE_COMPLETE"}
PROTECTED: dict[str, Any] = {
    **NEEDS.settings,
    "data": {"retain": True, "deletion_protection": True},
}


def with_settings(**changed: Any) -> Needs:
    return replace(NEEDS, settings={**NEEDS.settings, **changed})


def the_finding(needs: Needs, account: FakeAccount) -> Finding:
    report = judge(needs, account)
    assert report.unchecked == ()
    assert report.exit_code == 1
    (finding,) = report.findings
    return finding


def test_a_new_account_in_which_all_is_well_has_no_finding() -> None:
    report = judge(NEEDS, FakeAccount())
    assert report.findings == report.unchecked == ()
    assert report.exit_code == 0
    assert report.checks == tuple(CHECKS)


def test_a_check_that_cannot_read_does_not_stop_the_others() -> None:
    report = judge(NEEDS, FakeAccount(refuses=("lambda",)))
    assert [(each.check, each.reason) for each in report.unchecked] == [
        ("Lambda", "lambda:GetAccountSettings: AccessDenied")
    ]
    assert report.exit_code == 2
    assert judge(NEEDS, FakeAccount(refuses=("lambda",), bootstrap=None)).exit_code == 1


@pytest.mark.parametrize(("version", "found"), [(None, "not bootstrapped"), (5, "version 5")])
def test_an_account_without_a_recent_bootstrap_is_found(version: int | None, found: str) -> None:
    finding = the_finding(NEEDS, FakeAccount(bootstrap=version))
    assert (finding.found, finding.needed) == (found, "version 6")
    assert "cdk bootstrap" in finding.what_to_do


def test_protection_that_was_never_switched_on_is_demanded_after_the_first_deployment() -> None:
    finding = the_finding(NEEDS, FakeAccount(statuses=DEPLOYED))
    assert finding.check == "first deployment"
    assert "remove stages.prod.data.first_deployment" in finding.what_to_do
    assert judge(replace(NEEDS, settings=PROTECTED), FakeAccount(statuses=DEPLOYED)).exit_code == 0


def test_a_protected_first_deployment_is_found() -> None:
    finding = the_finding(replace(NEEDS, settings=PROTECTED), FakeAccount())
    assert finding.needed == "stages.prod.data.first_deployment: true"


@pytest.mark.parametrize(
    "status", ["ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"]
)
def test_a_stack_that_cannot_be_updated_is_found(status: str) -> None:
    account = FakeAccount(statuses={**DEPLOYED, "payments-prod-api": status})
    finding = the_finding(replace(NEEDS, settings=PROTECTED), account)
    assert finding.found == f"payments-prod-api is {status}"
    assert "docs/runbooks/stuck-deployment.md" in finding.what_to_do


def test_what_an_earlier_stage_left_behind_is_found_before_the_first_deployment() -> None:
    kept = FakeAccount(
        aliases=["alias/payments/prod/table", "alias/other"],
        tables=["payments-prod-data-PaymentsTable-1A", "other"],
    )
    found = [each.found for each in judge(NEEDS, kept).findings]
    assert found == [
        "the KMS alias alias/payments/prod/table exists without the stack payments-prod-data",
        "1 tables of an earlier stage exist, such as payments-prod-data-PaymentsTable-1A",
    ]
    kept.statuses = DEPLOYED
    assert judge(replace(NEEDS, settings=PROTECTED), kept).exit_code == 0


def test_reserving_more_than_the_account_has_is_found() -> None:
    needs = replace(NEEDS, reserved=150, rate_per_second=10, queue_executions=0)
    account = FakeAccount(limits=LambdaLimits(300, 200, 10**9, 0))
    finding = the_finding(needs, account)
    assert finding.needed.startswith("350: 150 that this stage reserves, 100 that others do")
    assert "lambda/quotas/L-B99A9384" in finding.what_to_do
    # What the deployed stage has reserved already is not counted twice.
    deployed = FakeAccount(limits=LambdaLimits(300, 150, 10**9, 0), statuses=DEPLOYED)
    assert judge(replace(needs, settings=PROTECTED), deployed).exit_code == 0


def test_a_new_accounts_ten_executions_are_too_few_for_the_accepted_rate() -> None:
    finding = the_finding(NEEDS, FakeAccount(limits=LambdaLimits(10, 10, 10**9, 0)))
    assert finding.found.startswith("10 executions")
    assert finding.needed.startswith("235: 100 for 1000 requests per second of 0.1 s")


def test_full_storage_of_code_is_found() -> None:
    finding = the_finding(NEEDS, FakeAccount(limits=LambdaLimits(1_000, 1_000, 100, 91)))
    assert finding.found == "91 of 100 bytes of code stored"


@pytest.mark.parametrize(
    ("code", "value", "needs", "account", "needed"),
    [
        ("L-8A5B8E43", 999, NEEDS, FakeAccount(), "1,000"),
        ("L-CDF5615A", 499, NEEDS, FakeAccount(), "500"),
        ("L-F98FE922", 22, NEEDS, FakeAccount(tables=("a", "b", "c")), "23"),
        ("L-AB614373", 40_000, replace(NEEDS, warm_write_units=50_000), FakeAccount(), "50,000"),
        ("L-244521F2", 14, NEEDS, FakeAccount(), "15"),
    ],
)
def test_a_quota_below_what_the_stage_needs_is_found(
    code: str, value: int, needs: Needs, account: FakeAccount, needed: str
) -> None:
    finding = the_finding(needs, replace(account, quotas={code: value}))
    assert (finding.found, finding.needed) == (f"{value:,}", needed)
    assert finding.what_to_do.endswith(f"/quotas/{code}")
    enough = replace(account, quotas={code: int(needed.replace(",", ""))})
    assert judge(needs, enough).exit_code == 0


def test_an_issuer_without_usable_keys_is_found() -> None:
    finding = the_finding(NEEDS, FakeAccount(keys=False))
    assert finding.found.startswith("https://id.shop.test/jwks cannot be read")


def test_an_issuer_that_calls_itself_something_else_is_found_where_the_gateway_asks_it() -> None:
    needs = with_settings(auth={"mode": "jwt", "issuer": "https://id.shop.test"})
    document = {"issuer": "https://id.shop.test/", "jwks_uri": "https://id.shop.test/jwks"}
    finding = the_finding(needs, FakeAccount(document=document))
    assert "names the issuer 'https://id.shop.test/'" in finding.found
    right = FakeAccount(document={**document, "issuer": "https://id.shop.test"})
    assert judge(needs, right).exit_code == 0


def test_a_secret_that_does_not_exist_is_found() -> None:
    needs = with_settings(auth={"issuer": "https://id.shop.test", "hs256_secret_name": "tokens"})
    assert the_finding(needs, FakeAccount()).found == "the secret tokens does not exist"
    assert judge(needs, FakeAccount(secrets=("tokens",))).exit_code == 0


def test_an_address_that_has_not_confirmed_is_found() -> None:
    topic = "arn:aws:sns:eu-central-1:1:payments-page"
    account = FakeAccount(
        statuses=DEPLOYED,
        topics={topic: [Subscription("a@shop.test", True), Subscription("b@shop.test", False)]},
    )
    finding = the_finding(replace(NEEDS, settings=PROTECTED), account)
    assert finding.found == f"b@shop.test has not confirmed its subscription to {topic}"


def test_a_topic_of_ones_own_without_a_subscription_is_found() -> None:
    needs = with_settings(alarms={"page": {"topic_arn": "arn:own"}})
    finding = the_finding(needs, FakeAccount(topics={"arn:own": []}))
    assert finding.found == "arn:own has no subscription"


@pytest.mark.parametrize(
    ("certificate", "found"),
    [
        (None, "the certificate arn:c is absent"),
        (Certificate("PENDING_VALIDATION", frozenset()), "arn:c is PENDING_VALIDATION"),
        (Certificate("ISSUED", frozenset({"www.shop.test"})), "arn:c is for www.shop.test"),
        (Certificate("ISSUED", frozenset({"*.shop.test"})), None),
    ],
)
def test_a_certificate_has_to_be_issued_for_the_domain(
    certificate: Certificate | None, found: str | None
) -> None:
    needs = with_settings(domain={"name": "api.shop.test", "certificate_arn": "arn:c"})
    report = judge(needs, FakeAccount(found_certificate=certificate))
    assert [each.found.endswith(found or "?") for each in report.findings] == [True] * bool(found)


def test_placeholders_are_found_wherever_they_stand() -> None:
    settings = {
        "auth": {"issuer": "https://auth.payments.example", "audience": "example"},
        "alarms": {"page": {"email": ["a@payments.example", "b@shop.test"]}},
    }
    assert list(placeholders(settings)) == [
        ("auth.issuer", "https://auth.payments.example"),
        ("alarms.page.email", "a@payments.example"),
    ]
    report = judge(with_settings(auth=settings["auth"]), FakeAccount(keys=False))
    assert [each.what_to_do for each in report.findings] == [
        "set stages.prod.auth.issuer in cdk.json"
    ]


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    """The parts of an assembly that are read."""
    stack = {
        "type": "aws:cloudformation:stack",
        "properties": {
            "templateFile": "t.json",
            "requiresBootstrapStackVersion": 6,
            "bootstrapStackVersionSsmParameter": "/cdk-bootstrap/hnb659fds/version",
        },
    }
    manifest = {"artifacts": {"payments-dev-data": stack, "assets": {"type": "cdk:asset-manifest"}}}
    limits = {"ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 500}
    resources = {
        "T": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {"WarmThroughput": {"WriteUnitsPerSecond": 5000}},
        },
        "F": {"Type": "AWS::Lambda::Function", "Properties": {"ReservedConcurrentExecutions": 7}},
        "M": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {"ScalingConfig": {"MaximumConcurrency": 20}},
        },
        "R": {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "rate(1 minute)"}},
        "E": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {}}},
        "A": {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": "alias/payments/dev/table"}},
        "S": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {"DefaultRouteSettings": limits}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "t.json").write_text(json.dumps({"Resources": resources}))
    return tmp_path


def test_the_needs_are_those_of_the_templates(assembly: Path) -> None:
    needs = needs_of("dev", assembly, Path("cdk.json"))
    assert needs == Needs(
        stage="dev",
        settings=needs.settings,
        stacks=("payments-dev-data",),
        bootstrap_parameter="/cdk-bootstrap/hnb659fds/version",
        bootstrap_version=6,
        tables=1,
        rules=2,
        reserved=7,
        queue_executions=20,
        scheduled=1,
        rate_per_second=1000,
        burst=500,
        warm_write_units=5000,
        key_aliases=frozenset({"alias/payments/dev/table"}),
    )
    assert needs.setting("processors") == "test"


@pytest.mark.parametrize("stage", ["staging", "nowhere"])
def test_a_stage_that_is_not_synthesized_is_refused(stage: str, assembly: Path) -> None:
    with pytest.raises(LocalError, match=rf"the stage '{stage}'|stage '{stage}' is not"):
        needs_of(stage, assembly, Path("cdk.json"))


def test_the_report_is_printed_for_people_and_as_json(
    assembly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = FakeAccount(bootstrap=None, refuses=("lambda",))
    assert preflight("dev", assembly, "json", account=account).exit_code == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["stage"] == "dev"
    assert "CDK bootstrap" in [each["check"] for each in printed["findings"]]
    assert [each["check"] for each in printed["unchecked"]] == ["Lambda"]
    preflight("dev", assembly, "text", account=account)
    text = capsys.readouterr().out
    assert "do:     run npx cdk bootstrap" in text
    assert "not checked  Lambda" in text
    assert f"{len(CHECKS)} checks: " in text
