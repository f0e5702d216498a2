"""Adapt synthesized templates to what the emulator supports, by an explicit list.

Every resource type is on one of two lists: passed through (tested), or adapted by a named
rule. Anything else stops the deployment and names the resource: an emulator that silently ignores
one would let a test pass that fails in AWS. The product's templates under cdk.out/ are unchanged.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.errors import UnknownResource

Json = dict[str, Any]
Rule = Callable[[Json], Json | None]
"""A resource as synthesized → as deployed, or None to leave it out."""

STACK_ARTIFACT: Final = "aws:cloudformation:stack"
NESTED_ASSEMBLY: Final = "cdk:cloud-assembly"
API_ID: Final = "payments"
_OWNER_FILE: Final = "local/emulator/templates.py"

PASSED_THROUGH: Final = frozenset(
    {
        "AWS::ApiGatewayV2::Authorizer",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::CDK::Metadata",
        "AWS::DynamoDB::Table",
        "AWS::Events::Rule",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::KMS::Alias",
        "AWS::KMS::Key",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Logs::LogGroup",
        "AWS::Logs::MetricFilter",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
    }
)


def leave_out(_resource: Json) -> Json | None:
    """For resources that the local stage cannot use or observe."""
    return None


def leave_out_metric_math(resource: Json) -> Json | None:
    """The emulator refuses alarms on expressions; those on one metric stay."""
    return None if "Metrics" in resource.get("Properties", {}) else resource


def with_a_fixed_id(resource: Json) -> Json | None:
    """The API's id is part of its URL here: a fixed one, where AWS would choose one."""
    properties = resource.get("Properties", {})
    tags = {**properties.get("Tags", {}), "ms-custom-id": API_ID}
    return {**resource, "Properties": {**properties, "Tags": tags}}


ADAPTED: Final[Mapping[str, Rule]] = {
    "AWS::ApiGatewayV2::Api": with_a_fixed_id,
    "AWS::CloudWatch::Alarm": leave_out_metric_math,
    "AWS::CloudWatch::AnomalyDetector": leave_out,
    "AWS::CloudWatch::CompositeAlarm": leave_out,
    "AWS::CloudWatch::Dashboard": leave_out,
    "AWS::Logs::QueryDefinition": leave_out,
    "AWS::WAFv2::WebACLAssociation": leave_out,
}


@dataclass(frozen=True)
class LeftOut:
    """A resource that the local stage does not need."""

    template: str
    logical_id: str
    resource_type: str


def adapt_template(name: str, template: Json) -> tuple[Json, tuple[LeftOut, ...]]:
    """Apply the list to one template; also return what was left out.

    Raises:
        UnknownResource: a type on neither list, or a reference to something left out.
    """
    kept: Json = {}
    left_out: list[LeftOut] = []
    for logical_id, resource in template.get("Resources", {}).items():
        adapted = _rule_for(name, logical_id, resource["Type"])(resource)
        if adapted is None:
            left_out.append(LeftOut(name, logical_id, resource["Type"]))
        else:
            kept[logical_id] = adapted
    gone = frozenset(item.logical_id for item in left_out)
    resources = {logical_id: _without_depends_on(item, gone) for logical_id, item in kept.items()}
    adapted_template = {**template, "Resources": resources}
    _require_no_reference(name, adapted_template, gone)
    return adapted_template, tuple(left_out)


def adapt_assembly(source: Path, destination: Path) -> tuple[LeftOut, ...]:
    """Copy a cloud assembly with its templates adapted, and its asset hashes corrected.

    Raises:
        UnknownResource: see `adapt_template`; also for a nested assembly (a CDK `Stage`).
    """
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(source, destination, copy_function=_link_assets)
    manifest_file = destination / "manifest.json"
    manifest = json.loads(manifest_file.read_text())
    left_out: list[LeftOut] = []
    for artifact_id, artifact in manifest["artifacts"].items():
        if artifact["type"] == NESTED_ASSEMBLY:
            raise UnknownResource(
                f"The app nests an assembly, {artifact_id}; the local stage deploys plain stacks.",
                hint=f"Compose the local stage without cdk.Stage, or teach {_OWNER_FILE} about it.",
            )
        if artifact["type"] == STACK_ARTIFACT:
            # Where in the app each resource was made. The CLI reads the file for every event.
            artifact.pop("additionalMetadataFile", None)
            left_out.extend(_adapt_stack(destination, artifact_id, artifact))
    _write_json(manifest_file, manifest)
    return tuple(left_out)


def _adapt_stack(assembly: Path, artifact_id: str, artifact: Json) -> tuple[LeftOut, ...]:
    """Adapt one stack's template in place, and rename its asset after the new content."""
    template_file = assembly / artifact["properties"]["templateFile"]
    template = json.loads(template_file.read_text())
    adapted, left_out = adapt_template(template_file.name, template)
    if adapted == template:
        return ()
    content = _write_json(template_file, adapted)
    new_hash = hashlib.sha256(content).hexdigest()
    assets_file = assembly / f"{artifact_id}.assets.json"
    assets = json.loads(assets_file.read_text())
    old_hash = next(
        key
        for key, file in assets["files"].items()
        if file["source"].get("path") == template_file.name
    )
    # The hash is the asset's key, its object key and part of the stack's template URL.
    _write_json(assets_file, json.loads(json.dumps(assets).replace(old_hash, new_hash)))
    url = artifact["properties"]["stackTemplateAssetObjectUrl"]
    artifact["properties"]["stackTemplateAssetObjectUrl"] = url.replace(old_hash, new_hash)
    return left_out


def _rule_for(template: str, logical_id: str, resource_type: str) -> Rule:
    if resource_type in PASSED_THROUGH:
        return _unchanged
    if resource_type in ADAPTED:
        return ADAPTED[resource_type]
    raise UnknownResource(
        f"{template}: {logical_id} is a {resource_type}, which has not been tried on the emulator.",
        hint=f"Try it, then put the type on a list in {_OWNER_FILE}.",
    )


def _unchanged(resource: Json) -> Json:
    return resource


def _without_depends_on(resource: Json, gone: frozenset[str]) -> Json:
    wanted = resource.get("DependsOn")
    if wanted is None:
        return resource
    names = [wanted] if isinstance(wanted, str) else wanted
    kept = [name for name in names if name not in gone]
    if len(kept) == len(names):
        return resource
    without = {key: value for key, value in resource.items() if key != "DependsOn"}
    return {**without, "DependsOn": kept} if kept else without


def _require_no_reference(name: str, template: Json, gone: frozenset[str]) -> None:
    for section in ("Resources", "Outputs"):
        for logical_id, part in template.get(section, {}).items():
            for target in _references(part):
                if target in gone:
                    raise UnknownResource(
                        f"{name}: {logical_id} refers to {target}, which is left out.",
                        hint=f"Adapt {logical_id} as well, in {_OWNER_FILE}.",
                    )


def _references(value: object) -> Iterator[str]:
    """Logical ids that a template fragment refers to by Ref, Fn::GetAtt or Fn::Sub."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref" and isinstance(item, str):
                yield item
            elif key == "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else str(item).partition(".")[0]
            elif key == "Fn::Sub":
                yield from _names_in_sub(item)
            if key != "Fn::GetAtt":
                yield from _references(item)


def _names_in_sub(value: object) -> Iterator[str]:
    text = value[0] if isinstance(value, list) else value
    for piece in str(text).split("${")[1:]:
        yield piece.partition("}")[0].partition(".")[0]


def _link_assets(source: str, destination: str) -> None:
    """Assets are large and stay as they are; the JSON files are rewritten and must be copies."""
    if source.endswith(".json"):
        shutil.copyfile(source, destination)
        return
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)


def _write_json(file: Path, content: Json) -> bytes:
    data = (json.dumps(content, indent=1) + "\n").encode()
    file.write_bytes(data)
    return data
