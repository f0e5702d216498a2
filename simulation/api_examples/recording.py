"""Runs all example requests on a simulated platform, and makes what it answers repeatable."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from simulation.api_examples import money, people, records
from simulation.api_examples.book import TICK_SECONDS, Book
from simulation.platform.plan import Plan
from simulation.platform.world import Platform

SEED: Final = "recorded examples"
"""The simulated sandbox refuses one of twenty captures by its id; with this seed, none of these."""
STEPS: Final[tuple[Callable[[Book], None], ...]] = (
    records.unverified,
    people.merchants,
    people.processors,
    people.api_keys,
    people.webhook_endpoints,
    people.customers,
    people.lockout,
    money.accounts,
    money.transfers,
    money.accounts_closed,
    money.payments,
    money.disputes,
    records.settlements,
    records.exports,
    records.alerts,
    records.webhooks,
    records.audit,
    records.system,
)
_ID: Final = re.compile(r"\b([a-z]{2,4})_[0-9A-HJKMNP-TV-Z]{26}\b")
_TIME: Final = re.compile(r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")
_HASH: Final = re.compile(r"\b(?!0{64})[0-9a-f]{64}\b")
_SECRET: Final = re.compile(r"\b(whsec|sk)_[A-Za-z0-9+/_]{32,}={0,2}")
_CURSOR: Final = re.compile(r'(?<="next_cursor": ")[^"]+')
_LINK: Final = re.compile(r'https://[^"?]+\?[^"]*X-Simulated-Operation[^"]*')
_FIRST_ID: Final = "01KKNS5TA0"
"""The beginning of a ULID: 14 March 2026, when the simulation begins."""


def recorded() -> dict[str, Any]:
    """The examples, as runtime/api/document/examples.json has them.

    Ids, hashes, secrets, cursors and signed links are replaced in the order in which they appear,
    and times are cut to ten seconds: all else is as the functions answered.
    """
    platform = Platform(SEED, Plan(SEED, (), frozenset()), stops=False)
    book = Book(platform)

    def work() -> None:
        for step in STEPS:
            step(book)
        book.wait(60)

    task = platform.scheduler.spawn(work, "examples")
    platform.scheduler.run(until=lambda: task.done)
    task.outcome()
    events: dict[str, Any] = {}
    for each in platform.deliveries:
        body = json.loads(each.body)
        events.setdefault(body["type"], body)
    platform.scheduler.close()
    return repeatable({"requests": book.requests, "events": dict(sorted(events.items()))})


def repeatable(recording: Mapping[str, Any]) -> dict[str, Any]:
    """The same with everything replaced that differs from run to run."""
    seen: dict[str, str] = {}

    def numbered(make: Callable[[int, re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
        return lambda found: seen.setdefault(found.group(), make(len(seen) + 1, found))

    text = json.dumps(recording)
    text = _LINK.sub(numbered(_link), text)
    text = _ID.sub(numbered(lambda n, found: f"{found.group(1)}_{_FIRST_ID}{n:016d}"), text)
    text = _HASH.sub(numbered(lambda n, _: hashlib.sha256(b"%d" % n).hexdigest()), text)
    text = _SECRET.sub(numbered(_secret), text)
    text = _CURSOR.sub("b3BhcXVl", text)
    text = _TIME.sub(lambda found: _cut(found.group()), text)
    replaced: dict[str, Any] = json.loads(text)
    return replaced


def examples_text() -> str:
    """The file's text."""
    return json.dumps(recorded(), indent=1, ensure_ascii=False) + "\n"


def _link(number: int, _found: re.Match[str]) -> str:
    return f"https://bucket.s3.amazonaws.com/object-{number}?X-Amz-Signature=example"


def _secret(_number: int, found: re.Match[str]) -> str:
    kind = found.group(1)
    return "whsec_" + "RXhh" * 11 if kind == "whsec" else f"{kind}_example"


def _cut(time: str) -> str:
    moment = datetime.fromisoformat(time)
    seconds = int(moment.second - moment.second % TICK_SECONDS)
    cut = moment.replace(second=seconds, microsecond=0, tzinfo=None)
    return f"{cut.isoformat(timespec='milliseconds')}Z"
