"""Every example of the OpenAPI document is sent to the deployed stage, and answered as it shows."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from local.api_client import TIMEOUT_SECONDS
from local.schedules import tick
from runtime.api.document.examples import examples_of
from runtime.api.endpoints import ENDPOINTS
from simulation.api_examples.book import Book
from simulation.api_examples.recording import STEPS
from simulation.partners.receivers import Endpoints
from simulation.platform.http import HttpRequest, HttpResponse
from tests.e2e.conftest import Deployment
from tests.support.processors.localstripe import stand_in_for_stripe
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.webhooks.receiver import Receiver

pytestmark = [
    pytest.mark.emulator("it stands in for Stripe, and its endpoints are on this machine"),
    pytest.mark.deep,
]

POLL_SECONDS: Final = 0.5
FEWEST: Final = 3
"""A step takes at most so many entries from a list."""
_ID: Final = re.compile(r"[a-z]{2,4}_[0-9A-HJKMNP-TV-Z]{26}")
EXAMPLES: Final = {
    (operation, example.key): example
    for operation in (endpoint.operation for endpoint in ENDPOINTS)
    for example in examples_of(operation)
}


class StageBook(Book):
    """The examples' requests, sent to a stage. What is read late is read until it is there."""

    def __init__(self, deployment: Deployment, receiver: Receiver) -> None:
        super().__init__(platform=None)  # type: ignore[arg-type] # every use of it is replaced
        self.deployment, self.receiver = deployment, receiver
        self.run = uuid4().hex
        self.differing: list[str] = []
        self.recorded: Any = None

    def example(self, operation: str, title: str, **asked: Any) -> Any:
        self.recorded = next(
            each for (of, _), each in EXAMPLES.items() if of == operation and each.title == title
        )
        answered = super().example(operation, title, **asked)
        differs = difference(self.recorded.answer, self.requests[-1]["answer"], "")
        if differs is not None:
            self.differing.append(f"{operation}, {title}: {differs}")
        self.recorded = None
        return answered

    def ask(self, request: HttpRequest) -> HttpResponse:
        """A GET is repeated until it has the recorded form: lists and streams may lag."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self._answer(request)
            if request.method != "GET" or self.recorded is None or time.monotonic() > deadline:
                return answer
            if answer.status == self.recorded.status and (
                self.recorded.answer is None
                or difference(self.recorded.answer, answer.body, "") is None
            ):
                return answer
            time.sleep(POLL_SECONDS)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        headers = dict(request.headers)
        if "idempotency-key" in headers:  # another run on this stage has used the recorded one
            headers["idempotency-key"] += f"-{self.run}"
        if request.credential is not None:
            headers["authorization"] = f"Bearer {self._bearer(request.credential)}"
        content = request.raw
        if content is None and request.body is not None:
            headers["content-type"] = "application/json"
            content = json.dumps(self._reachable(request.body)).encode()
        answer = httpx.request(
            request.method,
            f"{self.deployment.stack.api_url}{request.path}",
            params=dict(request.query) | self._later(request),
            headers=headers,
            content=content,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
        named = {"Content-Type": answer.headers.get("content-type", "")}
        is_json = "json" in named["Content-Type"] and answer.text
        body = answer.json() if is_json else answer.text
        return HttpResponse(answer.status_code, body, named, answer.text)

    def _bearer(self, credential: Mapping[str, str]) -> str:
        permissions = credential["permissions"].split()
        return self.deployment.bearer(credential.get("merchant_id") or None, *permissions)

    def _reachable(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Endpoints of the simulation are this test's."""
        own = {"corner": self.receiver.url, "corner-refunds": f"{self.receiver.url}&refunds"}
        urls = {Endpoints.url_of(name): url for name, url in own.items()}
        return {k: urls.get(v, v) if isinstance(v, str) else v for k, v in body.items()}

    @staticmethod
    def _later(request: HttpRequest) -> dict[str, str]:
        """The examples were recorded at a time at which nothing of this stage existed."""
        if "at" not in request.query:
            return {}
        return {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}

    def upload(self, link: str, content: bytes) -> None:
        assert urlsplit(link).scheme in ("http", "https")
        httpx.put(link, content=content, timeout=TIMEOUT_SECONDS).raise_for_status()

    def open_stripe_account(self, api_key: str) -> None:
        """The stand-in for Stripe takes any test key."""

    def prove(self) -> None:
        tick(self.deployment.stack, "proof")

    def sleep(self, seconds: float) -> None:
        """What is late is asked for again."""

    def wait(self, seconds: float = 0.0) -> None:
        """As `sleep`."""

    def now_seconds(self) -> int:
        return int(time.time())


def difference(recorded: Any, answered: Any, at: str) -> str | None:
    """Where the answer has another form than the recorded one; None: nowhere.

    Numbers, texts and ids differ, and what is null in one may have a value in the other. Each entry
    of a list has the form of a recorded one. Lists may be shorter: how many alerts there are, for
    example, depends on how fast payments follow each other.
    """
    if recorded is None or answered is None:
        return None
    if isinstance(recorded, dict) and isinstance(answered, dict):
        recorded, answered = _in_order_of_ids(recorded), _in_order_of_ids(answered)
        if set(recorded) != set(answered):
            return f"{at}: {sorted(set(recorded) ^ set(answered))} are in one of both"
        found = (difference(recorded[name], answered[name], f"{at}.{name}") for name in recorded)
        return next((each for each in found if each is not None), None)
    if isinstance(recorded, list) and isinstance(answered, list):
        if len(answered) < min(len(recorded), FEWEST):
            return f"{at}: {len(answered)} entries instead of {len(recorded)}"
        for number, entry in enumerate(answered):
            found = [difference(each, entry, f"{at}[{number}]") for each in recorded]
            if found and None not in found:
                return found[0]
        return None
    if type(recorded) is not type(answered):
        return f"{at}: {type(answered).__name__} instead of {type(recorded).__name__}"
    return None


def _in_order_of_ids(members: Mapping[str, Any]) -> dict[str, Any]:
    """Members that are named by ids, by their order instead: ids are made in order of time."""
    ids = sorted(name for name in members if _ID.fullmatch(name))
    order = {name: f"{name.partition('_')[0]}_{number}" for number, name in enumerate(ids)}
    return {order.get(name, name): value for name, value in members.items()}


@pytest.fixture
def book(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageBook]:
    log = tmp_path_factory.mktemp("localstripe") / "log"
    with (
        stand_in_for_stripe(log, deployment.stripe_port),
        Receiver().running() as receiver,
    ):
        yield StageBook(deployment, receiver)


def test_every_example_is_answered_as_the_document_shows(book: StageBook) -> None:
    for step in STEPS:
        step(book)
    sent = {(each["operation"], each["key"]) for each in book.requests}
    assert sent == set(EXAMPLES)
    assert book.differing == []
