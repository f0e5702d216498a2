"""Webhooks at rest: each event has one delivery to each endpoint that takes it.

Each was received with the same words each time.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from simulation.watch.news import TEST, Delivery, Hook, News, NewsRule
from simulation.watch.settled.rows import Faults


class Received(Protocol):
    """A webhook as an endpoint received it; `status` is what it answered, None: nothing."""

    @property
    def webhook_id(self) -> str:
        """The header webhook-id."""
        ...

    @property
    def body(self) -> bytes:
        """The body."""
        ...

    @property
    def status(self) -> int | None:
        """What the endpoint answered."""
        ...


def webhook_faults(rule: NewsRule, received: Iterable[Received]) -> Faults:
    """Events without a delivery, deliveries without an event, deliveries never received."""
    yield from _unmatched(rule)
    reported: dict[str, list[Received]] = defaultdict(list)
    for each in received:
        reported[each.webhook_id].append(each)
    known = {(news.type, news.about, news.sequence, news.dispute) for news in rule.news}
    for webhook_id, times in reported.items():
        delivery = rule.deliveries.get(webhook_id)
        if delivery is None:
            yield f"an endpoint received {webhook_id}, which is not a delivery"
            continue
        bodies = {each.body for each in times}
        if len(bodies) > 1:
            yield f"{webhook_id} was sent in {len(bodies)} versions"
        body = json.loads(times[0].body)
        dispute = body["data"].get("dispute", {}).get("id")
        event = (body["type"], body["data"]["id"], body["sequence"], dispute)
        is_news = delivery.type == TEST or event in known
        if body["id"] != webhook_id or not is_news:
            yield f"{webhook_id} tells {event}, which has not happened"
    for webhook_id, delivery in rule.deliveries.items():
        taken = any((each.status or 0) // 100 == 2 for each in reported.get(webhook_id, ()))
        if delivery.status == "delivered" and not taken:
            yield f"{webhook_id} counts as delivered, and no endpoint has taken it"
        elif delivery.status != "delivered" and _is_steady(rule, delivery):
            yield f"{webhook_id} ({delivery.type}) is still {delivery.status}"


def _unmatched(rule: NewsRule) -> Faults:
    """One delivery for each event and endpoint that takes it, and none for anything else."""
    firsts = [news for news in rule.news if news.merchant_id not in rule.silent]
    delivered = [
        each
        for each in rule.deliveries.values()
        if each.endpoint_id not in rule.hooks and each.merchant_id not in rule.silent
    ]
    yield from _compared("the first endpoint", firsts, firsts, delivered)
    for hook_id, hook in rule.hooks.items():
        if hook.steady:
            delivered = [d for d in rule.deliveries.values() if d.endpoint_id == hook_id]
            yield from _compared(
                hook_id, _due(rule, hook), filter(hook.takes, rule.news), delivered
            )


def _due(rule: NewsRule, hook: Hook) -> list[News]:
    return [news for news in rule.news[hook.since :] if hook.takes(news)]


def _compared(
    endpoint: str, due: Sequence[News], possible: Iterable[News], made: Iterable[Delivery]
) -> Faults:
    """What is `due` must be delivered, and nothing but what is `possible`, each once."""
    delivered = Counter(
        (each.type, each.merchant_id, each.sequence, each.at) for each in made if each.type != TEST
    )
    for key, count in (Counter(map(_key, due)) - delivered).items():
        about = next(news.about for news in due if _key(news) == key)
        yield f"{count} events {key} about {about} have no delivery to {endpoint}"
    for key, count in (delivered - Counter(map(_key, possible))).items():
        yield f"{count} deliveries of {key} to {endpoint} about events that did not happen"


def _is_steady(rule: NewsRule, delivery: Delivery) -> bool:
    """Whether the endpoint of a delivery has always been there, as it is."""
    hook = rule.hooks.get(delivery.endpoint_id)
    return delivery.merchant_id not in rule.silent if hook is None else hook.steady


def _key(news: News) -> tuple[str, str, int, str]:
    return (news.type, news.merchant_id, news.sequence, news.at)
