"""The published corpus matches its generator, and is parsed as its expected results say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.reconciliation.importers.dialect import TextFile, WorkbookFile, sniff
from runtime.reconciliation.importers.layout import Layout, Refusal
from runtime.reconciliation.importers.line import ImportedLine, UnreadableLine
from runtime.reconciliation.importers.text_records import read_records
from runtime.reconciliation.importers.workbook import Sheet, read_workbook
from tests.corpus.__main__ import FOLDER, README, files

TRUTHS = sorted(FOLDER.glob("*.truth.json"))


def truth_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def file_of(path: Path) -> Path:
    csv = path.with_name(path.name.replace(".truth.json", ".csv"))
    return csv if csv.exists() else csv.with_suffix(".xlsx")


def test_the_committed_files_match_the_generator() -> None:
    wanted = files()
    assert {path.name for path in FOLDER.iterdir()} == {README, *wanted}
    for name, content in wanted.items():
        assert (FOLDER / name).read_bytes() == content, name


def test_the_corpus_is_large_enough() -> None:
    truths = [truth_of(path) for path in TRUTHS]
    layouts = [truth["layout"] for truth in truths]
    assert len(truths) >= 60
    assert sum(truth["errors"] for truth in truths) >= 200
    assert {layouts.count(name) >= 20 for name in ("canonical", "stripe", "adyen")} == {True}
    lines = [line for truth in truths for line in truth["lines"]]
    assert {line["status"] for line in lines} == {
        "matched",
        "amount_mismatch",
        "fee_mismatch",
        "currency_mismatch",
        "status_mismatch",
        "duplicate",
        "unexpected",
        "unclassified",
        "invalid",
    }
    for line in lines:
        assert (line["error"] is None) is (line["status"] == "matched"), line


@pytest.mark.parametrize("path", TRUTHS, ids=lambda path: path.name.partition(".")[0])
def test_every_file_is_parsed_as_expected(path: Path) -> None:
    truth = truth_of(path)
    content = file_of(path).read_bytes()
    found = sniff(content, whole=True)
    if truth["rejected"] is not None:
        assert isinstance(found, Refusal)
        assert truth["rejected"] in found.reason
        return
    layout, read = lines_of(content, found)
    assert layout.format == truth["layout"]
    assert [line.number for line in read] == [line["line"] for line in truth["lines"]]
    for line, expected in zip(read, truth["lines"], strict=True):
        assert isinstance(line, UnreadableLine) is (expected["status"] == "invalid"), line
        if isinstance(line, ImportedLine):
            assert (line.type is None) is (expected["status"] == "unclassified")
            for name in ("type", "amount", "fee", "net", "currency"):
                assert getattr(line, name) == expected[name], (name, line)
            assert line.payout_reference == expected["payout"]


def lines_of(
    content: bytes, found: TextFile | WorkbookFile | Refusal
) -> tuple[Layout, list[ImportedLine | UnreadableLine]]:
    if isinstance(found, WorkbookFile):
        sheet = read_workbook(content)
        assert isinstance(sheet, Sheet), sheet
        layout, text, delimiter = sheet.layout, "".join(sheet.lines), ","
    else:
        assert isinstance(found, TextFile), found
        layout, delimiter = found.layout, found.delimiter
        text = content[found.start :].decode(found.encoding)
    _, *records = read_records([text.encode()], delimiter)
    read = [
        UnreadableLine(record.line, record.reason)
        if record.reason is not None
        else layout.parse(record.line, record.cells)
        for record in records
    ]
    return layout, [line for line in read if line is not None]
