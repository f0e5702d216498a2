"""A synthesized stage as IAM would see it: roles, policies and encryption, with resolved ARNs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from permissions.evaluation import Policy, Principal, policy_of

Json = dict[str, Any]

ACCOUNT: Final = "111122223333"
REGION: Final = "eu-west-1"
PARTITION: Final = "aws"
_PSEUDO: Final = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": "",
    "AWS::Partition": PARTITION,
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
}
RANDOM: Final = "1A2B3C4D5E6F"
"""What CloudFormation appends to the names that it makes."""

_ARNS: Final[Mapping[str, str]] = {
    "AWS::DynamoDB::Table": f"dynamodb:{REGION}:{ACCOUNT}:table/{{name}}",
    "AWS::Events::Rule": f"events:{REGION}:{ACCOUNT}:rule/{{name}}",
    "AWS::IAM::ManagedPolicy": f"iam::{ACCOUNT}:policy/{{name}}",
    "AWS::IAM::Role": f"iam::{ACCOUNT}:role/{{name}}",
    "AWS::KMS::Key": f"kms:{REGION}:{ACCOUNT}:key/{{name}}",
    "AWS::Lambda::Alias": f"lambda:{REGION}:{ACCOUNT}:function:{{name}}",
    "AWS::Lambda::Function": f"lambda:{REGION}:{ACCOUNT}:function:{{name}}",
    "AWS::Logs::LogGroup": f"logs:{REGION}:{ACCOUNT}:log-group:{{name}}:*",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SNS::Topic": f"sns:{REGION}:{ACCOUNT}:{{name}}",
    "AWS::SQS::Queue": f"sqs:{REGION}:{ACCOUNT}:{{name}}",
}
"""ARNs without `arn:aws:` (Service Authorization Reference, "Resource types")."""
_QUEUE_URL: Final = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/"


class Unresolved(Exception):
    """A template uses something that this module does not resolve."""


@dataclass(frozen=True)
class EventSource:
    """A stream or queue that Lambda reads in the function's name."""

    arn: str
    on_failure: str | None
    """ARN of the bucket or queue that receives what is given up."""


@dataclass(frozen=True)
class Function:
    """A Lambda function with all that its role's policies say."""

    service: str
    principal: Principal
    identity: Policy
    environment: Mapping[str, str]
    log_group: str
    sources: tuple[EventSource, ...]
    on_failure: str | None
    """ARN of the queue for asynchronous invocations that are given up."""


class Stage:
    """Templates of one stage by stack. Raises Unresolved for what it cannot read."""

    def __init__(self, templates: Mapping[str, Json], prefix: str) -> None:
        """`prefix`: what the names of the stacks begin with, such as `payments-prod`."""
        self._templates, self._prefix = templates, prefix

    # -------------------------------------------------------------- what is asked

    @cached_property
    def functions(self) -> Mapping[str, Function]:
        """Functions by service name."""
        found = (
            self._function(stack, logical_id, body)
            for stack, logical_id, body in self._all("AWS::Lambda::Function")
        )
        return {function.service: function for function in found}

    @cached_property
    def resource_policies(self) -> Mapping[str, Policy]:
        """Policies of tables, keys, buckets and queues, by the resource's ARN."""
        policies: dict[str, Policy] = {}
        for stack, logical_id, body in self._all("AWS::KMS::Key"):
            arn = self._arn(stack, logical_id)
            policies[arn] = self._policy(stack, body["Properties"]["KeyPolicy"])
        for stack, logical_id, body in self._all("AWS::DynamoDB::Table"):
            if "ResourcePolicy" in body["Properties"]:
                document = body["Properties"]["ResourcePolicy"]["PolicyDocument"]
                policies[self._arn(stack, logical_id)] = self._policy(stack, document)
        for stack, _, body in self._all("AWS::S3::BucketPolicy"):
            arn = f"arn:{PARTITION}:s3:::{self.text(stack, body['Properties']['Bucket'])}"
            policies[arn] = self._policy(stack, body["Properties"]["PolicyDocument"])
        for stack, _, body in self._all("AWS::SQS::QueuePolicy"):
            policy = self._policy(stack, body["Properties"]["PolicyDocument"])
            for queue in body["Properties"]["Queues"]:
                policies[queue_arn(self.text(stack, queue))] = policy
        return policies

    @cached_property
    def encryption_keys(self) -> Mapping[str, str]:
        """ARNs of the keys that encrypt tables, buckets and queues, by the resource's ARN."""
        keys: dict[str, str] = {}
        for stack, logical_id, body in self._all(*_KEY_OF):
            found = _KEY_OF[body["Type"]](body.get("Properties", {}))
            if found is not None:
                keys[self._arn(stack, logical_id)] = self.text(stack, found)
        return keys

    # -------------------------------------------------------------- resolving

    def text(self, stack: str, value: Any) -> str:
        """A value of a template as text."""
        match value:
            case str() | int() | float():
                return str(value)
            case {"Fn::ImportValue": name}:
                exporter, exported = self._exports[self.text(stack, name)]
                return self.text(exporter, exported)
            case {"Ref": name}:
                return self._ref(stack, name)
            case {"Fn::GetAtt": [logical_id, "StreamArn"]}:
                return f"{self._arn(stack, logical_id)}/stream/2026-01-01T00:00:00.000"
            case {"Fn::GetAtt": [logical_id, "Arn"]}:
                return self._arn(stack, logical_id)
            case {"Fn::GetAtt": [logical_id, attribute]}:
                return f"{self._name(stack, logical_id)}.{attribute}"
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(self.text(stack, part) for part in parts)
            case {"Fn::Select": [index, {"Fn::Split": [separator, text]}]}:
                return self.text(stack, text).split(separator)[int(index)]
        raise Unresolved(f"{stack}: {value!r}")

    def _ref(self, stack: str, name: str) -> str:
        if name in _PSEUDO:
            return _PSEUDO[name]
        body = self._templates[stack].get("Resources", {}).get(name)
        if body is None:
            return str(self._templates[stack]["Parameters"][name].get("Default", name))
        if body["Type"] == "AWS::SQS::Queue":
            return _QUEUE_URL + self._name(stack, name)
        if body["Type"] in ("AWS::SNS::Topic", "AWS::IAM::ManagedPolicy"):
            return self._arn(stack, name)
        if body["Type"] == "AWS::Lambda::Alias":
            return self._function_of_alias(stack, body)
        return self._name(stack, name)

    def _function_of_alias(self, stack: str, body: Json) -> str:
        function = self.text(stack, body["Properties"]["FunctionName"])
        alias = body["Properties"]["Name"]
        return f"arn:{PARTITION}:" + _ARNS["AWS::Lambda::Alias"].format(name=f"{function}:{alias}")

    def _name(self, stack: str, logical_id: str) -> str:
        properties = self._templates[stack]["Resources"][logical_id].get("Properties", {})
        for name in ("RoleName", "BucketName", "QueueName", "TableName"):
            if name in properties:
                return self.text(stack, properties[name])
        return f"{self._prefix}-{stack}-{logical_id}-{RANDOM}"

    def _arn(self, stack: str, logical_id: str) -> str:
        kind = self._templates[stack]["Resources"][logical_id]["Type"]
        if kind not in _ARNS:
            raise Unresolved(f"{stack}: the ARN of {logical_id}, a {kind}")
        return f"arn:{PARTITION}:" + _ARNS[kind].format(name=self._name(stack, logical_id))

    @cached_property
    def _exports(self) -> Mapping[str, tuple[str, Any]]:
        return {
            self.text(stack, output["Export"]["Name"]): (stack, output["Value"])
            for stack, template in self._templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }

    # -------------------------------------------------------------- reading

    def _all(self, *kinds: str) -> Iterator[tuple[str, str, Json]]:
        for stack, template in self._templates.items():
            for logical_id, body in template["Resources"].items():
                if body["Type"] in kinds:
                    yield stack, logical_id, body

    def _resolved(self, stack: str, value: Any) -> Any:
        """A value with all intrinsic functions resolved."""
        if isinstance(value, list):
            return [self._resolved(stack, each) for each in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
            return self.text(stack, value)
        return {name: self._resolved(stack, each) for name, each in value.items()}

    def _policy(self, stack: str, document: Json) -> Policy:
        return policy_of(self._resolved(stack, document))

    def _function(self, stack: str, logical_id: str, body: Json) -> Function:
        properties = body["Properties"]
        role_id = properties["Role"]["Fn::GetAtt"][0]
        role = self._templates[stack]["Resources"][role_id]["Properties"]
        policies = [
            self._templates[stack]["Resources"][policy["Ref"]]["Properties"]["PolicyDocument"]
            for policy in role["ManagedPolicyArns"]
        ]
        variables: Json = properties["Environment"]["Variables"]
        name = self._name(stack, logical_id)
        log_group = properties["LoggingConfig"]["LogGroup"]["Ref"]
        return Function(
            service=variables["SERVICE"],
            principal=Principal(ACCOUNT, role_arn=self._arn(stack, role_id)),
            identity=[each for document in policies for each in self._policy(stack, document)],
            environment={key: self.text(stack, value) for key, value in variables.items()},
            log_group=self._arn(stack, log_group),
            sources=tuple(self._sources(name)),
            on_failure=self._on_failure(name),
        )

    def _sources(self, function: str) -> Iterator[EventSource]:
        for stack, _, body in self._all("AWS::Lambda::EventSourceMapping"):
            properties = body["Properties"]
            if self.text(stack, properties["FunctionName"]).partition(":")[0] == function:
                given_up = properties.get("DestinationConfig", {}).get("OnFailure")
                yield EventSource(
                    arn=self.text(stack, properties["EventSourceArn"]),
                    on_failure=self.text(stack, given_up["Destination"]) if given_up else None,
                )

    def _on_failure(self, function: str) -> str | None:
        for stack, _, body in self._all("AWS::Lambda::EventInvokeConfig"):
            properties = body["Properties"]
            given_up = properties.get("DestinationConfig", {}).get("OnFailure")
            if given_up and self.text(stack, properties["FunctionName"]) == function:
                return self.text(stack, given_up["Destination"])
        return None


def queue_arn(url: str) -> str:
    """The ARN of a queue by its URL."""
    return f"arn:{PARTITION}:sqs:{REGION}:{ACCOUNT}:{url.rpartition('/')[2]}"


def _key_of_table(properties: Json) -> Any:
    return properties.get("SSESpecification", {}).get("KMSMasterKeyId")


def _key_of_bucket(properties: Json) -> Any:
    rules = properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
    defaults = [rule.get("ServerSideEncryptionByDefault", {}) for rule in rules]
    return next((rule["KMSMasterKeyID"] for rule in defaults if "KMSMasterKeyID" in rule), None)


def _key_of_queue(properties: Json) -> Any:
    return properties.get("KmsMasterKeyId")


_KEY_OF: Final = {
    "AWS::DynamoDB::Table": _key_of_table,
    "AWS::S3::Bucket": _key_of_bucket,
    "AWS::SQS::Queue": _key_of_queue,
}


def tables_of(function: Function) -> Mapping[str, str]:
    """Physical names of the function's tables, by their names in the schema."""
    names: dict[str, str] = json.loads(function.environment["TABLES"])
    return names
