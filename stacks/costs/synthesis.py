"""The templates of a stage, made for its costs alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk

from stacks.composition import compose
from stacks.costs.resources import StageResources, from_templates

ROOT: Final = Path(__file__).resolve().parents[2]


def synthesized(stage: str) -> StageResources:
    """The resources of a stage of cdk.json. Nothing is built, and no AWS call is made.

    Raises StageError.
    """
    context: Mapping[str, Any] = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    with tempfile.TemporaryDirectory() as folder:
        asset, out = Path(folder, "asset"), Path(folder, "out")
        asset.mkdir()
        (asset / "handler.py").touch()  # stands for the code, whose size costs nothing
        app = cdk.App(
            outdir=str(out), context={**context, "stage": stage, "lambda_asset": str(asset)}
        )
        compose(app)
        app.synth()
        return from_templates(out)
