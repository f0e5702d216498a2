"""Saved queries: in the API's stack, under the stage's name, on groups of the same stack."""

from __future__ import annotations

from stacks.log_queries import EVERY_GROUP, QUERIES
from tests.infrastructure.conftest import Synthesize


def test_each_query_is_saved_once_in_the_folder_of_its_stage(synthesize: Synthesize) -> None:
    resources = synthesize("prod").templates["api"]["Resources"].values()
    found = [each for each in resources if each["Type"] == "AWS::Logs::QueryDefinition"]
    assert len(found) == len(QUERIES)
    by_name = {each["Properties"]["Name"]: each["Properties"] for each in found}
    assert by_name.keys() == {f"payments-prod/{query.name}" for query in QUERIES}
    for query in QUERIES:
        saved = by_name[f"payments-prod/{query.name}"]
        assert saved["QueryString"] == query.text
        groups = saved.get("LogGroupNames", [])
        assert len(groups) == len(query.groups)
        assert all(set(group) == {"Ref"} for group in groups)
        assert (query.groups == EVERY_GROUP) == ("LogGroupNames" not in saved)
