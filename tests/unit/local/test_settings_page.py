"""The reference of settings describes every setting, with range, unit, default and costs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from local.docs import DOCS, PAGES
from local.settings_page import PURPOSES, Setting, parts_of, settings_of
from stacks.stage import StageConfig

SCHEMA = StageConfig.model_json_schema()


def every_setting() -> Iterator[Setting]:
    yield from settings_of(SCHEMA, SCHEMA, "")
    for path, part in parts_of(SCHEMA):
        yield from settings_of(SCHEMA["$defs"][part], SCHEMA, f"{path}.")


SETTINGS = {setting.path: setting for setting in every_setting()}


@pytest.mark.parametrize("path", SETTINGS)
def test_every_setting_says_what_it_does_and_accepts(path: str) -> None:
    setting = SETTINGS[path]
    assert re.fullmatch(r"[A-Z`].+[.)]", setting.text), "write a text below the field"
    assert setting.values


def test_every_part_and_its_settings_are_on_the_page() -> None:
    page = PAGES["settings.md"]()
    assert {path.partition(".")[0] for path in SETTINGS} == set(StageConfig.model_fields) - {"name"}
    assert all(f"| `{path}` |" in page for path in SETTINGS)
    assert all(f"\n## `{path}`\n" in page for path, _ in parts_of(SCHEMA))


@pytest.mark.parametrize(
    ("path", "values", "default"),
    [
        ("intent_lease_seconds", "integer 5 to 900 seconds", "`60`"),
        ("process_timeout_seconds", "integer 5 to 29 seconds", "`29`"),
        ("throttling.burst", "integer from 1", "`500`"),
        ("auth.audience", "text", "required"),
        ("auth.mode", '`"lambda"`, `"jwt"`', '`"lambda"`'),
        ("concurrency.process", "integer from 1", "none"),
        ("streams.parallel_batches", "object by table name, each integer 1 to 10", "none"),
        ("lambda_runtime", 'object or `"this-machine"`', "its defaults"),
        ("alarms.page.topic_arn", r"text like `^arn:[\w-]+:sns:[\w-]+:\d{12}:\S+$`", "none"),
    ],
)
def test_range_unit_and_default_are_those_of_the_model(
    path: str, values: str, default: str
) -> None:
    assert (SETTINGS[path].values, SETTINGS[path].default) == (values, default)


def test_what_a_setting_costs_stands_in_a_column_of_its_own() -> None:
    setting = SETTINGS["log_retention_days"]
    assert setting.text == "How long CloudWatch keeps logs."
    assert setting.costs == "Storage of logs."


def test_the_stages_of_cdk_json_are_explained_and_shown() -> None:
    stages = json.loads((DOCS.parent / "cdk.json").read_text("utf-8"))["context"]["stages"]
    assert set(PURPOSES) == set(stages)
    page = PAGES["settings.md"]()
    assert '| `processors` | `"test"` | `"test"` | `"live"` | `"test"` |' in page
    assert "| `intent_lease_seconds` |  |  |  | `10` |" in page


def test_links_of_the_page_lead_somewhere() -> None:
    page = PAGES["settings.md"]()
    headings = [heading.strip("`") for heading in re.findall(r"^## (.+)$", page, re.M)]
    anchors = {heading.lower().replace(".", "").replace(" ", "-") for heading in headings}
    for file, anchor in re.findall(r"\]\(([\w./-]*)#?([\w-]*)\)", page):
        assert (DOCS / file).exists()
        if not file:
            assert anchor in anchors
