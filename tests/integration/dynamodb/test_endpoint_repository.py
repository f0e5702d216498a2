"""Every expression of EndpointRepository, on every engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.core.errors import StaleWrite
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.merchants.models import WebhookEndpoint
from runtime.merchants.repository import MerchantRepository
from runtime.webhooks.endpoints.repository import EndpointRepository
from runtime.webhooks.endpoints.stored import StoredEndpoints
from tests.support.engines.choice import EVERY, engine_named
from tests.support.expressions import fresh
from tests.support.platform import SETUP, Platform


@pytest.fixture(params=EVERY)
def either_world(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """On every engine, whatever ENGINE says."""
    platform = Platform(engine_named(request.param, request))
    yield platform
    platform.drop()


def test_an_endpoint_and_its_list_are_created_changed_and_deleted_together(
    either_world: Platform,
) -> None:
    platform = either_world
    merchant = platform.merchant()
    endpoints = EndpointRepository(platform.store)
    stored = StoredEndpoints(endpoints, MerchantRepository(platform.store))
    call = platform.call(merchant, {}, None, path="/v1/webhook-endpoints")
    now = to_timestamp(call.now)
    row = WebhookEndpoint(
        id=call.new_id("whe"),
        merchant_id=merchant.id,
        url="https://hooks.example/in",
        secret="whsec_c2VjcmV0",
        created_at=now,
        updated_at=now,
        **SETUP.stamp(),
    )

    def listed() -> list[tuple[str, int]]:
        directory = stored.merchants.endpoint_directory(merchant.id)
        assert directory is not None
        return [(entry.id, entry.version) for entry in directory.entries]

    create = stored.creation(merchant, row, call)
    create(None, fresh())
    assert listed() == [(row.id, 1)]
    with pytest.raises(StaleWrite):
        create(None, fresh())
    read = stored.read(row.id, call)
    assert read.endpoint.secret == row.secret
    assert endpoints.recent(row.id, UNRESTRICTED) == read.endpoint
    _, alter = stored.change(read, {"events": ("refund.failed",), "description": "Support"}, call)
    alter(None, fresh())
    assert listed() == [(row.id, 2)]
    with pytest.raises(StaleWrite):
        alter(None, fresh())
    with pytest.raises(StaleWrite):
        stored.remove(read, call)
    (profile,) = endpoints.profiles([row.id, "whe_unknown"], UNRESTRICTED)
    assert (profile.events, profile.description) == (("refund.failed",), "Support")
    newest = endpoints.newest_first(merchant.id, after_id=None, page_size=10)
    assert [entry.id for entry in newest] == [row.id]
    stored.remove(stored.read(row.id, call), call)
    assert listed() == []
    assert endpoints.profile(row.id, UNRESTRICTED) is None
