"""What `make cost` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.costs.__main__ import main
from stacks.costs.tables import TextTable, dollars, quantity, replaced, small

SERVICES = ("process", "query", "project", "deliver", "archive", "proof")


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A folder with a template of the functions that a payment needs."""
    functions = {
        f"{name}Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "MemorySize": 1_024,
                "Architectures": ["arm64"],
                "Environment": {"Variables": {"SERVICE": name, "FULL_DAYS": "30"}},
            },
        }
        for name in SERVICES
    }
    key: dict[str, Any] = {"Type": "AWS::KMS::Key", "Properties": {}}
    body = {"Resources": {**functions, "Key": key}}
    (tmp_path / "payments-prod-data.template.json").write_text(json.dumps(body))
    return tmp_path


def test_the_answer_has_parts_assumptions_sensitivity_and_the_other_layout(
    templates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--templates", str(templates), "--payments", "1000000", "--refunds", "0.05"]) == 0
    printed = capsys.readouterr().out
    for said in (
        "Stage prod, 1,000,000 payments a month",
        "per 1,000 payments",
        "part of a month",
        "every operation derived in full batches",
        "Go example",
        "GB of archive",
        "--refunds 0.05: Refunds",
        "Uses were counted",
    ):
        assert said in printed


def test_programs_get_the_same_as_json(templates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--templates", str(templates), "--payments", "2000", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["workload"]["payments"] == 2_000
    assert answer["dollars_per_month"] == pytest.approx(
        sum(each["dollars"] for each in answer["charges"])
    )
    assert answer["dollars_per_1000_payments"] == pytest.approx(answer["dollars_per_month"] / 2)
    assert answer["idle_by_service"]["KMS"] == pytest.approx(1.0)
    assert answer["schedules_not_counted"] == []


def test_an_idle_stage_has_no_price_per_payment(
    templates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--templates", str(templates), "--payments", "0"]) == 0
    assert "per 1,000 payments" not in capsys.readouterr().out
    assert main(["--templates", str(templates), "--payments", "0", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["dollars_per_1000_payments"] is None


def test_a_wrong_value_is_one_sentence_that_names_the_option(
    templates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--templates", str(templates), "--holds", "2"]) == 1
    assert capsys.readouterr().err.startswith("error: --holds 2: Input should be less than")


def test_a_folder_without_templates_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--templates", str(tmp_path)]) == 1
    assert f"{tmp_path} has no templates: run make synth" in capsys.readouterr().err


def test_a_block_of_the_guide_is_replaced() -> None:
    table = TextTable("idle", ["what", "$"], [["keys", "5.00"]])
    guide = "Before.\n<!-- make cost: idle -->\nold\n<!-- end of idle -->\nAfter.\n"
    assert replaced(guide, table) == (
        "Before.\n<!-- make cost: idle -->\n| what | $ |\n| --- | ---: |\n| keys | 5.00 |\n"
        "<!-- end of idle -->\nAfter.\n"
    )
    with pytest.raises(ValueError, match="no block for idle"):
        replaced("Before.", table)


def test_columns_are_aligned() -> None:
    table = TextTable("t", ["a", "$"], [["long name", "5"], ["b", "1,000"]])
    assert table.text() == "a              $\nlong name      5\nb          1,000"


def test_amounts_have_the_digits_that_mean_something() -> None:
    assert [dollars(each) for each in (0.0, 0.004, 5.0, -12.5, 1_234.5)] == [
        "0",
        "0",
        "5.00",
        "-12.50",
        "1,234",
    ]
    assert [quantity(each) for each in (0.25, 17.04, 53_104_861.0)] == ["0.25", "17", "53,104,861"]
    assert small(0.057_77) == "0.0578"
