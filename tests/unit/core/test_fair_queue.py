"""Work taken in turns: no owner waits for another's backlog, and each has a limit in flight."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.core.fair_queue import FairQueue

OWNERS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), OWNERS),
        st.tuples(st.just("take"), st.none()),
        st.tuples(st.just("done"), st.integers(0, 50)),
    ),
    max_size=120,
)


@settings(max_examples=300)
@given(per_owner=st.integers(1, 4), steps=STEPS)
def test_limits_and_order_are_kept_and_the_owner_with_fewest_in_flight_is_served_first(
    per_owner: int, steps: list[tuple[str, Any]]
) -> None:
    queue: FairQueue[int] = FairQueue(per_owner)
    waiting: dict[str, list[int]] = defaultdict(list)
    flying: list[str] = []
    for number, (step, of) in enumerate(steps):
        if step == "add":
            queue.add(of, number)
            waiting[of].append(number)
        elif step == "done" and flying:
            queue.done(flying.pop(of % len(flying)))
        elif step == "take":
            may = {o for o, items in waiting.items() if items and flying.count(o) < per_owner}
            taken = queue.take()
            assert (taken is None) == (not may)
            if taken is None:
                continue
            owner, item = taken
            fewest = min(flying.count(each) for each in may)
            equals = {each for each in may if flying.count(each) == fewest}
            assert owner in equals
            assert item == waiting[owner].pop(0)
            flying.append(owner)
        assert queue.in_flight == len(flying)
        assert queue.has_next == any(
            items and flying.count(each) < per_owner for each, items in waiting.items()
        )
        assert queue.waiting_of() == {each: len(items) for each, items in waiting.items() if items}


@given(owners=st.integers(1, 6), each=st.integers(1, 5), per_owner=st.integers(1, 5))
def test_owners_with_equal_backlogs_take_turns(owners: int, each: int, per_owner: int) -> None:
    queue: FairQueue[int] = FairQueue(per_owner)
    for owner in range(owners):
        for item in range(each):
            queue.add(str(owner), item)
    taken = []
    while (one := queue.take()) is not None:
        taken.append(one)
        queue.done(one[0])
    assert taken == [(str(owner), item) for item in range(each) for owner in range(owners)]


def test_the_first_item_of_a_new_owner_is_taken_next_whatever_others_have_waiting() -> None:
    queue: FairQueue[str] = FairQueue(2)
    for number in range(10_000):
        queue.add("stuck", f"stuck-{number}")
    assert [queue.take(), queue.take()] == [("stuck", "stuck-0"), ("stuck", "stuck-1")]
    assert queue.take() is None, "at most two of one owner in flight"
    queue.add("other", "other-0")
    assert queue.take() == ("other", "other-0")
    queue.done("stuck")
    assert queue.take() == ("stuck", "stuck-2")
