"""What lists have for operators: every list is described, and the document says so."""

from __future__ import annotations

from runtime.api.document.operators import ACTING_FOR, LISTS, WithoutMerchant, acting_for_note
from runtime.api.endpoints import ENDPOINTS
from runtime.api.openapi import openapi_document
from runtime.http.shapes import PageQuery


def test_every_list_says_what_operators_get_without_a_merchant() -> None:
    lists = {
        each.operation
        for each in ENDPOINTS
        if each.query is not None and issubclass(each.query, PageQuery) and "{" not in each.path
    }
    assert set(LISTS) == lists | {"summarizePayments"}


def test_the_document_describes_the_parameter_of_each_list() -> None:
    described = {
        operation["operationId"]: given["description"]
        for methods in openapi_document()["paths"].values()
        for operation in methods.values()
        for given in operation.get("parameters", ())
        if given["name"] == ACTING_FOR
    }
    for operation, (rule, _) in LISTS.items():
        assert rule.value in described[operation]
        assert described[operation] == acting_for_note(operation)
    assert WithoutMerchant.REQUIRED.value not in described["getPayment"]
