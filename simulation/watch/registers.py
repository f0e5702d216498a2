"""Idempotency keys judged from outside: each is a register that is written once.

The first final answer to a key is its value. Every later request with the key and the same payload
is answered exactly that, marked as replayed; one with another payload never is. While the first
request runs, others get an in-flight answer. Answers that are not final write nothing: 4xx of
requests that were refused before they began, 5xx, and 202 of a payment whose outcome is unknown.
An answer with results of several things is final once each of them is; until then each result is a
register of its own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

STORED_REFUSALS: Final = frozenset(
    {
        *("insufficient_funds", "inactive_account", "currency_mismatch", "exceeds_hold"),
        *("declined", "refund_failed"),
    }
)
"""Codes of refusals that are answers: they are stored under the key (docs/api.md, idempotency)."""
SEVERAL: Final = frozenset({"/v1/settlement-lines/resolve"})
"""Paths whose answers have the results of several things, each with its status."""
KEPT_SECONDS: Final = 24 * 3600.0
"""For so long an answer is repeated."""


class RegisterKey(NamedTuple):
    """What one key stands for: another path or merchant makes it another key."""

    merchant: str
    method: str
    path: str
    key: str


@dataclass(frozen=True)
class KeyedCall:
    """One request with an idempotency key, and its answer; `status` is None where none arrived."""

    register: RegisterKey
    payload: str
    began: float
    ended: float
    status: int | None = None
    body: str = ""
    code: str = ""
    replayed: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the answer is one that the key keeps. 202 of a payment says: not known yet."""
        if self.status is None or self.status >= 400:
            return self.code in STORED_REFUSALS
        if any(result["status_code"] >= 500 for result in self.results):
            return False
        return self.status != 202 or not self.register.path.startswith("/v1/payments")

    @property
    def results(self) -> list[dict[str, Any]]:
        """What became of each of several things; empty where the request is about one."""
        if self.register.path not in SEVERAL or self.status != 200:
            return []
        results: list[dict[str, Any]] = json.loads(self.body)["data"]
        return results

    def __str__(self) -> str:
        reported = "nothing" if self.status is None else f"{self.status} {self.code}".strip()
        again = ", replayed" if self.replayed else ""
        return f"[{self.began:.3f}, {self.ended:.3f}] answered {reported}{again}"


def register_faults(calls: Iterable[KeyedCall]) -> list[str]:
    """What no single value of each key can explain; empty if one can."""
    by_key: dict[RegisterKey, list[KeyedCall]] = defaultdict(list)
    for call in calls:
        by_key[call.register].append(call)
    return [
        f"key {key.key} of {key.method} {key.path}: {fault}"
        for key, history in by_key.items()
        for fault in _faults(history)
    ]


def _faults(history: list[KeyedCall]) -> list[str]:
    return [*_faults_of_answers(history), *_faults_of_results(history)]


def _faults_of_results(history: list[KeyedCall]) -> Iterator[str]:
    """Results of one of several things that differ, though none of them is an error of ours."""
    known: dict[int, tuple[KeyedCall, dict[str, Any]]] = {}
    for call in sorted(history, key=lambda each: each.ended):
        for position, result in enumerate(call.results):
            if result["status_code"] >= 500:
                continue
            first, before = known.setdefault(position, (call, result))
            is_kept = call.began <= first.ended + KEPT_SECONDS / 2
            if is_kept and (call.payload, result) != (first.payload, before):
                yield f"two results at position {position}: {first}: {before}; {call}: {result}"


def _faults_of_answers(history: list[KeyedCall]) -> list[str]:
    final = sorted((call for call in history if call.is_final), key=lambda call: call.ended)
    if not final:
        return []
    first, faults = final[0], []
    for call in final[1:]:
        if call.began > first.ended + KEPT_SECONDS / 2:
            continue  # the answer may have been forgotten: a new register
        if call.payload != first.payload:
            faults.append(f"two payloads have answers: {first}; {call}")
        elif (call.status, call.body) != (first.status, first.body):
            faults.append(f"two answers to one key: {first}: {first.body}; {call}: {call.body}")
    originals = [call for call in final if not call.replayed]
    if len(originals) > 1 and not faults and originals[1].began <= first.ended + KEPT_SECONDS / 2:
        faults.append(f"done twice: {originals[0]}; {originals[1]}")
    faults += [fault for call in history for fault in _after(call, first)]
    return faults


def _after(call: KeyedCall, first: KeyedCall) -> list[str]:
    """A request that began when the key had a value is answered with it, or with a 5xx.

    Not with a refusal that a new request would get: what it asks for was done. But a customer who
    was erased since is not found any more, and the answer cannot be decrypted.
    """
    if not first.ended < call.began < first.ended + KEPT_SECONDS / 2 or call.status is None:
        return []
    if call.payload != first.payload:
        wrong = call.status < 400
        return [f"another payload was accepted: {first}; {call}"] if wrong else []
    if call.is_final:
        return [] if call.replayed else [f"not marked as replayed: {first}; {call}"]
    if call.status < 500 and call.code != "not_found":
        return [f"the answer was forgotten: {first}; {call}"]
    return []
