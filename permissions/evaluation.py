"""IAM's decision about one request within one account.

Source: IAM User Guide, "Policy evaluation logic" and "How AWS enforcement code logic evaluates
requests to allow or deny access", for a role without boundary and session policies, in an account
without organization policies. KMS: KMS Developer Guide, "Key policies" and "Default key policy".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from permissions.conditions import Context, UnsupportedPolicy, conditions_hold, is_like

_ELEMENTS: Final = frozenset(
    {
        "Action",
        "Condition",
        "Effect",
        "NotAction",
        "NotPrincipal",
        "NotResource",
        "Principal",
        "Resource",
        "Sid",
    }
)


class Decision(StrEnum):
    """The result of an evaluation."""

    ALLOWED = "allowed"
    DENIED = "explicitly denied"
    NOT_ALLOWED = "not allowed by any statement"


@dataclass(frozen=True)
class Principal:
    """Who asks: a role of the account, or a service of AWS in its own name."""

    account: str
    role_arn: str | None = None
    service: str | None = None


@dataclass(frozen=True)
class Request:
    """One action on one resource. `unknown` are condition keys, in lower case, without a record."""

    principal: Principal
    action: str
    resource: str
    context: Context = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Statement:
    """One statement of a policy. `resources` of a policy without any are those it belongs to."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Any]]
    principal: Any = None
    except_actions: bool = False
    """Whether `actions` stands for all others (NotAction)."""
    except_resources: bool = False
    except_principals: bool = False
    sid: str = ""

    @staticmethod
    def of(body: Mapping[str, Any]) -> Statement:
        """Read a statement. Raises UnsupportedPolicy for an element that IAM does not have."""
        if unknown := body.keys() - _ELEMENTS:
            raise UnsupportedPolicy(f"policy elements {sorted(unknown)}")
        return Statement(
            allows=body["Effect"] == "Allow",
            actions=_listed(body.get("Action", body.get("NotAction"))),
            resources=_listed(body.get("Resource", body.get("NotResource", "*"))),
            conditions=body.get("Condition", {}),
            principal=body.get("Principal", body.get("NotPrincipal")),
            except_actions="NotAction" in body,
            except_resources="NotResource" in body,
            except_principals="NotPrincipal" in body,
            sid=body.get("Sid", ""),
        )

    def applies_to(self, request: Request) -> bool:
        """Whether action, resource and conditions match; the principal is not looked at."""
        action = request.action.lower()  # actions are not case-sensitive, resources are
        named = any(is_like(action, each.lower()) for each in self.actions)
        on_it = any(is_like(request.resource, each) for each in self.resources)
        return (
            named != self.except_actions
            and on_it != self.except_resources
            and conditions_hold(self.conditions, request.context, request.unknown)
        )

    def names(self, principal: Principal) -> bool:
        """Whether the statement of a resource's policy is about this principal."""
        return self._names_any(principal) != self.except_principals

    def names_account_only(self, principal: Principal) -> bool:
        """Whether it names the account, which only delegates to the policies of its roles."""
        if principal.service is not None or not isinstance(self.principal, dict):
            return False
        named = _listed(self.principal.get("AWS", ()))
        return "*" not in named and principal.role_arn not in named

    def _names_any(self, principal: Principal) -> bool:
        if self.principal == "*":
            return True
        if not isinstance(self.principal, dict):
            raise UnsupportedPolicy(f"principal {self.principal!r}")
        if unknown := self.principal.keys() - {"AWS", "Service"}:
            raise UnsupportedPolicy(f"principals of kind {sorted(unknown)}")
        if principal.service is not None:
            return principal.service in _listed(self.principal.get("Service", ()))
        named = _listed(self.principal.get("AWS", ()))
        account = (principal.account, f"arn:aws:iam::{principal.account}:root")
        return any(each in ("*", principal.role_arn, *account) for each in named)


Policy = Sequence[Statement]


def policy_of(document: Mapping[str, Any]) -> Policy:
    """The statements of a policy document."""
    body = document["Statement"]
    return [Statement.of(each) for each in (body if isinstance(body, list) else [body])]


def decide(request: Request, identity: Policy, resource: Policy | None) -> Decision:
    """The decision, by the policies of the role and the policy of the resource, if it has one.

    A Deny in either wins. Then an Allow in either suffices, except for KMS: a key's policy must
    allow the request itself, or allow it to the account, which lets the role's policies decide.
    """
    theirs = [each for each in resource or () if each.names(request.principal)]
    if any(_match(request, policy, allows=False) for policy in (identity, theirs)):
        return Decision.DENIED
    by_resource = list(_allowing(request, theirs))
    direct = any(not each.names_account_only(request.principal) for each in by_resource)
    by_identity = _match(request, identity, allows=True)
    if request.action.startswith("kms:"):
        allowed = direct or (bool(by_resource) and by_identity)
    else:
        allowed = direct or by_identity
    return Decision.ALLOWED if allowed else Decision.NOT_ALLOWED


def _match(request: Request, policy: Iterable[Statement], *, allows: bool) -> bool:
    return any(each.allows == allows and each.applies_to(request) for each in policy)


def _allowing(request: Request, policy: Iterable[Statement]) -> Iterable[Statement]:
    return (each for each in policy if each.allows and each.applies_to(request))


def _listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
