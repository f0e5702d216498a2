"""The console verifies a chain of audit rows exactly as runtime/audit/chain.py does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from runtime.audit.api import AuditRowAnswer
from runtime.audit.chain import GENESIS, check_chain, outside_key, sealed, version_key
from runtime.audit.models import AuditRow, EntityType
from runtime.core.canonical_json import canonical_json
from tests.support.console.javascript import run_in_node

ENTITY: Final = "acc_a"
BEYOND_DOUBLES: Final = 2**53 + 1
NAMES: Final = {
    "größe": "Zoë “x” \\ \n\x1f",
    "ﬁ": "ﬁ",
    "😀": [True, None, ""],
    "€": -BEYOND_DOUBLES,
}
_IMPORTS: Final = 'import { ChainCheck } from "./chain.js";'
_CHECK: Final = """
const check = new ChainCheck(rows[0]?.entity_id ?? "");
const held = [];
for (const row of rows) held.push((await check.look(row)).holds);
return { length: check.length, head_hash: check.headHash, first_bad: check.firstBad, held };
"""


def row(version: int, previous: str, sequence: str | None = None, **more: Any) -> AuditRow:
    values: dict[str, Any] = {
        "entity_id": ENTITY,
        "sequence": sequence or version_key(version),
        "action_bucket": "balance_debited#001",
        "user_bucket": "user#001" if version % 2 else None,
        "timestamp": "2026-03-14T09:00:00.000Z",
        "entity_type": EntityType.ACCOUNT,
        "version": version,
        "action": "balance_debited",
        "user_id": "user",
        "merchant_id": "mer_a",
        "old_values": {"balance": BEYOND_DOUBLES},
        "new_values": {"balance": BEYOND_DOUBLES - version, **NAMES},
        "changes": ("balance",),
        "prev_hash": previous,
        **more,
    }
    return sealed(AuditRow(**values))


def chain(length: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for version in range(1, length + 1):
        rows.append(row(version, rows[-1].hash if rows else GENESIS))
    return rows


def listed(rows: Sequence[AuditRow]) -> list[dict[str, Any]]:
    """The rows as GET /v1/audit answers with include=record."""
    return [
        {
            **AuditRowAnswer.of(each).model_dump(mode="json"),
            "record": canonical_json(each.model_dump(mode="json", exclude={"hash"})).decode(),
        }
        for each in rows
    ]


def checked(rows: list[dict[str, Any]]) -> Any:
    return run_in_node(_IMPORTS, f"const rows = given;{_CHECK}", rows)


def test_a_complete_chain_holds_and_has_its_head() -> None:
    rows = chain(5)
    assert checked(listed(rows)) == {
        "length": 5,
        "head_hash": rows[-1].hash,
        "first_bad": None,
        "held": [True] * 5,
    }


def test_the_rows_after_a_broken_link_are_only_counted() -> None:
    rows = chain(5)
    rows[2] = rows[2].model_copy(update={"user_id": "another owner"})
    found = checked(listed(rows))
    assert found["held"] == [True, True, False, None, None]
    assert found["head_hash"] == rows[1].hash
    assert found["first_bad"] == {
        "sequence": version_key(3),
        "position": 3,
        "reason": "the row does not match its hash: it was changed",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": "eve"}, "the API shows another user_id than the text that is hashed"),
        ({"new_values": {"balance": 1}}, "the API shows another new_values than the text"),
        ({"old_values": {"balance": BEYOND_DOUBLES - 1}}, "the API shows another old_values"),
        ({"version": 2.5}, "the API shows another version than the text that is hashed"),
        ({"reviewed": True}, "the API shows another reviewed than the text that is hashed"),
        ({"hash": "0" * 64}, "the row does not match its hash: it was changed"),
        ({"record": "{}"}, "its hashed text is not canonical JSON of an audit row"),
        ({"record": "no JSON"}, "its hashed text is not canonical JSON of an audit row"),
        ({"record": None}, "its hashed text is not canonical JSON of an audit row"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_api_that_shows_what_it_does_not_hash_is_found(
    changes: dict[str, Any], reason: str
) -> None:
    rows = listed(chain(3))
    rows[1].update(changes)
    bad = checked(rows)["first_bad"]
    assert bad["position"] == 2
    assert bad["reason"].startswith(reason)


def test_a_hashed_text_that_is_not_canonical_is_found() -> None:
    rows = listed(chain(2))
    for text in (
        rows[1]["record"].replace(":", ": ", 1),
        rows[1]["record"].replace('"version":2', '"version":2.0'),
        rows[1]["record"].replace('"version":2', '"version":1,"version":2'),
    ):
        assert text != rows[1]["record"]
        bad = checked([rows[0], {**rows[1], "record": text}])["first_bad"]
        assert (bad["position"], "canonical" in bad["reason"]) == (2, True)


def test_a_row_of_another_entity_is_found() -> None:
    rows = chain(2)
    rows[1] = sealed(rows[1].model_copy(update={"entity_id": "acc_b"}))
    assert checked(listed(rows))["first_bad"]["reason"] == "it is a row of acc_b"


def test_only_the_chain_of_a_balance_shard_may_lack_versions() -> None:
    for entity, valid in ((ENTITY, False), (f"{ENTITY}#07", True)):
        begins = row(3, GENESIS, version_key(1), action="out_of_band", entity_id=entity)
        later = row(9, begins.hash, outside_key(9, "100", begins.sequence), entity_id=entity)
        assert (checked(listed([begins, later]))["first_bad"] is None) is valid


Change = Callable[[list[AuditRow], random.Random], None]


def _edit(rows: list[AuditRow], chance: random.Random) -> None:
    at = chance.randrange(len(rows))
    rows[at] = rows[at].model_copy(update={"user_id": "eve"})


def _edit_and_hash(rows: list[AuditRow], chance: random.Random) -> None:
    at = chance.randrange(len(rows))
    rows[at] = sealed(rows[at].model_copy(update={"version": chance.randrange(9)}))


def _remove(rows: list[AuditRow], chance: random.Random) -> None:
    del rows[chance.randrange(len(rows))]


def _swap(rows: list[AuditRow], chance: random.Random) -> None:
    rows.append(rows.pop(chance.randrange(len(rows))))


def _add(rows: list[AuditRow], chance: random.Random) -> None:
    rows.append(row(rows[-1].version + chance.randrange(3), rows[-1].hash))


def _add_outside(rows: list[AuditRow], chance: random.Random) -> None:
    version = rows[-1].version + chance.randrange(-1, 3)
    key = outside_key(chance.choice([rows[-1].version, version]), "7", rows[-1].sequence)
    rows.append(row(version, rows[-1].hash, key))


def _rehash(rows: list[AuditRow], _chance: random.Random) -> None:
    previous = GENESIS
    for at, each in enumerate(rows):
        rows[at] = sealed(each.model_copy(update={"prev_hash": previous}))
        previous = rows[at].hash


CHANGES: Final[tuple[Change, ...]] = (
    _edit,
    _edit_and_hash,
    _remove,
    _swap,
    _add,
    _add_outside,
    _rehash,
)


def test_the_console_and_the_runtime_agree_about_four_hundred_changed_chains() -> None:
    chance = random.Random(4)
    chains: list[list[AuditRow]] = []
    for _ in range(400):
        rows = chain(4)
        for change in chance.choices(CHANGES, k=chance.randrange(4)):
            change(rows, chance)
        chains.append(rows)
    body = f"return Promise.all(given.map(async (rows) => {{{_CHECK}}}));"
    found = run_in_node(_IMPORTS, body, [listed(rows) for rows in chains])
    verdicts = [check_chain(rows) for rows in chains]
    assert {verdict.valid for verdict in verdicts} == {True, False}
    for verdict, seen in zip(verdicts, found, strict=True):
        bad = verdict.first_bad
        assert (seen["length"], seen["head_hash"]) == (verdict.length, verdict.head_hash)
        assert seen["first_bad"] == (
            None
            if bad is None
            else {"sequence": bad.sequence, "position": bad.position, "reason": bad.reason}
        )
