"""A synthesized stage, with the queries that the tests need."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from stacks.acknowledgments import PACKS, Acknowledged, acknowledged
from stacks.composition import compose

ROOT = Path(__file__).resolve().parents[2]
CLOUD_STAGES = ("dev", "staging", "prod")
STAGES = (*CLOUD_STAGES, "local")

Json = dict[str, Any]


def cdk_json_context() -> Json:
    """The context that the CDK CLI would read."""
    context: Json = json.loads((ROOT / "cdk.json").read_text())["context"]
    return context


def documented_large_stage() -> Json:
    """The stage prod with the settings for 20,000 payments per second in docs/performance.md."""
    text = (ROOT / "docs/performance.md").read_text()
    block = text.partition("## A stage for 20,000 payments per second")[2]
    documented: Json = json.loads(block.partition("```json\n")[2].partition("```")[0])
    prod: Json = cdk_json_context()["stages"]["prod"]
    return {
        **prod,
        **{
            name: {**prod.get(name, {}), **value} if isinstance(value, dict) else value
            for name, value in documented.items()
        },
    }


def documented_console() -> Json:
    """The settings of a stage that docs/console.md shows for a console in AWS."""
    text = (ROOT / "docs/console.md").read_text()
    block = text.partition("## Put the console into AWS")[2]
    documented: Json = json.loads(block.partition("```json\n")[2].partition("```")[0])
    return documented


@dataclass(frozen=True)
class Resource:
    """One resource of a template."""

    stack: str
    logical_id: str
    body: Json

    @property
    def properties(self) -> Json:
        properties: Json = self.body.get("Properties", {})
        return properties


@dataclass(frozen=True)
class StackFacts:
    """What the CDK knows of a stack besides its template."""

    stack_name: str
    environment: str
    termination_protection: bool | None
    depends_on: frozenset[str]
    """Names of stacks that must be deployed before."""

    @staticmethod
    def of(stack: cdk.Stack) -> StackFacts:
        return StackFacts(
            stack.stack_name,
            stack.environment,
            stack.termination_protection,
            frozenset(other.stack_name for other in stack.dependencies),
        )


def findings_of(app: cdk.App) -> tuple[str, ...]:
    """What the rule packs find in the app, and nothing acknowledges."""
    found = []
    for pack in PACKS:
        for violation in pack(app).validate_scope(app).violations:
            paths = [resource.construct_path for resource in violation.violating_resources]
            found.append(f"{violation.rule_name}: {', '.join(map(str, paths))}")
    return tuple(found)


@dataclass(frozen=True)
class Synthesized:
    """A stage's templates, by the last word of the stack's name, and what the CDK knows of it.

    Has no reference to the CDK's objects, so that test processes can share it.
    """

    stacks: Mapping[str, StackFacts]
    templates: Mapping[str, Json]
    directory: Path
    acknowledged: tuple[Acknowledged, ...]
    findings: tuple[str, ...] | None
    """Of the rule packs; None: not judged."""

    @staticmethod
    def make(
        stage: str,
        asset: Path,
        directory: Path,
        context: Json | None = None,
        *,
        judged: bool = True,
    ) -> Synthesized:
        """Synthesize; `judged` by the rule packs and the CDK's own rules, which raise."""
        app = cdk.App(
            outdir=str(directory),
            context={
                **(context or cdk_json_context()),
                "stage": stage,
                "lambda_asset": str(asset),
                "unjudged": "true",  # judged below, once
            },
            builtin_cloud_formation_validation=judged,
        )
        stacks = {stack.stack_name.rpartition("-")[2]: stack for stack in compose(app).present}
        app.synth()
        templates = {
            name: json.loads((directory / f"{stack.stack_name}.template.json").read_text())
            for name, stack in stacks.items()
        }
        return Synthesized(
            {name: StackFacts.of(stack) for name, stack in stacks.items()},
            templates,
            directory,
            tuple(acknowledged(app, directory)),
            findings_of(app) if judged else None,
        )

    @property
    def name(self) -> str:
        """The name of the stage."""
        return self.stacks["data"].stack_name.split("-")[1]

    def all(self, *types: str) -> list[Resource]:
        """Resources of these types, of all stacks."""
        return [
            Resource(stack, logical_id, body)
            for stack, template in self.templates.items()
            for logical_id, body in template["Resources"].items()
            if body["Type"] in types
        ]

    def functions(self) -> dict[str, Resource]:
        """Lambda functions by service name."""
        return {
            function.properties["Environment"]["Variables"]["SERVICE"]: function
            for function in self.all("AWS::Lambda::Function")
        }

    def policies_of(self, function: Resource) -> list[Resource]:
        """The policies of the function's role."""
        resources = self.templates[function.stack]["Resources"]
        role = resources[function.properties["Role"]["Fn::GetAtt"][0]]
        return [
            Resource(function.stack, policy["Ref"], resources[policy["Ref"]])
            for policy in role["Properties"]["ManagedPolicyArns"]
        ]

    def statements_of(self, service: str) -> list[Json]:
        """All that a function may do, with resources as flat strings."""
        policies = self.policies_of(self.functions()[service])
        statements = [s for p in policies for s in p.properties["PolicyDocument"]["Statement"]]
        return [
            {
                **statement,
                "Action": listed(statement["Action"]),
                "Resource": [self.flat(item) for item in listed(statement["Resource"])],
            }
            for statement in statements
        ]

    def output(self, stack: str, name: str) -> Any:
        """A JSON output, with references as flat strings."""
        return json.loads(self.flat(self.templates[stack]["Outputs"][name]["Value"]))

    def flat(self, value: Any) -> str:
        """References and joins as one readable string: `${PaymentsTable.Arn}/index/gsi-open`."""
        match value:
            case str():
                return value
            case {"Fn::ImportValue": name}:
                return self.flat(self._exports[name])
            case {"Fn::GetStackOutput": {"StackName": stack, "OutputName": name}}:
                template = self.templates[self.flat(stack).rpartition("-")[2]]
                return self.flat(template["Outputs"][name]["Value"])
            case {"Ref": name}:
                return f"${{{name}}}"
            case {"Fn::GetAtt": [logical_id, attribute]}:
                return f"${{{logical_id}.{attribute}}}"
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(self.flat(part) for part in parts)
        raise AssertionError(f"cannot flatten {value!r}")

    @cached_property
    def _exports(self) -> Json:
        return {
            output["Export"]["Name"]: output["Value"]
            for template in self.templates.values()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }


def listed(value: Any) -> list[Any]:
    """CloudFormation writes a list of one without its brackets."""
    return value if isinstance(value, list) else [value]


def identity_statements(stage: Synthesized) -> Iterator[tuple[Resource, Json]]:
    """Statements of every policy that belongs to a principal."""
    for policy in stage.all("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            yield policy, statement


def without_hashes(names: Iterable[str]) -> list[str]:
    """Logical ids without the eight hexadecimal digits that the CDK appends."""
    return sorted(re.sub(r"[0-9A-F]{8}$", "", name) for name in names)
