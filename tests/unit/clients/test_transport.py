"""The transport signs in, repeats with one key, and raises an error for each refusal."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import pytest
from payments_client import addresses, errors
from payments_client.answers import answer
from payments_client.pages import items, items_async
from payments_client.retries import RetryPolicy
from payments_client.transport import AsyncRetryingTransport, Attempts, RetryingTransport

T = TypeVar("T")
Step = httpx.Response | Exception
CREATED = {"id": "pay_1"}


@dataclass
class Api:
    """Answers from a script, in both worlds, and notes what it gets."""

    script: Iterator[Step]
    sent: list[httpx.Request] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        self.keys.append(request.headers.get("idempotency-key"))
        self.tokens.append(request.headers["authorization"])
        step = next(self.script)
        if isinstance(step, Exception):
            raise step
        return step


def run(work: Coroutine[Any, Any, T]) -> T:
    """Without an event loop, whose sockets unit tests may not open: nothing really waits here."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise AssertionError("it waits for something")


Send = Callable[..., httpx.Response]


def sync_send(api: Api, **options: Any) -> Send:
    policy, token = options.get("policy", RetryPolicy()), options.get("token", lambda: "tok")
    transport = RetryingTransport(httpx.MockTransport(api), token, policy, api.slept.append)
    client = httpx.Client(base_url="https://api.example", transport=transport)
    return client.request


def async_send(api: Api, **options: Any) -> Send:
    policy, token = options.get("policy", RetryPolicy()), options.get("token", lambda: "tok")

    async def sleep(seconds: float) -> None:
        api.slept.append(seconds)

    transport = AsyncRetryingTransport(httpx.MockTransport(api), token, policy, sleep)
    client = httpx.AsyncClient(base_url="https://api.example", transport=transport)
    return lambda *args, **kwargs: run(client.request(*args, **kwargs))


both = pytest.mark.parametrize("world", [sync_send, async_send], ids=["sync", "asyncio"])
World = Callable[..., Send]


def script(*steps: Step) -> Api:
    return Api(iter(steps))


def problem(status: int, code: str, **more: object) -> httpx.Response:
    body = {"code": code, "detail": "Details.", "request_id": "req_1", **more}
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"})


def created() -> httpx.Response:
    return httpx.Response(201, json=CREATED)


def lost(kind: type[httpx.TransportError] = httpx.ReadTimeout) -> httpx.TransportError:
    return kind("lost")


@both
def test_a_post_is_repeated_with_the_same_key_and_body(world: World) -> None:
    api = script(httpx.Response(502, text="oops"), lost(), problem(503, "unavailable"), created())
    reply = world(api)("POST", "/v1/payments", json={"amount": 1})
    assert reply.json() == CREATED
    assert len(api.sent) == 4
    assert len(set(api.keys)) == 1
    assert len(api.keys[0] or "") == 36
    assert {request.content for request in api.sent} == {b'{"amount":1}'}
    assert len(api.slept) == 3
    assert all(0 <= pause <= 2 for pause in api.slept)


@both
def test_a_key_of_the_caller_is_kept(world: World) -> None:
    api = script(lost(), created(), created())
    send = world(api)
    send("POST", "/v1/payments", json={}, headers={"Idempotency-Key": "order-1"})
    send("POST", "/v1/payments", json={"idempotency_key": "order-2"})
    assert api.keys == ["order-1", "order-1", None]


@both
def test_a_key_in_the_body_makes_it_safe_to_repeat(world: World) -> None:
    api = script(problem(409, "idempotency_in_flight"), lost(), created())
    assert world(api)("POST", "/v1/x", json={"idempotency_key": "k"}).status_code == 201
    assert api.keys == [None] * 3


@both
def test_retry_after_is_followed(world: World) -> None:
    refusal = httpx.Response(429, json={}, headers={"Retry-After": "3"})
    api = script(refusal, created())
    world(api)("POST", "/v1/payments", json={})
    assert 3 <= api.slept[0] <= 3.3


@both
def test_a_long_retry_after_is_left_to_the_caller(world: World) -> None:
    api = script(httpx.Response(429, json={}, headers={"Retry-After": "3600"}))
    with pytest.raises(errors.RateLimited):
        world(api)("GET", "/v1/payments")
    assert api.slept == []


@both
def test_attempts_are_limited(world: World) -> None:
    api = script(*(httpx.Response(500) for _ in range(9)))
    with pytest.raises(errors.ServerError):
        world(api, policy=RetryPolicy(max_attempts=3))("GET", "/v1/payments")
    assert len(api.sent) == 3


@both
def test_a_decline_is_final_and_carries_its_key(world: World) -> None:
    api = script(problem(402, "declined", decline_code="fraud", payment_id="pay_1"))
    with pytest.raises(errors.Declined) as raised:
        world(api)("POST", "/v1/payments", json={}, headers={"Idempotency-Key": "k"})
    assert (raised.value.decline_code, raised.value.idempotency_key) == ("fraud", "k")
    assert len(api.sent) == 1


@both
def test_an_expired_token_is_not_repeated(world: World) -> None:
    api = script(httpx.Response(401, text='{"message":"Unauthorized"}'))
    with pytest.raises(errors.AuthenticationError):
        world(api)("GET", "/v1/payments")
    assert len(api.sent) == 1


@both
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_change_without_a_key_is_repeated_only_if_it_was_never_sent(
    world: World, method: str
) -> None:
    with pytest.raises(errors.ConnectionFailed):
        world(script(lost()))(method, "/v1/customers/c")
    with pytest.raises(errors.ServerError):
        world(script(httpx.Response(503)))(method, "/v1/customers/c")
    api = script(lost(httpx.ConnectError), created())
    assert world(api)(method, "/v1/customers/c").status_code == 201


@both
def test_no_answer_is_an_error_with_the_key(world: World) -> None:
    api = script(*(lost() for _ in range(9)))
    with pytest.raises(errors.ConnectionFailed, match="after 6 attempts: ReadTimeout") as raised:
        world(api)("POST", "/v1/payments", json={}, headers={"Idempotency-Key": "k"})
    assert (raised.value.idempotency_key, raised.value.attempts) == ("k", 6)


@both
def test_each_attempt_asks_for_the_token(world: World) -> None:
    api, tokens = script(lost(), created()), iter(["one", "two"])
    world(api, token=lambda: next(tokens))("POST", "/v1/payments", json={})
    assert api.tokens == ["Bearer one", "Bearer two"]


@both
@pytest.mark.parametrize("token", ["", "se cret\n", "sécret"])
def test_a_token_that_cannot_be_sent_is_not_repeated_in_the_error(world: World, token: str) -> None:
    with pytest.raises(ValueError, match="The token is empty") as raised:
        world(script(), token=lambda: token)("GET", "/v1/payments")
    assert not token or token not in "".join(traceback.format_exception(raised.value))


@both
def test_a_redirect_is_an_error(world: World) -> None:
    api = script(httpx.Response(302, headers={"location": "https://elsewhere.example"}))
    with pytest.raises(errors.ApiError, match="302"):
        world(api)("GET", "/v1/payments")


def test_a_repetition_may_not_outlast_the_limit() -> None:
    timeout = {"connect": 5.0, "read": 35.0, "write": None}
    request = httpx.Request("GET", "https://a.example", extensions={"timeout": timeout})
    request.read()
    now = iter([0.0, 50.0])
    attempts = Attempts(request, RetryPolicy(), clock=lambda: next(now))
    attempts.begin("tok")
    assert request.extensions["timeout"] == timeout
    attempts.begin("tok")
    assert request.extensions["timeout"] == {"connect": 5.0, "read": 10.0, "write": 10.0}


@dataclass
class Listed:
    data: list[int]
    next_cursor: str | None


PAGES = {None: Listed([1, 2], "a"), "a": Listed([], "b"), "b": Listed([3], None)}


def test_items_reads_page_after_page_with_the_same_filters() -> None:
    asked: list[dict[str, Any]] = []

    def page(*, status: str, cursor: str | None = None) -> Listed | None:
        asked.append({"status": status, "cursor": cursor})
        return PAGES[cursor]

    assert list(items(page, status="failed")) == [1, 2, 3]
    assert asked == [{"status": "failed", "cursor": cursor} for cursor in PAGES]
    assert list(items(page, status="failed", cursor="b")) == [3]


def test_items_async_does_the_same() -> None:
    async def page(*, cursor: str | None = None) -> Listed | None:
        return PAGES[cursor]

    async def everything() -> list[int]:
        return [item async for item in items_async(page)]

    assert run(everything()) == [1, 2, 3]


def test_an_answer_is_never_none() -> None:
    assert answer(0) == 0
    with pytest.raises(errors.PaymentsError):
        answer(None)


@pytest.mark.parametrize(
    "address",
    ["https://api.example/", "http://localhost:4566/x", "http://127.0.0.1", "http://[::1]:1"],
)
def test_https_or_this_machine(address: str) -> None:
    assert addresses.checked_address(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "http://api.example",
        "https://user:pw@api.example",
        "api.example",
        "http://127.0.0.1.nip.io",
        "",
    ],
)
def test_an_address_that_would_reveal_the_token_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="base_url must"):
        addresses.checked_address(address)


def test_the_body_of_a_request_is_sent_as_it_was() -> None:
    api = script(created())
    body = {"amount": 1, "metadata": {"ü": "✓"}}
    sync_send(api)("POST", "/v1/payments", json=body)
    assert json.loads(api.sent[0].content) == body
