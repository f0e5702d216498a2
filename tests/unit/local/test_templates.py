"""Adapting templates: an explicit list, an error for everything else, and correct hashes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from local.emulator.templates import adapt_assembly, adapt_template
from local.errors import UnknownResource

TABLE = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "payments"}}
SIMPLE_ALARM = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors"}}
MATH_ALARM = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": [{"Id": "rate"}]}}
COMPOSITE = {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmRule": "TRUE"}}


def adapted(**resources: Any) -> dict[str, Any]:
    return adapt_template("data.template.json", {"Resources": resources})[0]["Resources"]


def test_supported_resources_are_unchanged() -> None:
    assert adapted(Payments=TABLE, Errors=SIMPLE_ALARM) == {
        "Payments": TABLE,
        "Errors": SIMPLE_ALARM,
    }


def test_the_api_has_a_stable_id_and_url() -> None:
    api = {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "a", "Tags": {"stage": "x"}}}
    tags = {"stage": "x", "ms-custom-id": "payments"}
    assert adapted(Api=api)["Api"]["Properties"] == {"Name": "a", "Tags": tags}
    assert api["Properties"] == {"Name": "a", "Tags": {"stage": "x"}}


def test_alarms_on_expressions_and_composite_alarms_are_removed_and_named() -> None:
    template = {"Resources": {"Payments": TABLE, "Rate": MATH_ALARM, "Any": COMPOSITE}}
    result, left_out = adapt_template("api.template.json", template)
    assert list(result["Resources"]) == ["Payments"]
    assert [(item.template, item.logical_id) for item in left_out] == [
        ("api.template.json", "Rate"),
        ("api.template.json", "Any"),
    ]


def test_an_untested_resource_type_stops_the_deployment_and_is_named() -> None:
    with pytest.raises(UnknownResource) as caught:
        adapted(Payments=TABLE, Cluster={"Type": "AWS::RDS::DBCluster"})
    assert "data.template.json: Cluster is a AWS::RDS::DBCluster" in caught.value.message


def test_a_custom_resource_always_stops_the_deployment() -> None:
    with pytest.raises(UnknownResource, match="Custom::S3BucketNotifications"):
        adapted(Notify={"Type": "Custom::S3BucketNotifications"})


@pytest.mark.parametrize(
    ("depends_on", "left"),
    [("Rate", None), (["Rate"], None), (["Rate", "Role"], ["Role"]), ("Role", "Role")],
)
def test_dependencies_on_removed_resources_are_removed(depends_on: object, left: object) -> None:
    waiting = {**TABLE, "DependsOn": depends_on}
    resources = adapted(Payments=waiting, Rate=MATH_ALARM, Role={"Type": "AWS::IAM::Role"})
    assert resources["Payments"].get("DependsOn") == left


@pytest.mark.parametrize(
    "reference",
    [
        {"Ref": "Rate"},
        {"Fn::GetAtt": ["Rate", "Arn"]},
        {"Fn::GetAtt": "Rate.Arn"},
        {"Fn::Sub": "alarm ${Rate.Arn}"},
        {"Fn::Join": ["", ["a", {"Fn::Sub": ["${Rate} ${x}", {"x": "y"}]}]]},
    ],
)
def test_a_reference_to_a_removed_resource_stops_the_deployment(reference: object) -> None:
    user = {"Type": "AWS::IAM::Policy", "Properties": {"Resource": reference}}
    with pytest.raises(UnknownResource, match="Watch refers to Rate"):
        adapted(Watch=user, Rate=MATH_ALARM)


def test_an_output_of_a_removed_resource_stops_the_deployment() -> None:
    template = {"Resources": {"Rate": MATH_ALARM}, "Outputs": {"Alarm": {"Value": {"Ref": "Rate"}}}}
    with pytest.raises(UnknownResource, match="Alarm refers to Rate"):
        adapt_template("api.template.json", template)


def an_assembly(directory: Path, resources: dict[str, Any]) -> Path:
    """A cloud assembly as written by the CDK: the template's hash occurs in three places."""
    directory.mkdir()
    template = json.dumps({"Resources": resources}).encode()
    old = hashlib.sha256(template).hexdigest()
    source = {"path": "api.template.json", "packaging": "file"}
    to = {"here": {"bucketName": "assets", "objectKey": f"{old}.json"}}
    (directory / "api.template.json").write_bytes(template)
    (directory / "api.assets.json").write_text(
        json.dumps({"files": {old: {"source": source, "destinations": to}}})
    )
    properties = {
        "templateFile": "api.template.json",
        "stackTemplateAssetObjectUrl": f"s3://assets/{old}.json",
    }
    artifact = {
        "type": "aws:cloudformation:stack",
        "properties": properties,
        "additionalMetadataFile": "api.metadata.json",
    }
    (directory / "api.metadata.json").write_text("{}")
    (directory / "manifest.json").write_text(json.dumps({"artifacts": {"api": artifact}}))
    (directory / "asset.code").mkdir()
    (directory / "asset.code" / "handler.py").write_text("pass")
    return directory


def test_an_adapted_template_is_renamed_after_its_new_content_everywhere(tmp_path: Path) -> None:
    source = an_assembly(tmp_path / "synth", {"Payments": TABLE, "Rate": MATH_ALARM})
    before = (source / "api.template.json").read_bytes()
    adapt_assembly(source, tmp_path / "out")

    new = hashlib.sha256((tmp_path / "out/api.template.json").read_bytes()).hexdigest()
    assets = json.loads((tmp_path / "out/api.assets.json").read_text())
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    stack = manifest["artifacts"]["api"]["properties"]
    assert list(assets["files"]) == [new]
    assert assets["files"][new]["destinations"]["here"]["objectKey"] == f"{new}.json"
    assert stack["stackTemplateAssetObjectUrl"] == f"s3://assets/{new}.json"
    assert (source / "api.template.json").read_bytes() == before
    assert (tmp_path / "out/asset.code/handler.py").read_text() == "pass"


def test_an_assembly_without_changes_keeps_its_hashes(tmp_path: Path) -> None:
    source = an_assembly(tmp_path / "synth", {"Payments": TABLE})
    assert adapt_assembly(source, tmp_path / "out") == ()
    for name in ("api.template.json", "api.assets.json"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()


def test_the_cli_does_not_read_where_in_the_app_resources_were_made(tmp_path: Path) -> None:
    """It would do so for each event of a deployment."""
    source = an_assembly(tmp_path / "synth", {"Payments": TABLE})
    adapt_assembly(source, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(manifest["artifacts"]["api"]) == {"type", "properties"}


def test_a_nested_assembly_stops_the_deployment(tmp_path: Path) -> None:
    source = tmp_path / "synth"
    source.mkdir()
    manifest = {"artifacts": {"assembly-x": {"type": "cdk:cloud-assembly", "properties": {}}}}
    (source / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UnknownResource, match="assembly-x"):
        adapt_assembly(source, tmp_path / "out")
