"""What a stage needs of its account, read from its synthesized templates and from cdk.json.

The templates are what would be deployed, so nothing is counted or named a second time here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.errors import LocalError

Json = Mapping[str, Any]

PLACEHOLDER_SUFFIX: Final = ".example"
"""The reserved top-level domain of the addresses that cdk.json comes with (RFC 2606)."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What one stage needs. `settings`: its entry in cdk.json, already judged by the synthesis."""

    stage: str
    settings: Json
    stacks: tuple[str, ...]
    bootstrap_parameter: str
    bootstrap_version: int
    tables: int
    rules: int
    reserved: int
    """Executions that functions reserve."""
    queue_executions: int
    """Executions at once that queues may cause."""
    scheduled: int
    """Functions that a schedule invokes: an execution each."""
    rate_per_second: int
    burst: int
    warm_write_units: int
    """The most that a table has to take at once; 0 if the stage says nothing."""
    key_aliases: frozenset[str]

    @property
    def data_stack(self) -> str:
        """The stack of everything that holds state."""
        return f"payments-{self.stage}-data"

    def setting(self, *path: str) -> Any:
        """A value of the stage's entry; None if it is not set."""
        value: Any = self.settings
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def needs_of(stage: str, assembly: Path, cdk_json: Path) -> Needs:
    """What the stage needs, by the directory into which it was synthesized.

    Raises:
        LocalError: the directory holds no synthesized stage of this name.
    """
    try:
        manifest = json.loads((assembly / "manifest.json").read_text("utf-8"))
        context = json.loads(cdk_json.read_text("utf-8"))["context"]
        settings = context["stages"][stage]
    except (OSError, ValueError, KeyError) as error:
        raise LocalError(
            f"The stage {stage!r} is not synthesized in {assembly} ({error!r}).",
            hint=f"make preflight STAGE={stage} synthesizes it first; cdk.json lists the stages.",
        ) from error
    stacks = {
        artifact["properties"].get("stackName", name): artifact["properties"]
        for name, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    if f"payments-{stage}-data" not in stacks:
        raise LocalError(
            f"{assembly} holds {', '.join(sorted(stacks)) or 'no stack'}, not the stage {stage!r}.",
            hint=f"Run make preflight STAGE={stage}, which synthesizes it.",
        )
    resources = [
        resource
        for properties in stacks.values()
        for resource in _resources(assembly / properties["templateFile"])
    ]
    limits = _one(resources, "AWS::ApiGatewayV2::Stage")["DefaultRouteSettings"]
    first = stacks[f"payments-{stage}-data"]
    return Needs(
        stage=stage,
        settings=settings,
        stacks=tuple(sorted(stacks)),
        bootstrap_parameter=first["bootstrapStackVersionSsmParameter"],
        bootstrap_version=max(
            int(each["requiresBootstrapStackVersion"]) for each in stacks.values()
        ),
        tables=len(list(_all(resources, "AWS::DynamoDB::Table"))),
        rules=len(list(_all(resources, "AWS::Events::Rule"))),
        reserved=sum(
            function.get("ReservedConcurrentExecutions", 0)
            for function in _all(resources, "AWS::Lambda::Function")
        ),
        queue_executions=sum(
            source.get("ScalingConfig", {}).get("MaximumConcurrency", 0)
            for source in _all(resources, "AWS::Lambda::EventSourceMapping")
        ),
        scheduled=sum(
            "ScheduleExpression" in rule for rule in _all(resources, "AWS::Events::Rule")
        ),
        rate_per_second=int(limits["ThrottlingRateLimit"]),
        burst=int(limits["ThrottlingBurstLimit"]),
        warm_write_units=max(
            int(table.get("WarmThroughput", {}).get("WriteUnitsPerSecond", 0))
            for table in _all(resources, "AWS::DynamoDB::Table")
        ),
        key_aliases=frozenset(
            alias["AliasName"]
            for alias in _all(resources, "AWS::KMS::Alias")
            if isinstance(alias["AliasName"], str)
        ),
    )


def placeholders(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and value of every setting that still names a host under `.example`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from placeholders(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from placeholders(inner, path)
    elif isinstance(value, str) and _host(value).endswith(PLACEHOLDER_SUFFIX):
        yield path, value


def _host(text: str) -> str:
    """The host of an address of a page, of a mailbox, or of a domain name alone."""
    return text.partition("://")[2].partition("/")[0] or text.rpartition("@")[2]


def _resources(template: Path) -> Iterator[Json]:
    yield from json.loads(template.read_text("utf-8"))["Resources"].values()


def _all(resources: list[Json], kind: str) -> Iterator[Json]:
    return (each.get("Properties", {}) for each in resources if each["Type"] == kind)


def _one(resources: list[Json], kind: str) -> Json:
    (found,) = _all(resources, kind)
    return found
