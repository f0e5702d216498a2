"""The document's schemas, made from the models: public names, descriptions and formats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from runtime.api.document.descriptions import FIELDS
from runtime.core.fields import TIMESTAMP_PATTERN

Mode = Literal["validation", "serialization"]
REF: Final = "#/components/schemas/"
_DATES: Final = frozenset({"date", "processed_date", "settlement_date"})
_LINK: Final = "url"
PUBLIC_NAMES: Final[Mapping[str, str]] = {
    "AuditStep": "TransactionStep",
    "BrokenAnswer": "BrokenLink",
    "BulkResolveAnswer": "SettlementLineOutcomes",
    "BulkResolveRequest": "SettlementLinesResolveRequest",
    "CancelPaymentRequest": "PaymentCancelRequest",
    "CancelRequest": "TransferCancelRequest",
    "CaptureRequest": "PaymentCaptureRequest",
    "CheckAnswer": "ProofCheck",
    "CurrencyTotal": "SettlementCurrencyTotal",
    "EntityType": "AuditEntityType",
    "EntryAnswer": "AccountEntry",
    "EntryList": "AccountEntryList",
    "EventAnswer": "ProcessorNotificationResult",
    "EventResult": "ProcessorNotificationOutcome",
    "ExceptionAnswer": "SettlementException",
    "ExceptionList": "SettlementExceptionList",
    "FileProgress": "SettlementFileProgress",
    "FileStatus": "SettlementFileStatus",
    "FullRunAnswer": "FullVerification",
    "KeptEventAnswer": "ProcessorEvent",
    "KeptEventApply": "ProcessorEventApply",
    "KeptEventList": "ProcessorEventList",
    "Leg": "TransferLeg",
    "LegRequest": "TransferLegRequest",
    "LineDecision": "SettlementLineDecision",
    "LineOfTransaction": "TransactionSettlementLine",
    "LineStatus": "SettlementLineStatus",
    "LineType": "SettlementLineType",
    "ListedAuditRow": "AuditEntry",
    "LockedCustomer": "CustomerLock",
    "MethodRequest": "PaymentMethodRequest",
    "MethodType": "PaymentMethodType",
    "PostRequest": "TransferPostRequest",
    "Posting": "AccountPosting",
    "DisputeData": "Dispute",
    "EndpointAnswer": "WebhookEndpoint",
    "EndpointCondition": "WebhookEndpointCondition",
    "EndpointHealthAnswer": "WebhookEndpointHealth",
    "EndpointList": "WebhookEndpointList",
    "EndpointPatch": "WebhookEndpointPatch",
    "EndpointRecovery": "WebhookEndpointRecoveryRequest",
    "EndpointRequest": "WebhookEndpointRequest",
    "EndpointSecretRotation": "WebhookEndpointSecretRotation",
    "EndpointStatus": "WebhookEndpointStatus",
    "EndpointTest": "WebhookEndpointTest",
    "NewEndpoint": "NewWebhookEndpoint",
    "RecoveryAnswer": "WebhookEndpointRecovery",
    "RefundRequest": "PaymentRefundRequest",
    "RequestedLimits": "RateLimitsRequest",
    "RequestedTerms": "ReconciliationTermsRequest",
    "ResolutionAction": "SettlementLineAction",
    "ResolutionAnswer": "SettlementLineResolution",
    "ResolveRequest": "SettlementLineResolveRequest",
    "ResolvedItem": "SettlementLineOutcome",
    "RunKind": "VerificationKind",
    "SecretRotation": "WebhookSecretRotation",
    "StoredMethod": "PaymentMethod",
    "Suggestion": "SettlementLineSuggestion",
    "TypeTotal": "SettlementTypeTotal",
    "VerifyAnswer": "AuditVerification",
    "ViolationAnswer": "ProofViolation",
}
"""Names of schemas by class where leaving out `Answer` is not enough."""


class DescribedSchema(GenerateJsonSchema):
    """Adds what the document says about fields beside their types."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Titles of fields would only repeat their names."""
        return False

    def str_schema(self, schema: core_schema.StringSchema) -> dict[str, Any]:
        """Timestamps have a pattern of their own."""
        made = super().str_schema(schema)
        if schema.get("pattern") == TIMESTAMP_PATTERN:
            made["format"] = "date-time"
        return made

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        """Describe fields whose models say nothing about them; name their formats."""
        made = super().model_schema(schema)
        described_at = made
        if "$ref" in made:
            described_at = self.get_schema_from_definitions(made["$ref"]) or made
        for name, member in described_at.get("properties", {}).items():
            member.setdefault("description", description_of(schema["cls"], name))
            form = _format_of(name)
            if form is not None:
                for text in _texts(member):
                    text.setdefault("format", form)
        return made


def description_of(model: type[BaseModel], name: str) -> str:
    """What `descriptions.FIELDS` says about a field of a model; empty if it says nothing."""
    for each in model.__mro__:
        described = FIELDS.get(f"{each.__name__}.{name}")
        if described is not None:
            return described
    return FIELDS.get(name, "")


def public_name(schema: str) -> str:
    """The name of a schema in the document: `PaymentAnswer` is `Payment`."""
    return PUBLIC_NAMES.get(schema, re.sub(r"(?<=.)Answer$", "", schema))


def schemas_of(models: Iterable[tuple[type[BaseModel], Mode]]) -> dict[str, Any]:
    """The schemas of models and of all that they refer to, by public name."""
    _, definitions = models_json_schema(
        list(models), ref_template=REF + "{model}", schema_generator=DescribedSchema
    )
    renamed: dict[str, Any] = {}
    for name, schema in definitions["$defs"].items():
        public = public_name(name)
        assert public not in renamed, f"two schemas are called {public}; see PUBLIC_NAMES"
        renamed[public] = {**_renamed(schema), "title": public}
    return renamed


def parameters_of(query: type[BaseModel]) -> dict[str, tuple[dict[str, Any], bool]]:
    """The schema of each parameter of a query, and whether it is required.

    A parameter is left out rather than null. Lists of values are references to schemas.
    """
    schema = query.model_json_schema(ref_template=REF + "{model}", schema_generator=DescribedSchema)
    required = schema.get("required", ())
    return {
        name: (_never_null(_renamed(member)), name in required)
        for name, member in schema["properties"].items()
    }


def reference(model: type[BaseModel]) -> dict[str, str]:
    """A reference to the schema of a model."""
    return {"$ref": REF + public_name(model.__name__)}


def _format_of(name: str) -> str | None:
    if name == "email":
        return "email"
    if name == _LINK or name.endswith(f"_{_LINK}"):
        return "uri"
    return "date" if name in _DATES else None


def _texts(member: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The string schemas of a member, which may also be null."""
    return [each for each in (member, *member.get("anyOf", ())) if each.get("type") == "string"]


def _renamed(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: REF + public_name(value.removeprefix(REF)) if key == "$ref" else _renamed(value)
            for key, value in node.items()
        }
    return [_renamed(each) for each in node] if isinstance(node, list) else node


def _never_null(member: dict[str, Any]) -> dict[str, Any]:
    given = [each for each in member.get("anyOf", ()) if each.get("type") != "null"]
    if len(given) != 1:
        return member
    rest = {key: value for key, value in member.items() if key not in ("anyOf", "default")}
    return {**given[0], **rest}
