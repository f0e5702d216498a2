"""What the Python client is generated from: no refusals, and open lists of values in answers."""

from __future__ import annotations

import copy
import json
from typing import Any

from local.clients.document import for_python
from local.docs import DOCS

DOCUMENT: dict[str, Any] = json.loads((DOCS / "openapi.json").read_text("utf-8"))


def test_refusals_are_left_to_the_layer_below() -> None:
    prepared = for_python(DOCUMENT)
    statuses = {
        status
        for path in prepared["paths"].values()
        for operation in path.values()
        for status in operation["responses"]
    }
    assert statuses
    assert all(status.startswith("2") for status in statuses)


def test_a_status_that_a_later_version_adds_is_accepted_in_answers() -> None:
    schemas = for_python(DOCUMENT)["components"]["schemas"]
    assert "enum" not in schemas["PaymentStatus"]
    assert "`succeeded`" in schemas["PaymentStatus"]["description"]
    assert "enum" not in json.dumps(schemas["Payment"])


def test_requests_keep_their_lists_of_values() -> None:
    prepared = for_python(DOCUMENT)["components"]["schemas"]["PaymentRequest"]
    assert prepared == DOCUMENT["components"]["schemas"]["PaymentRequest"]


def test_the_document_itself_is_not_changed() -> None:
    before = copy.deepcopy(DOCUMENT)
    for_python(DOCUMENT)
    assert before == DOCUMENT
