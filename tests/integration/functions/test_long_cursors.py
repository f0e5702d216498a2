"""The list of requests continues after requests with the longest Idempotency-Keys."""

from __future__ import annotations

from typing import Any

from runtime.core.timestamps import to_epoch_seconds
from runtime.http.cursors import MAX_CURSOR_CHARACTERS
from runtime.http.pagination import Cursors
from runtime.http.shapes import MAX_IDEMPOTENCY_KEY
from runtime.idempotency.api import IdempotencyKeyQuery
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.idempotency.queries import IdempotencyReads, list_keys
from runtime.idempotency.repository import ClaimRepository
from runtime.idempotency.rules import claim_key
from tests.support.outside import new_id
from tests.support.platform import CURSOR_KEY, Platform, pages

REQUESTS = 3
FORMER_LIMIT = 512
"""Characters that a cursor could have when the list refused its own."""


def test_the_list_continues_after_requests_with_the_longest_keys(platform: Platform) -> None:
    shop = platform.merchant()
    expires_at = to_epoch_seconds(platform.call(shop).now) + 60
    keys = [str(number).ljust(MAX_IDEMPOTENCY_KEY, "k") for number in range(REQUESTS)]
    for number, key in enumerate(keys):
        path = f"/v1/customers/{new_id('cus', platform.call(shop).now)}/payment-methods"
        platform.put(
            IdempotencyRecord(
                key=claim_key(shop.id, "POST", path, key),
                merchant_bucket=f"{shop.id}#000",
                created_at=f"2026-03-14T09:00:0{number}.000Z",
                merchant_id=shop.id,
                key_subject=shop.id,
                request_id="r",
                fingerprint="f",
                owner="o",
                state=ClaimState.COMPLETED,
                status_code=201,
                expires_at=expires_at,
            )
        )
    reads = IdempotencyReads(
        ClaimRepository(platform.store), lambda _: 1, Cursors(lambda: CURSOR_KEY)
    )

    def read(cursor: str | None) -> Any:
        return list_keys(IdempotencyKeyQuery(limit=1, cursor=cursor), platform.call(shop), reads)

    listed = list(pages(read))
    assert [row.key for page in listed for row in page.data] == keys[::-1]
    lengths = [len(page.next_cursor) for page in listed if page.next_cursor is not None]
    assert all(FORMER_LIMIT < length <= MAX_CURSOR_CHARACTERS for length in lengths), lengths
