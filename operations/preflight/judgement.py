"""The checks: each compares what a stage needs with what its account has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from operations.preflight.account import Account, Unreadable
from operations.preflight.needs import Needs, placeholders

UNRESERVED_EXECUTIONS: Final = 100
"""Lambda keeps so many executions unreserved (Lambda Developer Guide, "Configuring reserved
concurrency")."""
ASSUMED_REQUEST_SECONDS: Final = 0.1
"""How long a request occupies an execution, on average: with a slow processor it is longer."""
MOST_CODE_STORED: Final = 0.9
"""Of the account's storage for code; a deployment adds about 12 MB for each changed function."""
SERVICE_QUOTAS: Final = "https://console.aws.amazon.com/servicequotas/home/services"
STUCK: Final = "docs/runbooks/stuck-deployment.md"
SETTLED: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
"""Statuses from which a stack is updated without any doubt (CloudFormation User Guide, "Stack
status codes")."""
UPDATABLE: Final = SETTLED | {"UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}


@dataclass(frozen=True)
class Finding:
    """Something that would fail. `what_to_do`: a command, a setting or a page of the console."""

    check: str
    found: str
    needed: str
    what_to_do: str


@dataclass(frozen=True)
class Unchecked:
    """A check that could not read what it needs."""

    check: str
    reason: str


@dataclass(frozen=True)
class Quota:
    """A service quota, what it is called there, and what the stage needs of it."""

    service: str
    code: str
    what: str
    needed: Callable[[Needs, Account], float]


QUOTAS: Final = (
    Quota(
        "apigateway",
        "L-8A5B8E43",
        "API Gateway: requests per second (throttling.rate_per_second)",
        lambda needs, _: needs.rate_per_second,
    ),
    Quota(
        "apigateway",
        "L-CDF5615A",
        "API Gateway: burst (throttling.burst)",
        lambda needs, _: needs.burst,
    ),
    Quota(
        "dynamodb",
        "L-F98FE922",
        "DynamoDB: tables",
        lambda needs, account: len(account.table_names()) + _new(needs, account, needs.tables),
    ),
    Quota(
        "dynamodb",
        "L-AB614373",
        "DynamoDB: write units per second of a table (data.warm_write_units)",
        lambda needs, _: needs.warm_write_units,
    ),
    Quota(
        "events",
        "L-244521F2",
        "EventBridge: rules of the default bus",
        lambda needs, account: account.rules() + _new(needs, account, needs.rules),
    ),
)
"""Codes as the AWS General Reference links them ("Amazon API Gateway endpoints and quotas", "Amazon
DynamoDB …", "Amazon EventBridge …"), and `aws service-quotas list-service-quotas` lists them."""


@dataclass(frozen=True)
class Report:
    """What was found, and what could not be checked; `checks`: names of all checks."""

    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...]

    @property
    def exit_code(self) -> int:
        """0: nothing found; 1: findings; 2: no findings, but something could not be checked."""
        if self.findings:
            return 1
        return 2 if self.unchecked else 0


def judge(needs: Needs, account: Account) -> Report:
    """All checks; one that cannot read its facts does not keep the others from running."""
    findings: list[Finding] = []
    unchecked: list[Unchecked] = []
    for name, check in CHECKS.items():
        try:
            findings += [
                Finding(name, found, needed, what) for found, needed, what in check(needs, account)
            ]
        except Unreadable as error:
            unchecked.append(Unchecked(name, str(error)))
    return Report(tuple(CHECKS), tuple(findings), tuple(unchecked))


Found = Iterator[tuple[str, str, str]]
"""What was found, what is needed, and what to do."""


def _placeholders(needs: Needs, _: Account) -> Found:
    for path, value in placeholders(needs.settings):
        yield value, "an address of your own", f"set stages.{needs.stage}.{path} in cdk.json"


def _bootstrap(needs: Needs, account: Account) -> Found:
    version = account.bootstrap_version(needs.bootstrap_parameter)
    if version is None or version < needs.bootstrap_version:
        found = "not bootstrapped" if version is None else f"version {version}"
        yield found, f"version {needs.bootstrap_version}", "run npx cdk bootstrap"


def _first_deployment(needs: Needs, account: Account) -> Found:
    status = account.stack_statuses([needs.data_stack]).get(needs.data_stack)
    first = bool(needs.setting("data", "first_deployment"))
    setting = f"stages.{needs.stage}.data.first_deployment"
    if first and status in UPDATABLE:
        yield (
            f"{setting} is true, and {needs.data_stack} is deployed",
            "protection from deletion",
            f"remove {setting} from cdk.json and deploy again",
        )
    if status is None and not first and needs.setting("data", "deletion_protection"):
        yield (
            f"{needs.data_stack} does not exist yet",
            f"{setting}: true",
            "set it in cdk.json for the first deployment: if that fails, protected tables stay",
        )


def _stacks(needs: Needs, account: Account) -> Found:
    for name, status in account.stack_statuses(needs.stacks).items():
        if status not in UPDATABLE:
            yield f"{name} is {status}", "a stack that can be updated", f"see {STUCK}"


def _clashes(needs: Needs, account: Account) -> Found:
    """Names that the stage gives itself and that belong to resources of no stack any more."""
    if account.stack_statuses([needs.data_stack]):
        return
    for alias in sorted(needs.key_aliases & set(account.key_aliases())):
        yield (
            f"the KMS alias {alias} exists without the stack {needs.data_stack}",
            "a free name",
            f"kept from an earlier stage: aws kms delete-alias --alias-name {alias}, once its data "
            "are no longer needed, or import the stack (docs/runbooks/restore.md)",
        )
    kept = [name for name in account.table_names() if name.startswith(f"{needs.data_stack}-")]
    if kept:
        yield (
            f"{len(kept)} tables of an earlier stage exist, such as {min(kept)}",
            "a decision about their rows: the new stage starts with empty tables",
            "delete them, or bring them back (docs/runbooks/restore.md)",
        )


def _lambda(needs: Needs, account: Account) -> Found:
    limits = account.lambda_limits()
    raise_it = f"ask for more: {SERVICE_QUOTAS}/lambda/quotas/L-B99A9384"
    deployed = bool(account.stack_statuses([needs.data_stack]))
    own = needs.reserved if deployed else 0
    others = max(0, limits.executions - limits.unreserved - own)
    reserving = others + needs.reserved + UNRESERVED_EXECUTIONS
    if needs.reserved and limits.executions < reserving:
        yield (
            f"{limits.executions} executions",
            f"{reserving}: {needs.reserved} that this stage reserves, {others} that others do, "
            f"and {UNRESERVED_EXECUTIONS} that stay unreserved",
            f"{raise_it}, or reserve less (concurrency)",
        )
    serving = round(needs.rate_per_second * ASSUMED_REQUEST_SECONDS)
    working = serving + needs.queue_executions + needs.scheduled
    if limits.executions < others + working:
        yield (
            f"{limits.executions} executions, {others} of them reserved by others",
            f"{working}: {serving} for {needs.rate_per_second} requests per second of "
            f"{ASSUMED_REQUEST_SECONDS:g} s, {needs.queue_executions} for queues, "
            f"{needs.scheduled} for schedules",
            f"{raise_it}, or accept fewer requests (throttling)",
        )
    if limits.code_size_used > MOST_CODE_STORED * limits.code_size:
        yield (
            f"{limits.code_size_used:,} of {limits.code_size:,} bytes of code stored",
            f"less than {MOST_CODE_STORED:.0%}",
            "delete versions of functions that you will not go back to",
        )


def _quota(quota: Quota) -> Callable[[Needs, Account], Found]:
    def check(needs: Needs, account: Account) -> Found:
        needed = quota.needed(needs, account)
        value = account.quota(quota.service, quota.code) if needed else 0
        if value < needed:
            yield (
                f"{value:,.0f}",
                f"{needed:,.0f}",
                f"ask for more: {SERVICE_QUOTAS}/{quota.service}/quotas/{quota.code}",
            )

    return check


def _issuer(needs: Needs, account: Account) -> Found:
    """Tokens could be verified: by the authorizer's own code, or by what API Gateway requires."""
    if list(placeholders(needs.setting("auth"))):
        return
    issuer, url = needs.setting("auth", "issuer"), needs.setting("auth", "jwks_url")
    if needs.setting("auth", "mode") == "jwt":
        document = account.discovery(issuer)
        if document.get("issuer") != issuer:
            yield (
                f"the discovery document of {issuer} names the issuer {document.get('issuer')!r}",
                issuer,
                f"correct stages.{needs.stage}.auth.issuer: it must be equal, slash included",
            )
        url = document.get("jwks_uri")
    if isinstance(url, str) and not account.usable_keys(url):
        yield (
            f"{url} cannot be read, or has no usable key for signatures",
            "a JSON Web Key Set (RFC 7517) over HTTPS, without redirects, within 2 seconds",
            f"correct stages.{needs.stage}.auth, or ask who runs the issuer",
        )
    for name in ("jwks_secret_name", "hs256_secret_name"):
        secret = needs.setting("auth", name)
        if secret is not None and not account.secret_exists(secret):
            yield (
                f"the secret {secret} does not exist",
                f"a secret of this name (auth.{name})",
                f"aws secretsmanager create-secret --name {secret} --secret-string file://…",
            )


def _alarms(needs: Needs, account: Account) -> Found:
    """Someone is notified: every address has confirmed its subscription."""
    given = [
        arn
        for severity in ("page", "ticket")
        if (arn := needs.setting("alarms", severity, "topic_arn")) is not None
    ]
    deployed = account.stack_statuses([needs.data_stack])
    for topic in (*given, *(account.topics_of(needs.data_stack) if deployed else ())):
        found = account.subscriptions(topic)
        if topic in given and not found:
            yield f"{topic} has no subscription", "someone who is notified", "subscribe to it"
        for waiting in (each.address for each in found if not each.confirmed):
            yield (
                f"{waiting} has not confirmed its subscription to {topic}",
                "a confirmed subscription: nothing is sent before",
                "follow the link in the message that AWS sent; if it has expired, deploy without "
                "the address and then with it",
            )


def _domain(needs: Needs, account: Account) -> Found:
    name, arn = needs.setting("domain", "name"), needs.setting("domain", "certificate_arn")
    if name is None:
        return
    certificate = account.certificate(arn)
    status = "absent" if certificate is None else certificate.status
    if certificate is None or status != "ISSUED":
        yield f"the certificate {arn} is {status}", "ISSUED", "validate it in the ACM console"
    elif not {name, f"*.{name.partition('.')[2]}"} & certificate.names:
        yield (
            f"the certificate {arn} is for {', '.join(sorted(certificate.names))}",
            name,
            "request a certificate for this name",
        )


def _new(needs: Needs, account: Account, count: int) -> int:
    """How many of the stage's resources do not exist yet: all, before its first deployment."""
    return 0 if account.stack_statuses([needs.data_stack]) else count


CHECKS: Final[dict[str, Callable[[Needs, Account], Found]]] = {
    "placeholders in cdk.json": _placeholders,
    "CDK bootstrap": _bootstrap,
    "first deployment": _first_deployment,
    "stacks": _stacks,
    "names in use": _clashes,
    "Lambda": _lambda,
    **{quota.what: _quota(quota) for quota in QUOTAS},
    "token issuer": _issuer,
    "alarm subscriptions": _alarms,
    "domain": _domain,
}
