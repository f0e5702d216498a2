"""The platform's transfer as a whole request: the process function on API Gateway's event."""

from __future__ import annotations

import uuid

from benchmarks.requests.request_cpu import HEADERS, answer_to, forget_services
from benchmarks.rivals.ways.service import PATH, PlatformWay
from benchmarks.rivals.worker import GaveUp, Transfer
from runtime.functions.composition.process_services import process_services
from tests.support.http import OPERATOR, http_event, token_of


class RequestWay(PlatformWay):
    """With parsing, permissions, the card scan, the answer's JSON and the log line."""

    def connect(self) -> Transfer:
        """New services, built before the processes are forked."""
        forget_services()
        process_services()
        merchant = token_of(self.merchant)

        def transfer(source: int, target: int | None, _: GaveUp) -> int:
            headers = {**HEADERS, "idempotency-key": uuid.uuid4().hex}
            body, caller = self.body(source, target), merchant
            if target is None:  # only operators transfer into a hot account
                body, caller = {**body, "merchant_id": self.merchant}, OPERATOR
            event = http_event("POST", PATH, body, headers=headers, authorizer=caller)
            answer = answer_to(event)
            if answer["statusCode"] != 201:
                raise RuntimeError(answer["body"])
            return 1

        return transfer


def way(url: str, accounts: int) -> RequestWay:
    """Transfers by requests."""
    return RequestWay(url, accounts)
