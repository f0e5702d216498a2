"""Lists of the simulated Stripe, read to their end as Stripe's library does."""

from __future__ import annotations

from random import Random
from urllib.parse import urlencode

from simulation.partners.stripe_answers import EVENTS_PER_PAGE, page_of
from simulation.partners.stripe_server import StripeServer

KEY, EPOCH = "sk_test_shop", 1_000_000.0


def test_a_list_of_several_pages_is_read_from_its_next_page_url() -> None:
    server = StripeServer(lambda: 5.0, EPOCH, Random("1"), lambda _account, _event: None)
    account = server.open_account(KEY)
    many = EVENTS_PER_PAGE * 2 + 3
    account.events.extend(
        {"id": f"evt_{number}", "type": "refund.failed", "created": int(EPOCH)}
        for number in range(many)
    )
    seen: list[str] = []
    path, params = "/v1/events", {"types[0]": "refund.failed", "created[gte]": "0"}
    while True:
        url = f"https://api.stripe.com{path}?{urlencode(params)}"
        status, page = server.answer("GET", url, {"Authorization": f"Bearer {KEY}"}, None)
        assert status == 200
        seen += [event["id"] for event in page["data"]]
        if not page["has_more"]:
            break
        path, params = page["url"], {**params, "starting_after": seen[-1]}
    assert seen == [f"evt_{number}" for number in reversed(range(many))]


def test_a_page_respects_its_limit() -> None:
    assert page_of([{"id": "1"}, {"id": "2"}], "/v1/refunds", 1) == {
        "object": "list",
        "data": [{"id": "1"}],
        "has_more": True,
        "url": "/v1/refunds",
    }
