"""Every event type can be made, and a wrong request says what can."""

from __future__ import annotations

import pytest

from local.errors import LocalError
from local.webhooks.trigger import MAKERS, maker_of, members_of
from runtime.webhooks.models import EventType


def test_every_event_type_can_be_made() -> None:
    assert set(MAKERS) == set(EventType)


@pytest.mark.parametrize("event", ["", "payment.sold"])
def test_another_event_is_refused_with_the_list(event: str) -> None:
    with pytest.raises(LocalError) as refused:
        maker_of(event)
    assert all(each in refused.value.hint for each in EventType)


@pytest.mark.parametrize("data", ["[1]", "{", "1"])
def test_data_that_is_not_an_object_is_refused(data: str) -> None:
    with pytest.raises(LocalError, match="not a JSON object"):
        members_of(data)


def test_data_may_be_left_out() -> None:
    assert members_of("") == {}
    assert members_of('{"amount": 7}') == {"amount": 7}
