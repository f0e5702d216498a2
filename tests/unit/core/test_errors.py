"""The tree of errors as documented; translation of foreign errors; problem documents."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

import runtime
from local.docs import DOCS
from runtime.api.document.error_codes import catalogue
from runtime.core import errors
from runtime.core.errors import Declined, Locked, MethodNotAllowed, PlatformError, Unavailable
from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.errors import (
    TRANSIENT_ERRORS,
    TRANSIENT_REASONS,
    InvalidRequest,
    TransactionRefused,
)
from runtime.dynamodb.expressions import absent, put
from runtime.dynamodb.store import Store
from runtime.encryption.models import DataKey
from runtime.http.responses import STORED_TYPES, StoredAnswer, problem
from tests.support.fakes import client_error
from tests.support.outside import outside

CLASSES = {
    each.__name__: each
    for each in vars(errors).values()
    if isinstance(each, type)
    and issubclass(each, Exception)
    and each.__module__.startswith(f"{errors.__name__}.")
}


def drawn() -> dict[str, tuple[str, int]]:
    """Parent and status of each class, from the docstring."""
    tree: dict[str, tuple[str, int]] = {}
    parent, status = "PlatformError", 0
    for line in (errors.__doc__ or "").splitlines():
        branch = re.search(r"[├└]── (\w+) (\d{3})(.*)", line)
        more = re.match(r"    │? +· (.*)", line)
        rest = ""
        if branch:
            parent, status, rest = branch[1], int(branch[2]), branch[3].partition("─")[2]
            tree[parent] = ("PlatformError", status)
        elif more:
            rest = more[1]
        tree |= dict.fromkeys(re.findall(r"\b[A-Z]\w+", rest), (parent, status))
    return tree


def test_the_tree_in_the_docstring_matches_the_classes() -> None:
    platform = {name: c for name, c in CLASSES.items() if issubclass(c, PlatformError)}
    actual = {
        name: (each.__mro__[1].__name__, int(each.status))
        for name, each in platform.items()
        if each is not PlatformError
    }
    assert drawn() == actual


def test_internal_errors_are_documented_too() -> None:
    inner = {name for name, each in CLASSES.items() if not issubclass(each, PlatformError)}
    last = (errors.__doc__ or "").split("Internal; each is caught")[1].split("\n\n")[0]
    assert set(re.findall(r"\b[A-Z]\w+", last)) == inner


@pytest.mark.parametrize("name", [n for n, c in CLASSES.items() if issubclass(c, PlatformError)])
def test_codes_are_snake_case_and_titles_are_sentences(name: str) -> None:
    each: Any = CLASSES[name]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", each.code)
    assert each.title[0].isupper()
    assert isinstance(each.status, HTTPStatus)


def test_every_class_has_its_own_code() -> None:
    codes = [
        c.code
        for c in CLASSES.values()
        if issubclass(c, PlatformError) and c is not errors.Internal
    ]
    assert len(codes) == len(set(codes))


# ------------------------------------------------------------ problem documents


def document(error: PlatformError) -> dict[str, Any]:
    answer = problem(error, instance="/v1/x", request_id="req-1")
    assert answer.status == error.status
    assert answer.is_problem
    reported: dict[str, Any] = json.loads(answer.body)
    return reported


def test_a_problem_has_the_members_of_rfc_9457_and_ours() -> None:
    reported = document(errors.InvalidValue("amount: too small", param="amount"))
    assert reported == {
        "type": STORED_TYPES + "invalid_value",
        "title": "A value is not valid",
        "status": 422,
        "detail": "amount: too small",
        "instance": "/v1/x",
        "code": "invalid_value",
        "param": "amount",
        "request_id": "req-1",
    }


def test_a_decline_has_its_payment_and_its_code() -> None:
    reported = document(Declined("no", decline_code="generic_decline", payment_id="pay_1"))
    assert (reported["status"], reported["decline_code"], reported["payment_id"]) == (
        402,
        "generic_decline",
        "pay_1",
    )
    assert "param" not in reported


@pytest.mark.parametrize("kind", [errors.Internal, errors.IntegrityError])
def test_an_internal_error_has_no_detail(kind: type[PlatformError]) -> None:
    reported = document(kind("table t-payments is broken at line 7"))
    assert reported["status"] == 500
    assert "t-payments" not in json.dumps(reported)
    assert "req-1" in reported["detail"]


def test_unavailable_has_retry_after_and_a_success_is_not_a_problem() -> None:
    assert Unavailable("busy").retry_after_seconds
    assert MethodNotAllowed("x", allow=("GET",)).allow == ("GET",)
    assert not StoredAnswer(202, "{}").is_problem


# ------------------------------------------------------------ foreign errors


class Client:
    """A DynamoDB client that raises the given errors, in order, and then succeeds."""

    class exceptions:
        class TransactionCanceledException(ClientError):
            pass

    def __init__(self, *raises: Exception) -> None:
        self._raises = list(raises)
        self.requests: list[dict[str, Any]] = []

    def transact_write_items(self, **request: Any) -> None:
        self.requests.append(request)
        if self._raises:
            raise self._raises.pop(0)

    def get_item(self, **request: Any) -> dict[str, Any]:
        self.transact_write_items(**request)
        return {}


def canceled(*reasons: dict[str, Any]) -> ClientError:
    answer: Any = {
        "Error": {"Code": "TransactionCanceledException"},
        "CancellationReasons": list(reasons),
    }
    return Client.exceptions.TransactionCanceledException(answer, "TransactWriteItems")


def store(client: Client, seconds: float = 60.0) -> tuple[Store, list[float]]:
    slept: list[float] = []
    waiting = outside(sleep=slept.append)
    made = Store(client, {"keys": "t"}, Codec(NoCipher()), lambda: seconds, waiting)  # type: ignore[arg-type]
    return made, slept


ROW = DataKey(subject="s", key_id="k", wrapped="w", created_at="2026-01-01T00:00:00.000Z")
WRITE = put(ROW).when(absent("subject"))

TRANSIENT: list[Exception] = [
    *(client_error(code, "TransactWriteItems") for code in sorted(TRANSIENT_ERRORS)),
    *(canceled({"Code": "None"}, {"Code": code}) for code in sorted(TRANSIENT_REASONS)),
    canceled({"Code": "TransactionConflict"}, {"Code": "ThrottlingError"}),
    ReadTimeoutError(endpoint_url="x"),
    ConnectTimeoutError(endpoint_url="x"),
    ConnectionClosedError(endpoint_url="x"),
    EndpointConnectionError(endpoint_url="x"),
]


@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda e: f"{type(e).__name__}-{e}"[:60])
def test_a_transient_fault_is_retried_identically_under_the_same_token(
    fault: Exception,
) -> None:
    client = Client(fault, fault)
    made, slept = store(client)
    made.transact([WRITE], token="attempt")
    assert len(client.requests) == 3
    assert client.requests[0] == client.requests[1] == client.requests[2]
    assert client.requests[0]["ClientRequestToken"] == "attempt"
    assert len(slept) == 2
    assert all(0 <= seconds <= 1 for seconds in slept)


@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda e: f"{type(e).__name__}-{e}"[:60])
def test_a_lasting_fault_raises_unavailable_before_the_timeout(fault: Exception) -> None:
    made, slept = store(Client(fault), seconds=0.4)
    with pytest.raises(Unavailable, match="busy"):
        made.transact([WRITE], token="t")
    assert slept == []


@pytest.mark.parametrize(
    "fault",
    [
        client_error("AccessDeniedException", "TransactWriteItems"),
        client_error("IdempotentParameterMismatchException", "TransactWriteItems"),
        client_error("ResourceNotFoundException", "TransactWriteItems"),
        canceled({"Code": "ItemCollectionSizeLimitExceeded"}),
        canceled({"Code": "None"}),
        canceled(),
    ],
    ids=str,
)
def test_a_client_bug_is_raised_and_never_retried(fault: Exception) -> None:
    client = Client(fault)
    made, _ = store(client)
    with pytest.raises(ClientError) as raised:
        made.transact([WRITE], token="t")
    assert raised.value is fault
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        client_error("ValidationException", "TransactWriteItems"),
        canceled({"Code": "ValidationError"}, {"Code": "TransactionConflict"}),
    ],
    ids=str,
)
def test_an_invalid_request_has_its_own_error_and_is_never_retried(fault: Exception) -> None:
    client = Client(fault)
    made, _ = store(client)
    with pytest.raises(InvalidRequest) as raised:
        made.transact([WRITE], token="t")
    assert raised.value.__cause__ is fault
    assert len(client.requests) == 1


def test_a_failed_condition_has_its_writes_and_the_stored_items() -> None:
    item = {"subject": {"S": "s"}}
    fault = canceled(
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed", "Item": item},
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed"},
    )
    made, slept = store(Client(fault))
    with pytest.raises(TransactionRefused) as refused:
        made.transact([WRITE], token="t")
    assert refused.value.failed == {1: item, 3: {}}
    assert slept == []


@pytest.mark.parametrize("busy", sorted(TRANSIENT_REASONS))
def test_a_failed_condition_beside_an_unevaluated_item_is_retried(busy: str) -> None:
    item = {"subject": {"S": "s"}}
    mixed = canceled({"Code": busy}, {"Code": "ConditionalCheckFailed", "Item": item})
    verdict = canceled({"Code": "ConditionalCheckFailed"}, {"Code": "None"})
    client = Client(mixed, mixed, verdict)
    made, slept = store(client)
    with pytest.raises(TransactionRefused) as refused:
        made.transact([WRITE], token="t")
    assert refused.value.failed == {0: {}}, "the last answer decides"
    assert client.requests[0] == client.requests[1] == client.requests[2]
    assert len(slept) == 2
    made, _ = store(Client(mixed), seconds=0.4)
    with pytest.raises(Unavailable, match=busy):
        made.transact([WRITE], token="t")


def test_a_decisive_failed_condition_is_final_whatever_else_is_in_conflict() -> None:
    mixed = canceled({"Code": "ConditionalCheckFailed"}, {"Code": "TransactionConflict"})
    made, slept = store(Client(mixed, mixed))
    with pytest.raises(TransactionRefused) as refused:
        made.transact([WRITE], token="t", decisive=(0,))
    assert refused.value.failed == {0: {}}
    assert slept == []
    made.transact([WRITE], token="t", decisive=(1,))
    assert len(slept) == 1


@pytest.mark.parametrize(
    "fault", [e for e in TRANSIENT if "Cancel" not in type(e).__name__], ids=str
)
def test_reads_are_retried_too(fault: Exception) -> None:
    client = Client(fault)
    made, _ = store(client)
    assert made.get(DataKey, {"subject": "s", "key_id": "k"}, DataKey, UNRESTRICTED) is None
    assert len(client.requests) == 2


def test_pauses_grow_and_stay_below_a_second() -> None:
    faults = [client_error("ThrottlingException", "x")] * 40
    client = Client(*faults)
    made, slept = store(client)
    made.transact([WRITE], token="t")
    assert len(slept) == 40
    assert max(slept[:2]) <= 0.05
    assert max(slept) <= 1.0
    assert len(set(slept)) > 30, "full jitter"


def test_more_items_than_dynamodb_allows_is_a_bug() -> None:
    made, _ = store(Client())
    with pytest.raises(AssertionError, match="101 writes"):
        made.transact([WRITE] * 101, token="t")
    with pytest.raises(AssertionError, match="0 writes"):
        made.transact([], token="t")


def test_a_store_counts_its_calls_items_and_retries() -> None:
    made, _ = store(Client(TRANSIENT[0], TRANSIENT[0]))
    made.transact([WRITE, WRITE], token="t")
    assert made.usage.counts() == {"round_trips": 3, "items": 2, "retries": 2}
    made.usage.restart()
    assert made.get(DataKey, {"subject": "s", "key_id": "k"}, DataKey, UNRESTRICTED) is None
    assert made.usage.counts() == {"round_trips": 1, "items": 0, "retries": 0}


def test_every_error_that_callers_see_is_in_the_tree() -> None:
    """A subclass elsewhere would have a code that docs/errors.md and the document lack."""
    for module in pkgutil.walk_packages(runtime.__path__, "runtime."):
        if not module.name.startswith("runtime.functions."):
            importlib.import_module(module.name)
    assert {each.code for each in subclasses()} == set(catalogue())


def subclasses(parent: type[PlatformError] = PlatformError) -> Iterator[type[PlatformError]]:
    yield parent
    for each in parent.__subclasses__():
        yield from subclasses(each)


@pytest.mark.parametrize(("code", "error"), catalogue().items())
def test_every_code_has_its_own_advice(code: str, error: type[PlatformError]) -> None:
    assert "advice" in vars(error), f"Give {error.__name__} `retry` and `advice`."
    assert "retry" in vars(error)
    assert error.advice.endswith(".")
    assert f"\n## {code}\n" in (DOCS / "errors.md").read_text("utf-8"), (
        "Run `python -m local.docs`."
    )


def test_a_lock_says_until_when_it_lasts_and_how_it_is_ended() -> None:
    locked = Locked(
        "Customer cus_1",
        until="2026-03-14T09:30:00.000Z",
        at="2026-03-14T09:00:00.500Z",
        unlock="/v1/customers/cus_1/unlock",
        param="customer_id",
    )
    assert locked.retry_after_seconds == 1800
    assert locked.detail == (
        "Customer cus_1 is locked until 2026-03-14T09:30:00.000Z after too many failed attempts; "
        "send the request again then, or unlock it before with POST /v1/customers/cus_1/unlock"
    )
