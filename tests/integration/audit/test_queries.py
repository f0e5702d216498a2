"""Reading the audit log: complete, in order, and only for its owner."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.audit import queries as audit_queries
from runtime.audit.api import AuditList, AuditQuery, VerifyAnswer, VerifyQuery
from runtime.audit.chain import GENESIS, hashed_text, sealed, version_key
from runtime.audit.models import ACTION_BUCKETS, USER_BUCKETS, AuditRow, EntityType
from runtime.audit.queries import AuditTrail, list_audit, verify_chain
from runtime.audit.repository import AuditRepository
from runtime.core.errors import BadCursor, ChainTooLong, InvalidValue, NotFound
from runtime.core.scope import Scope
from runtime.dynamodb.index_shards import bucket_for
from runtime.http import pagination as pages_module
from runtime.http.pagination import Cursors
from runtime.http.request_context import Call
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from tests.support.outside import OUTSIDE
from tests.support.platform import CURSOR_KEY, Platform, pages

BUCKETS = 4
"""Of every merchant."""
REQUEST = "req_JKJaXmPLvHcESHA="
MINUTE = "2026-03-14T08:{:02d}:00.000Z"


def chain(
    platform: Platform, entity: str, length: int, owner: str = "mer_a", **more: Any
) -> list[AuditRow]:
    """Rows of an entity, a minute apart, in the projection's form."""
    rows: list[AuditRow] = []
    for version in range(1, length + 1):
        values: dict[str, Any] = {
            "action": "payment_succeeded" if version % 2 else "payment_refunded",
            "user_id": "user",
            "timestamp": MINUTE.format(version),
            **more,
        }
        row = AuditRow(
            entity_id=entity,
            sequence=version_key(version),
            action_bucket=bucket_for(values["action"], entity, ACTION_BUCKETS),
            user_bucket=bucket_for(values["user_id"], entity, USER_BUCKETS),
            merchant_bucket=bucket_for(owner, entity, BUCKETS),
            entity_type=EntityType.PAYMENT,
            version=version,
            merchant_id=owner,
            new_values={"amount": version},
            changes=("amount",),
            prev_hash=rows[-1].hash if rows else GENESIS,
            **values,
        )
        rows.append(sealed(row))
        platform.put(rows[-1])
    return rows


class Buckets:
    """A repository of merchants that knows only the number of buckets."""

    def profile(self, merchant_id: str, scope: Scope) -> MerchantProfile:
        assert scope.admits(merchant_id)
        return MerchantProfile.model_construct(id=merchant_id, index_buckets=BUCKETS)

    recent_profile = profile


def trail(platform: Platform) -> AuditTrail:
    merchants = MerchantProfiles(Buckets(), 0, OUTSIDE)
    return AuditTrail(AuditRepository(platform.store), merchants, Cursors(lambda: CURSOR_KEY))


def as_merchant(platform: Platform, merchant_id: str) -> Call:
    profile = MerchantProfile.model_construct(id=merchant_id)
    return platform.call(profile, path="/v1/audit")


def as_operator(platform: Platform, acting_for: str | None = None) -> Call:
    return platform.call(None, path="/v1/audit", operator=True, acting_for=acting_for)


def listed(platform: Platform, call: Call, **query: Any) -> Iterator[AuditList]:
    return pages(
        lambda cursor: list_audit(AuditQuery(cursor=cursor, **query), call, trail(platform))
    )


def reported(found: Iterator[AuditList]) -> list[tuple[str, str]]:
    return [(row.entity_id, row.sequence) for page in found for row in page.data]


def verified(platform: Platform, call: Call, entity: str, **query: Any) -> VerifyAnswer:
    return verify_chain(entity, VerifyQuery(**query), call, trail(platform))


def newest_first(rows: list[AuditRow]) -> list[tuple[str, str]]:
    rows = sorted(rows, key=lambda r: (r.timestamp, r.entity_id, r.sequence), reverse=True)
    return [(row.entity_id, row.sequence) for row in rows]


# -------------------------------------------------------------------- lists


def test_an_entitys_rows_are_listed_newest_first_page_by_page_between_two_times(
    either_world: Platform,
) -> None:
    rows = chain(either_world, "pay_a", 9)
    chain(either_world, "pay_b", 2)
    mine = as_merchant(either_world, "mer_a")
    assert reported(listed(either_world, mine, entity_id="pay_a", limit=4)) == newest_first(rows)
    some = {"entity_id": "pay_a", "start_date": MINUTE.format(3), "end_date": MINUTE.format(5)}
    assert reported(listed(either_world, mine, **some, limit=2)) == newest_first(rows[2:5])
    (page,) = listed(either_world, mine, entity_id="pay_a")
    newest = page.data[0].model_dump()
    assert {name: newest[name] for name in ("new_values", "changes", "prev_hash", "hash")} == {
        "new_values": {"amount": 9},
        "changes": ("amount",),
        "prev_hash": rows[7].hash,
        "hash": rows[8].hash,
    }


def test_an_entitys_rows_are_listed_oldest_first_with_the_text_of_their_hashes(
    either_world: Platform,
) -> None:
    rows = chain(either_world, "pay_a", 9)
    mine = as_merchant(either_world, "mer_a")
    found = list(
        listed(either_world, mine, entity_id="pay_a", order="asc", include="record", limit=4)
    )
    assert [len(page.data) for page in found] == [4, 4, 1]
    shown = [row for page in found for row in page.data]
    assert [row.sequence for row in shown] == [row.sequence for row in rows]
    assert [row.record for row in shown] == [hashed_text(row).decode() for row in rows]
    some = {"entity_id": "pay_a", "start_date": MINUTE.format(3), "end_date": MINUTE.format(5)}
    (page,) = listed(either_world, mine, **some, order="asc")
    assert [row.sequence for row in page.data] == [row.sequence for row in rows[2:5]]
    assert [row.record for row in page.data] == [None] * 3


def test_a_requests_rows_are_listed_oldest_first(platform: Platform) -> None:
    stamped = {"request_id": REQUEST, "listed_request": REQUEST}
    rows = [*chain(platform, "pay_a", 1, **stamped), *chain(platform, "pay_b", 1, **stamped)]
    mine = as_merchant(platform, "mer_a")
    for order, expected in (("desc", newest_first(rows)), ("asc", newest_first(rows)[::-1])):
        found = listed(platform, mine, request_id=REQUEST, order=order, limit=1)
        assert reported(found) == expected


@pytest.mark.parametrize("narrowed", [{"action": "payment_succeeded"}, {"user_id": "user"}])
def test_lists_by_action_or_user_are_newest_first_only(
    platform: Platform, narrowed: dict[str, str]
) -> None:
    with pytest.raises(InvalidValue, match="order=asc is for those by entity_id or request_id"):
        next(listed(platform, as_merchant(platform, "mer_a"), **narrowed, order="asc"))


def test_the_rows_of_a_balance_shard_have_the_shard_in_their_entity(platform: Platform) -> None:
    rows = chain(platform, "acc_a#07", 2)
    chain(platform, "acc_a", 1)
    mine = as_merchant(platform, "mer_a")
    assert reported(listed(platform, mine, entity_id="acc_a#07")) == newest_first(rows)
    assert verified(platform, mine, "acc_a", shard="07").length == 2
    assert verified(platform, mine, "acc_a").length == 1


@pytest.mark.parametrize("by", ["action", "user_id"])
def test_rows_of_an_action_or_user_are_merged_over_all_buckets_in_order(
    either_world: Platform, by: str
) -> None:
    dice = random.Random(by)
    rows = []
    for number in range(20):
        owner = dice.choice(["mer_a", "mer_b"])
        rows += chain(either_world, f"pay_{number:02d}", 3, owner, user_id="usr")
    chain(either_world, "pay_other", 1, action="payment_failed", user_id="other")
    value = "payment_succeeded" if by == "action" else "usr"
    wanted = [row for row in rows if getattr(row, by) == value]
    everything = listed(either_world, as_operator(either_world), limit=7, **{by: value})
    assert reported(everything) == newest_first(wanted)
    own = [row for row in wanted if row.merchant_id == "mer_a"]
    mine = listed(either_world, as_merchant(either_world, "mer_a"), limit=5, **{by: value})
    assert reported(mine) == newest_first(own)
    acting = listed(either_world, as_operator(either_world, "mer_a"), limit=50, **{by: value})
    assert reported(acting) == newest_first(own)
    late = {by: value, "start_date": MINUTE.format(2)}
    expected = [row for row in wanted if row.timestamp >= MINUTE.format(2)]
    assert reported(listed(either_world, as_operator(either_world), **late)) == newest_first(
        expected
    )


@pytest.mark.parametrize("by", ["action", "user_id"])
def test_a_small_merchants_rows_are_read_at_once_however_busy_the_platform_is(
    either_world: Platform, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    # Three entries, and two for each succeeded payment that may be listed with it.
    monkeypatch.setattr(pages_module, "READ_BUDGET", 8)
    wanted = chain(either_world, "pay_a", 2, action="payment_succeeded", user_id="usr")
    chain(either_world, "pay_o", 1, action="payment_failed", user_id="other")
    for number in range(10):
        entity = f"pay_{number}"
        chain(either_world, entity, 3, "mer_b", action="payment_succeeded", user_id="usr")
    value = "payment_succeeded" if by == "action" else "usr"
    (page,) = listed(either_world, as_merchant(either_world, "mer_a"), **{by: value})
    assert reported(iter([page])) == newest_first(wanted)


@pytest.mark.parametrize("by", ["action", "user_id"])
def test_a_rare_action_or_user_of_a_busy_merchant_is_read_at_once(
    either_world: Platform, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(pages_module, "READ_BUDGET", 5)
    wanted = chain(either_world, "pay_a", 1, action="payment_disputed", user_id="rare")
    wanted += chain(either_world, "pay_b", 1, action="payment_disputed", user_id="rare")
    for number in range(10):
        chain(either_world, f"pay_{number}", 3)
    value = "payment_disputed" if by == "action" else "rare"
    (page,) = listed(either_world, as_merchant(either_world, "mer_a"), **{by: value})
    assert reported(iter([page])) == newest_first(wanted)


def test_an_unreadable_row_does_not_fail_a_list(platform: Platform) -> None:
    rows = chain(platform, "pay_a", 3, action="payment_succeeded", user_id="usr")
    platform.client.update_item(
        TableName=platform.tables["audit_log"],
        Key={"entity_id": {"S": "pay_a"}, "sequence": {"S": version_key(2)}},
        UpdateExpression="SET #action = :number REMOVE merchant_id, user_id",
        ExpressionAttributeNames={"#action": "action"},
        ExpressionAttributeValues={":number": {"N": "1"}},
    )
    left = newest_first([rows[0], rows[2]])
    for caller in (as_merchant(platform, "mer_a"), as_operator(platform)):
        for query in ({"action": "payment_succeeded"}, {"user_id": "usr"}):
            assert reported(listed(platform, caller, **query)) == left


def test_an_entity_of_another_merchant_is_not_found(platform: Platform) -> None:
    chain(platform, "pay_a", 3)
    theirs = as_merchant(platform, "mer_b")
    for entity in ("pay_a", "pay_none"):
        with pytest.raises(NotFound):
            next(listed(platform, theirs, entity_id=entity))
        with pytest.raises(NotFound):
            verified(platform, theirs, entity)
    with pytest.raises(NotFound):
        verified(platform, as_operator(platform, "mer_b"), "pay_a")
    assert verified(platform, as_operator(platform), "pay_a").valid


@pytest.mark.parametrize(
    "query", [{}, {"entity_id": "pay_a", "action": "x"}, {"action": "x", "user_id": "y"}]
)
def test_a_list_is_of_exactly_one_of_entity_action_and_user(
    platform: Platform, query: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue):
        next(listed(platform, as_operator(platform), **query))


def test_a_cursor_is_valid_only_for_its_own_list_and_owner(platform: Platform) -> None:
    chain(platform, "pay_a", 5)
    first = next(listed(platform, as_merchant(platform, "mer_a"), user_id="user", limit=2))
    assert first.next_cursor is not None
    others = (
        (as_merchant(platform, "mer_b"), {"user_id": "user"}),
        (as_operator(platform), {"user_id": "user"}),
        (as_merchant(platform, "mer_a"), {"action": "payment_succeeded"}),
    )
    for call, filters in others:
        query = AuditQuery(cursor=first.next_cursor, limit=2, **filters)
        with pytest.raises(BadCursor):
            list_audit(query, call, trail(platform))


# -------------------------------------------------------------------- chains


def test_a_whole_chain_is_valid_and_names_its_head(platform: Platform) -> None:
    rows = chain(platform, "pay_a", 4)
    answer = verified(platform, as_merchant(platform, "mer_a"), "pay_a")
    assert answer.model_dump() == {
        "entity_id": "pay_a",
        "valid": True,
        "length": 4,
        "head_hash": rows[-1].hash,
        "first_bad": None,
    }


def test_the_first_invalid_row_is_reported_with_its_position(platform: Platform) -> None:
    rows = chain(platform, "pay_a", 6)
    platform.put(rows[2].model_copy(update={"user_id": "intruder"}))
    answer = verified(platform, as_merchant(platform, "mer_a"), "pay_a")
    assert (answer.valid, answer.length, answer.head_hash) == (False, 6, rows[1].hash)
    assert answer.first_bad is not None
    assert (answer.first_bad.sequence, answer.first_bad.position) == (version_key(3), 3)
    assert "changed" in answer.first_bad.reason


def test_a_row_that_cannot_be_parsed_is_reported_and_the_list_shows_the_others(
    platform: Platform,
) -> None:
    rows = chain(platform, "pay_a", 3)
    platform.client.update_item(
        TableName=platform.tables["audit_log"],
        Key={"entity_id": {"S": "pay_a"}, "sequence": {"S": version_key(2)}},
        UpdateExpression="REMOVE prev_hash",
    )
    mine = as_merchant(platform, "mer_a")
    answer = verified(platform, mine, "pay_a")
    assert answer.first_bad is not None
    assert (answer.first_bad.sequence, answer.first_bad.position) == (version_key(2), 2)
    left = newest_first([rows[0], rows[2]])
    assert reported(listed(platform, mine, entity_id="pay_a")) == left
    assert reported(listed(platform, mine, user_id="user")) == left


def test_a_chain_too_long_for_one_response_refers_to_the_command(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain(platform, "pay_a", 4)
    monkeypatch.setattr(audit_queries, "MAX_CHAIN_ROWS", 4)
    assert verified(platform, as_operator(platform), "pay_a").length == 4
    monkeypatch.setattr(audit_queries, "MAX_CHAIN_ROWS", 3)
    with pytest.raises(ChainTooLong, match="verify-audit"):
        verified(platform, as_operator(platform), "pay_a")
