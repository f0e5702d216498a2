"""Put the functions of a stage back to the versions of an earlier time, by their alias `live`.

A deployment publishes a version of each function that it changes: code, settings, memory, timeout.
What everything invokes is the alias, so moving it takes effect at once, and needs no deployment.
Tables, permissions, schedules and the gateway stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import boto3

from local.emulator.aws import Clients
from local.errors import LocalError
from local.progress import Progress
from local.stackfile import Stack
from operations.deployed import names_of

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

LIVE: Final = "live"
STACKS: Final = ("ledger", "audit", "webhooks", "workers", "exports", "api")
"""Stacks with functions, in the order of a deployment: the API last."""
ONE_DEPLOYMENT: Final = timedelta(minutes=15)
"""Versions published at shorter intervals are taken for parts of one deployment."""
VERSIONS_PAGE: Final = 50
"""The most that ListVersionsByFunction returns at once."""


@dataclass(frozen=True, order=True)
class Version:
    """A published version of a function."""

    number: int
    published: datetime


@dataclass(frozen=True)
class DeployedFunction:
    """A function with its versions, oldest first, and the one that its alias points to.

    `revision` is the alias's: an update under it fails if another one came first. `arriving` is the
    version that a deployment gives some of the requests to; None while none is in progress.
    """

    role: str
    name: str
    live: int
    revision: str
    versions: tuple[Version, ...]
    arriving: int | None = None

    def at(self, moment: datetime) -> Version:
        """The newest version that was published until then. Raises LocalError if there is none."""
        found = [version for version in self.versions if version.published <= moment]
        if not found:
            oldest = min(self.versions, key=lambda version: version.published, default=None)
            since = "no version" if oldest is None else f"versions since {_shown(oldest.published)}"
            raise LocalError(
                f"The function {self.role} had no version at {_shown(moment)}: it has {since}.",
                hint="Choose a later time, or deploy the earlier version of the repository.",
            )
        return max(found)


@dataclass(frozen=True)
class Deployment:
    """A deployment as its versions show it. `live`: functions whose alias points to one of them."""

    began: datetime
    ended: datetime
    functions: int
    live: int


@dataclass(frozen=True)
class Target:
    """Where functions are rolled back: their physical names by role, and the client."""

    functions: Mapping[str, str]
    client: LambdaClient


def local_target(stack: Stack) -> Target:
    """The local stage's."""
    return Target(stack.functions, Clients(stack.aws_endpoint_url).functions)


def deployed_target(stage: str) -> Target:
    """A deployed stage's. Raises LocalError if it cannot be found."""
    functions: dict[str, str] = {}
    for name in STACKS:
        functions |= names_of(stage, name, "Functions")
    return Target(functions, boto3.client("lambda"))


def moment_of(text: str) -> datetime:
    """A time with its zone, such as 2026-12-01T09:30:00Z. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write for example {text}Z")
    return moment.astimezone(UTC)


def read_functions(target: Target) -> list[DeployedFunction]:
    """The functions of the target, in its order."""
    return [_read(role, name, target.client) for role, name in target.functions.items()]


def _read(role: str, name: str, client: LambdaClient) -> DeployedFunction:
    alias = client.get_alias(FunctionName=name, Name=LIVE)
    pages = client.get_paginator("list_versions_by_function").paginate(
        FunctionName=name, PaginationConfig={"PageSize": VERSIONS_PAGE}
    )
    versions = (
        Version(int(found["Version"]), datetime.fromisoformat(found["LastModified"]))
        for page in pages
        for found in page["Versions"]
        if found["Version"] != "$LATEST"
    )
    live, revision = int(alias["FunctionVersion"]), alias["RevisionId"]
    weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    arriving = max(map(int, weights), default=None)
    return DeployedFunction(role, name, live, revision, tuple(sorted(versions)), arriving)


def deployments(functions: Iterable[DeployedFunction]) -> list[Deployment]:
    """The deployments that the versions show, newest first."""
    published = sorted(
        ((version.published, each, version) for each in functions for version in each.versions),
        key=lambda found: found[0],
    )
    groups: list[list[tuple[datetime, DeployedFunction, Version]]] = []
    for found in published:
        if not groups or found[0] - groups[-1][-1][0] > ONE_DEPLOYMENT:
            groups.append([])
        groups[-1].append(found)
    return [
        Deployment(
            began=group[0][0],
            ended=group[-1][0],
            functions=len({each.name for _, each, _ in group}),
            live=sum(version.number == each.live for _, each, version in group),
        )
        for group in reversed(groups)
    ]


def show_deployments(target: Target) -> list[str]:
    """The deployments of a stage as lines of text, newest first."""
    return [
        # Rounded up, so that this time as the time of a rollback includes the last version.
        f"{_shown(each.began)} to {_shown(each.ended + timedelta(seconds=1))}: "
        f"{each.functions} functions, "
        f"{each.live} of these versions live"
        for each in deployments(read_functions(target))
    ]


def roll_back(
    target: Target, moment: datetime, progress: Progress, *, dry_run: bool = False
) -> Sequence[str]:
    """Point each alias to the version of `moment`, and return what changed as lines of text.

    All versions are looked up before the first alias moves. The same call again changes nothing
    more, so a call that was interrupted is repeated. A later moment goes forward again.

    Functions go back in the reverse order of a deployment, the API first: what reads the change
    streams must at no time be older than the API that writes them.

    Raises:
        LocalError: a function has no version of that time, or is being deployed.
    """
    functions = read_functions(target)
    _refuse_during_deployments(functions)
    chosen = [(each, each.at(moment)) for each in functions]
    back = [(each, version) for each, version in chosen if version.number < each.live]
    forward = [(each, version) for each, version in chosen if version.number > each.live]
    moves = [*reversed(back), *forward]
    for each, version in moves if not dry_run else ():
        with progress.step(f"{each.role}: version {each.live} → {version.number}"):
            target.client.update_alias(
                FunctionName=each.name,
                Name=LIVE,
                FunctionVersion=str(version.number),
                RevisionId=each.revision,
                RoutingConfig={"AdditionalVersionWeights": {}},
            )
    return [
        f"{each.role}: version {each.live} → {version.number} "
        f"(published {_shown(version.published)})"
        for each, version in moves
    ]


def _refuse_during_deployments(functions: Iterable[DeployedFunction]) -> None:
    """CodeDeploy would move the alias again, to the version that is to go."""
    deployed = [each for each in functions if each.arriving is not None]
    if deployed:
        listed = ", ".join(f"{each.role} ({each.live} → {each.arriving})" for each in deployed)
        raise LocalError(
            f"A deployment is in progress: {listed}.",
            hint="Stop it; that alone brings the old versions back: aws deploy list-deployments "
            "--include-only-statuses InProgress, then aws deploy stop-deployment "
            "--auto-rollback-enabled --deployment-id … If none is listed, its weights were left "
            "behind: aws lambda update-alias --name live --routing-config "
            "AdditionalVersionWeights={} --function-name …",
        )


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
