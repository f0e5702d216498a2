"""One merchant's Stripe connector, used by as many threads as the resolver has."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from runtime.payments.processors.port import ChargeRequest
from runtime.payments.processors.stripe.connector import StripeProcessor, stripe_config
from runtime.payments.rules import Approved
from runtime.settings import RESOLVER_WORKERS
from tests.support.processors.stripe_shapes import balance_transaction, charge, intent

AT = datetime(2026, 1, 1, tzinfo=UTC)
ASKED = 200


class Stripe(BaseHTTPRequestHandler):
    """Finds every reference, and returns its charge; each answer takes a while."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        time.sleep(0.01)
        if url.path.endswith("/search"):
            reference = parse_qs(url.query)["query"][0].split("'")[3]
            found = intent(id=f"pi_{reference}")
            self._answer({"object": "search_result", "data": [found], "has_more": False})
        else:
            name = url.path.rpartition("/")[2]
            taken = charge(balance_transaction(1000, 59))
            self._answer(intent(id=name, amount_received=1000, latest_charge=taken))

    def _answer(self, shape: dict[str, Any]) -> None:
        body = json.dumps(shape).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = ASKED
    """Connections of all threads wait here on a busy machine; a full queue drops them."""


@pytest.fixture
def api_base() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Stripe)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_each_thread_gets_the_answer_about_its_own_reference(
    api_base: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    connector = StripeProcessor.of(stripe_config({"api_key": "sk_test_x"}), api_base, 10)

    def ask(number: int) -> tuple[str, object]:
        reference = f"pay{number}"
        answer = connector.find(ChargeRequest(reference, 1000, "USD", "pm_card_visa", AT))
        assert isinstance(answer, Approved)
        return reference, answer.processor_id

    with ThreadPoolExecutor(RESOLVER_WORKERS) as pool:
        answers = list(pool.map(ask, range(ASKED)))
    assert answers == [(f"pay{n}", f"pi_pay{n}") for n in range(ASKED)]
    assert [each.getMessage() for each in caplog.records if "urllib3" in each.name] == []
