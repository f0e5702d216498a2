"""The OpenAPI document keeps the recommended rules of a linter that its readers use."""

import subprocess
from pathlib import Path

from runtime.api.openapi import openapi_text

RULES = Path(__file__).with_name("openapi_rules.mjs")


def test_the_document_keeps_redoclys_recommended_rules() -> None:
    answer = subprocess.run(
        ["node", str(RULES)],
        input=openapi_text(),
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    assert answer.stdout.splitlines() == []
