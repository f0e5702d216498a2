"""Lets the embedded AWS's own IAM evaluate requests: run by its interpreter, JSON in, JSON out.

Its evaluator is a module of its own, so it judges policies of any stage, without a deployment.
"""

import json
import sys
from typing import Any

from ministack.core.iam_evaluator import (
    EvalContext,
    combine_resource_policy,
    evaluate,
    parse_policy_document,
)

ALLOWED = "Allow"


def allowed(request: dict[str, Any], identity: Any, resource: Any) -> bool:
    """Whether the request is allowed by the role's policy and the resource's, if it has one."""
    context = EvalContext(
        principal_arn=request["role"],
        principal_type="AssumedRole",
        principal_account=request["account"],
        action=request["action"],
        resource_arn=request["resource"],
        region=request["region"],
        secure_transport=True,
        service_context=request["context"],
    )
    by_identity = evaluate(context, [parse_policy_document(identity)])
    required = request["action"].startswith("kms:")
    if resource is None and not required:
        return bool(by_identity.decision == ALLOWED)
    both = combine_resource_policy(
        by_identity, context, resource, request["account"], required=required
    )
    return bool(both.decision == ALLOWED)


def main() -> None:
    """Read the cases, write the decisions in their order."""
    given = json.load(sys.stdin)
    policies, resources = given["policies"], given["resource_policies"]
    decisions = [
        allowed(case, policies[case["policy"]], resources.get(case["resource_policy"]))
        for case in given["cases"]
    ]
    json.dump(decisions, sys.stdout)


if __name__ == "__main__":
    main()
