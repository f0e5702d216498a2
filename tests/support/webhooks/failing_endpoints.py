"""Endpoints, secrets and answers of failing endpoints."""

from __future__ import annotations

import base64

from runtime.webhooks.http_sender import Reply, WebhookHttp
from tests.support.webhooks.deliveries import FakeHttp

URL, DEAD = "https://hooks.example/in", "https://dead.example/in"
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
LOCAL = WebhookHttp(allow_local=True, total_seconds=2.0)


def failing(*statuses: int | None) -> FakeHttp:
    """Answers with these, one after the other, and then with 200."""
    left = list(statuses)
    return FakeHttp(lambda _: Reply(status=left.pop(0) if left else 200))
