"""The CDK app: context → stage → stacks. Makes no AWS call and needs no credentials.

`npx aws-cdk@2.1148.1 synth -c stage=prod` shows what a stage is made of; a deployment adds
`-c deploying=true`, which refuses what is good enough to look at but not to run.
"""

from __future__ import annotations

import sys

import aws_cdk as cdk

from stacks.composition import compose
from stacks.lambda_asset import AssetBuildError
from stacks.stage import StageError


def main() -> int:
    """Synthesize the stage that the context names. 1, and one sentence, if it cannot be."""
    app = cdk.App()
    try:
        compose(app)
    except (StageError, AssetBuildError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the CDK CLI shows it to whoever called
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
