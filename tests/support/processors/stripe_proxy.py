"""What localstripe lacks, added in front: keys, search, declines, 3-D Secure, limits, fees.

It also injects lost answers, and requests that arrive late or never. A test sets
`faults`; each is used up by one POST.
"""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.support.processors import stripe_rules as rules

Json = dict[str, Any]

UPSTREAM_TIMEOUT_SECONDS: Final = 20.0
_INTENTS: Final = "/v1/payment_intents"
_DISPUTES: Final = "/v1/disputes/"
_INTENT: Final = re.compile(r"/v1/payment_intents/(pi_\w+)(?:/(\w+))?")
_QUERY: Final = re.compile(r"metadata\['reference'\]:'([^']+)'")
_IDEMPOTENCY: Final = "idempotency_error"
_SAVED: Final = frozenset({200, 402, 500})
"""Stripe keeps the answer once it has begun, except for requests that it refused to begin."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of one POST. `status`: the answer in place of the real one."""

    arrives_after_seconds: float = 0.0
    arrives: bool = True
    answers_after_seconds: float = 0.0
    answer_is_lost: bool = False
    status: int | None = None


LOST_ANSWER: Final = Fault(answer_is_lost=True)
LOST_REQUEST: Final = Fault(arrives=False, answer_is_lost=True)


@dataclass
class _Kept:
    """The first request with an idempotency key, and its answer once there is one."""

    request: tuple[str, tuple[tuple[str, str], ...]]
    answer: tuple[int, Json] | None = None


@dataclass
class StripeProxy:
    """A server for a `with` block; `url` is what the connector uses as Stripe."""

    upstream: str
    port: int
    faults: deque[Fault] = field(default_factory=deque)
    search_shows_new: bool = True
    accounts: dict[str, str] = field(default_factory=dict)
    """The account of a key, if it is not `rules.account_of_key`: an account may have many keys."""
    disputes: dict[str, Json] = field(default_factory=dict)
    """By id, as set by a test; `payment_intent` is an id."""
    events: list[Json] = field(default_factory=list)
    """All events, the newest last, whether or not a notification was sent."""
    requests: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    _keys: dict[tuple[str, str], _Kept] = field(default_factory=dict)
    _by_reference: dict[str, str] = field(default_factory=dict)
    _declined: dict[str, Json] = field(default_factory=dict)
    _waiting: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Parameters of the intents whose customer has to authenticate, by id."""
    _captured: dict[str, int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> StripeProxy:
        proxy = self

        class Handler(_Handler):
            stripe = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forget_keys(self) -> None:
        """As a day later, when Stripe may have forgotten the keys."""
        with self._lock:
            self._keys.clear()

    def intents(self) -> list[Json]:
        """All PaymentIntents as stored by localstripe."""
        found: list[Json] = []
        more = True
        while more:
            after = {"starting_after": found[-1]["id"]} if found else {}
            page = self._ask("GET", f"{_INTENTS}?{urlencode({'limit': 100, **after})}")[1]
            found += [self._shown(intent) for intent in page["data"]]
            more = page["has_more"]
        return found

    def authenticate(self, intent_id: str, *, succeeds: bool) -> Json:
        """What the customer does at the bank, once; the intent afterwards."""
        with self._lock:
            intent = self._shown(self._ask("GET", f"{_INTENTS}/{intent_id}")[1])
            assert intent["status"] == "requires_action", f"{intent_id} is {intent['status']}"
            method = self._waiting.pop(intent_id)["payment_method"]
            if not succeeds:
                self._declined[intent_id] = rules.authentication_failed()
            elif rules.AUTHENTICATED_METHODS[method] is not None:
                self._declined[intent_id] = rules.declined(method)
            else:
                status, intent = self._ask("POST", f"{_INTENTS}/{intent_id}/confirm")
                assert status == 200, intent
                if intent["status"] == "succeeded":
                    self._captured[intent_id] = intent["amount"]
            return self._shown(self._ask("GET", f"{_INTENTS}/{intent_id}")[1])

    def answer(
        self, method: str, target: str, api_key: str, idempotency_key: str | None, body: str
    ) -> tuple[int, Json]:
        """One request, as Stripe would answer it."""
        params = dict(parse_qsl(body, keep_blank_values=True))
        self.requests.append((method, target, params))
        problem = rules.key_problem(api_key)
        if problem is not None:
            return problem
        who = rules.identity(method, target, api_key, self.accounts)
        if who is not None:
            return who
        if method != "POST" or idempotency_key is None:
            return self._do(method, target, params)
        request = (urlsplit(target).path, tuple(sorted(params.items())))
        with self._lock:
            kept = self._keys.setdefault((api_key, idempotency_key), _Kept(request))
            if kept.request != request:
                return 400, rules.error(
                    None, f"Keys are for the same parameters: {idempotency_key}", type=_IDEMPOTENCY
                )
            # Inside the lock: the second of two at once waits here, and Stripe would answer 409.
            if kept.answer is None:
                answer = self._do(method, target, params)
                if answer[0] not in _SAVED:
                    del self._keys[api_key, idempotency_key]
                    return answer
                kept.answer = answer
            return kept.answer

    def _do(self, method: str, target: str, params: dict[str, str]) -> tuple[int, Json]:
        path = urlsplit(target).path
        if method == "GET" and path == f"{_INTENTS}/search":
            return self._search(target)
        if method == "POST" and path == _INTENTS:
            return self._create(params)
        if method == "POST" and path == "/v1/refunds":
            return self._refund(params)
        if method == "GET" and path == "/v1/refunds":
            return self._refunds(target)
        if method == "GET" and path.startswith(_DISPUTES):
            return self._dispute(path.removeprefix(_DISPUTES))
        if method == "GET" and path == "/v1/events":
            return 200, {
                "object": "list",
                "data": self.events[::-1],
                "has_more": False,
                "url": path,
            }
        found = _INTENT.fullmatch(path)
        if found is None:
            return self._ask(method, target, params)
        intent_id, step = found.groups()
        if step == "capture":
            return self._capture(intent_id, target, params)
        status, answer = self._ask(method, target, rules.for_localstripe(params))
        if status == 200:
            return status, self._shown(answer)
        return self._problem(status, answer, intent_id if method == "POST" else None)

    def _dispute(self, dispute_id: str) -> tuple[int, Json]:
        """A dispute as set by a test, with its charge."""
        dispute = self.disputes.get(dispute_id)
        if dispute is None:
            return 404, rules.error("resource_missing", "No such dispute", param="dispute")
        status, intent = self._ask("GET", f"{_INTENTS}/{dispute['payment_intent']}")
        assert status == 200, "a dispute is about a charge"
        return 200, {**dispute, "payment_intent": self._shown(intent)}

    def _search(self, target: str) -> tuple[int, Json]:
        query = dict(parse_qsl(urlsplit(target).query))["query"]
        asked = _QUERY.fullmatch(query)
        if asked is None:
            return 400, rules.error(None, "The query is not understood", param="query")
        known = self._by_reference.get(asked[1]) if self.search_shows_new else None
        data = [self._shown(self._ask("GET", f"{_INTENTS}/{known}")[1])] if known else []
        page = {"object": "search_result", "has_more": False, "next_page": None}
        return 200, {**page, "data": data, "url": f"{_INTENTS}/search"}

    def _create(self, params: dict[str, str]) -> tuple[int, Json]:
        refused = rules.refused_parameters(params)
        if refused is not None:
            return 400, refused
        status, answer = self._ask("POST", _INTENTS, rules.for_localstripe(params))
        if status != 200:
            return self._problem(status, answer, None, param="payment_method")
        reference = params.get("metadata[reference]")
        if reference is not None:
            self._by_reference[reference] = answer["id"]
        if params.get("payment_method") in rules.DECLINED_METHODS:
            failure = rules.declined(params["payment_method"])
            self._declined[answer["id"]] = failure
            return 402, {"error": {**failure, "payment_intent": self._shown(answer)}}
        if params.get("payment_method") in rules.AUTHENTICATED_METHODS:
            self._waiting[answer["id"]] = params
        if answer["status"] == "succeeded":
            self._captured[answer["id"]] = answer["amount"]
        return 200, self._shown(answer)

    def _capture(self, intent_id: str, target: str, params: dict[str, str]) -> tuple[int, Json]:
        before = self._ask("GET", f"{_INTENTS}/{intent_id}")
        if before[0] != 200 or before[1]["status"] != "requires_capture":
            return self._problem(*(before if before[0] != 200 else (400, {})), intent_id)
        status, answer = self._ask("POST", target, params)
        if status != 200:
            return self._problem(status, answer, intent_id)
        self._captured[intent_id] = int(params.get("amount_to_capture", answer["amount"]))
        return 200, self._shown(answer)

    def _refund(self, params: dict[str, str]) -> tuple[int, Json]:
        intent_id = params["payment_intent"]
        captured = self._captured.get(intent_id)
        if captured is None:
            return 404, rules.error("resource_missing", "No such intent", param="payment_intent")
        listed = self._refunds(f"/v1/refunds?payment_intent={intent_id}&limit=100")[1]["data"]
        left = captured - sum(refund["amount"] for refund in listed)
        if left == 0:
            return 400, rules.error("charge_already_refunded", "It has already been refunded.")
        if int(params.get("amount", left)) > left:
            return 400, rules.error(None, "Greater than the unrefunded amount", param="amount")
        return self._ask("POST", "/v1/refunds", params)

    def _refunds(self, target: str) -> tuple[int, Json]:
        """Without refunds of uncaptured amounts, which localstripe makes and Stripe does not."""
        status, answer = self._ask("GET", target)
        if status == 200:
            answer["data"] = [refund for refund in answer["data"] if refund["payment_intent"]]
        return status, answer

    def _problem(
        self, status: int, answer: Json, intent_id: str | None, param: str | None = None
    ) -> tuple[int, Json]:
        """localstripe's errors have no code; Stripe's do."""
        if status == 404:
            return 404, rules.error("resource_missing", "No such object", param=param)
        if status == 400 and intent_id is not None:
            intent = self._shown(self._ask("GET", f"{_INTENTS}/{intent_id}")[1])
            code = "payment_intent_unexpected_state"
            return 400, rules.error(code, "Not in this status.", payment_intent=intent)
        return status, answer

    def _shown(self, intent: Json) -> Json:
        failure = self._declined.get(intent["id"])
        if failure is not None and intent["status"] != "canceled":
            intent |= {"status": "requires_payment_method", "last_payment_error": failure}
        waiting = self._waiting.get(intent["id"])
        if waiting is not None and intent["status"] != "canceled":
            action = rules.next_action(intent["id"], waiting.get("return_url"))
            intent |= {"status": "requires_action", "next_action": action}
        intent["amount_received"] = self._captured.get(intent["id"], 0)
        charge = intent.get("latest_charge")
        if isinstance(charge, dict) and isinstance(charge.get("balance_transaction"), dict):
            charge["balance_transaction"]["fee"] = rules.fee(intent["amount_received"])
        return intent

    def _ask(
        self, method: str, target: str, params: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        request = urllib.request.Request(
            self.upstream + target,
            data=urlencode(params or {}).encode() if method == "POST" else None,
            headers={"Authorization": "Bearer sk_test_behind"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=UPSTREAM_TIMEOUT_SECONDS) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else {"error": {}}


class _Handler(BaseHTTPRequestHandler):
    stripe: StripeProxy

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(self.stripe.faults.popleft() if self.stripe.faults else None)

    def _serve(self, fault: Fault | None) -> None:
        fault = fault or Fault()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        time.sleep(fault.arrives_after_seconds)
        status, answer = fault.status or 0, rules.error(None, "As the test has it")
        if fault.arrives:
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            truth = self.stripe.answer(
                self.command, self.path, key, self.headers.get("Idempotency-Key"), body
            )
            status, answer = truth if fault.status is None else (status, answer)
        time.sleep(fault.answers_after_seconds)
        self.close_connection = True
        if not fault.answer_is_lost:
            self._send(status, json.dumps(answer).encode())

    def _send(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Request-Id", "req_stand_in")
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the caller did not wait

    def log_message(self, *_: object) -> None:
        """Log nothing: tests read their own output."""
