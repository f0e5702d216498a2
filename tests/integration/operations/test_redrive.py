"""Failed batches are projected after all, and nothing is deleted before it was processed."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from local.errors import LocalError
from local.progress import Progress
from operations.redrive import (
    LIVE,
    MAX_PAYLOAD_BYTES,
    RedriveReport,
    Target,
    list_batches,
    redrive,
    require_nothing_left,
)
from runtime.alerts.models import Alert
from runtime.alerts.repository import AlertRepository
from runtime.compliance.projection import RuleProjection
from runtime.compliance.rules import large_payment
from runtime.core.timestamps import to_timestamp
from runtime.functions.composition.projector import Projector
from runtime.payments.models import Payment
from runtime.streams.dead_letters import PARKED_PREFIX, FailedBatches
from runtime.streams.records import Change, StreamRecord, batch_answer
from tests.support.engines.choice import CHOSEN, engine_named
from tests.support.engines.engine import Engine
from tests.support.engines.streams import SourceSettings, StreamPoller
from tests.support.fakes import START
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform

FUNCTION = "payments-project"
GIVES_UP = SourceSettings(batch_size=10, max_retries=1, bisect_on_error=True)


@dataclass
class InProcess:
    """Lambda's Invoke, with handlers of this process for functions."""

    handlers: Mapping[str, Callable[[dict[str, Any], Any], Any]]
    payloads: list[int] = field(default_factory=list)

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> dict[str, Any]:
        assert Qualifier == LIVE
        self.payloads.append(len(Payload))
        assert len(Payload) <= MAX_PAYLOAD_BYTES
        try:
            answer = self.handlers[FunctionName](json.loads(Payload), None)
        except Exception as error:  # noqa: BLE001 - Lambda takes any for a failure
            said = {"errorMessage": str(error), "errorType": type(error).__name__}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(said).encode())}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class Stand:
    """Payments with a stream, a projector that can be broken, and a bucket for what it fails at."""

    def __init__(self, engine: Engine, s3: Any) -> None:
        self.platform = Platform(engine, streams=True)
        self.s3 = s3
        self.bucket = f"failed-{uuid.uuid4().hex[:12]}"
        s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.breaks: Callable[[Payment], bool] = lambda _: False
        self.lambdas = InProcess({FUNCTION: self.handler})
        alerts = AlertRepository(self.platform.store)
        large = partial(large_payment, threshold_minor=1_000)
        rule = RuleProjection(large, alerts, self.platform.outside.threads)
        self.projector = Projector(
            self.platform.store.codec,
            {"payments": (self._break, rule)},
            lambda _: False,
            FailedBatches(s3, self.bucket),
        )

    def _break(self, changes: list[Change]) -> frozenset[str]:  # type: ignore[override]
        return frozenset(c.sequence_number for c in changes if c.new and self.breaks(c.new))

    def handler(self, event: dict[str, Any], _context: Any) -> dict[str, Any]:
        names = {physical: name for name, physical in self.platform.tables.items()}
        records = [StreamRecord.of(raw, names) for raw in event["Records"]]
        return batch_answer(records, self.projector.apply(records))

    def pay(self, count: int) -> list[str]:
        ids = []
        for number in range(count):
            at = START + timedelta(seconds=number)
            payment = Payment(
                id=new_id("pay", at),
                status="succeeded",  # type: ignore[arg-type]
                amount=1_000 + number,
                currency="USD",
                payment_method="tok_approved",
                processor="sandbox",
                created_at=to_timestamp(at),
                updated_at=to_timestamp(at),
                merchant_id="mer_1",
                **SETUP.stamp(),
            )
            self.platform.put(payment)
            ids.append(payment.id)
        return ids

    def give_up(self, **options: Any) -> StreamPoller:
        """Run the streams until quiet; failed batches are stored where Lambda puts them."""
        table = self.platform.tables["payments"]
        poller = StreamPoller(
            self.platform.engine, [table], self.handler, settings=GIVES_UP, **options
        )
        poller.drain()
        for number, document in enumerate(poller.sink):
            self.put(f"aws/lambda/mapping/{number:04}-{uuid.uuid4()}", document)
        return poller

    def put(self, key: str, document: Any) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps(document).encode())

    @property
    def target(self) -> Target:
        return Target(
            bucket=self.bucket,
            functions={"project": FUNCTION},
            tables=self.platform.tables,
            files=self.s3,
            invoker=self.lambdas,  # type: ignore[arg-type]
        )

    def redrive(self) -> RedriveReport:
        return redrive(self.target, Progress())

    def keys(self) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [each["Key"] for each in listed]

    def reported(self) -> list[str]:
        return sorted(row.entity_id for row in self.platform.rows(Alert))


@pytest.fixture(params=CHOSEN)
def stand(request: pytest.FixtureRequest, ministack_engine: Engine) -> Iterator[Stand]:
    stand = Stand(engine_named(request.param, request), ministack_engine.client("s3"))
    yield stand
    stand.platform.drop()


def test_failed_batches_are_projected_once_the_cause_is_fixed_and_the_bucket_is_emptied(
    stand: Stand,
) -> None:
    ids = stand.pay(40)
    stand.breaks = lambda payment: payment.amount % 4 == 0
    poller = stand.give_up(seed="given-up")
    assert len(poller.sink) >= 10
    lines = list(list_batches(stand.target))
    assert len(lines) == len(poller.sink) == len(stand.keys())
    assert all("RetryAttemptsExhausted" in line for line in lines)
    assert stand.lambdas.payloads == [], "listing invokes nothing"
    stand.breaks = lambda _: False
    report = stand.redrive()
    assert (report.taken, report.remaining) == (len(lines), {})
    require_nothing_left(report, Progress())
    assert stand.keys() == []
    assert stand.reported() == sorted(ids)
    assert stand.redrive() == RedriveReport(0, {})


def test_batches_that_still_fail_stay_with_their_reason_and_the_others_are_removed(
    stand: Stand,
) -> None:
    ids = stand.pay(20)
    stand.breaks = lambda payment: payment.amount in (1_003, 1_011)
    stand.give_up(seed="stays")
    before = stand.keys()
    stand.breaks = lambda payment: payment.amount == 1_003
    report = stand.redrive()
    ((key, why),) = report.remaining.items()
    assert stand.keys() == [key]
    assert "did not process the record" in why
    assert report.taken == len(before) - 1
    with pytest.raises(LocalError, match="1 remain") as left:
        require_nothing_left(report, Progress())
    assert key in left.value.message
    stand.breaks = lambda _: False
    assert stand.redrive().remaining == {}
    assert stand.reported() == sorted(ids)


def test_a_failing_function_leaves_everything_and_a_second_run_finishes(stand: Stand) -> None:
    ids = stand.pay(6)
    stand.breaks = lambda _: True
    stand.give_up(seed="function")
    given_up = stand.keys()

    def crashes(_event: dict[str, Any], _context: Any) -> Any:
        raise RuntimeError("out of memory")

    stand.breaks = lambda _: False
    stand.lambdas = InProcess({FUNCTION: crashes})
    report = stand.redrive()
    assert report.taken == 0
    assert set(report.remaining) == set(given_up) == set(stand.keys())
    assert all("out of memory" in why for why in report.remaining.values())
    stand.lambdas = InProcess({FUNCTION: lambda *_: None})
    assert set(stand.redrive().remaining) == set(given_up), "without an answer the batch stays"
    stand.lambdas = InProcess({FUNCTION: stand.handler})
    assert stand.redrive().remaining == {}
    assert stand.reported() == sorted(ids)


def test_a_run_stopped_anywhere_loses_nothing(stand: Stand) -> None:
    ids = stand.pay(8)
    stand.breaks = lambda _: True
    stand.give_up(seed="stopped")
    stand.breaks = lambda _: False
    for invocations in (0, 1, 2):
        calls = iter(range(invocations))

        def stopped(event: dict[str, Any], context: Any, calls: Any = calls) -> Any:
            answer = stand.handler(event, context)
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return answer

        stand.lambdas = InProcess({FUNCTION: stopped})
        with pytest.raises(KeyboardInterrupt):
            stand.redrive()
        assert stand.keys() != []
    stand.lambdas = InProcess({FUNCTION: stand.handler})
    assert stand.redrive().remaining == {}
    assert stand.reported() == sorted(ids)


def test_a_parked_record_that_still_cannot_be_read_is_parked_again(
    stand: Stand,
) -> None:
    table, key = stand.platform.tables["payments"], {"id": {"S": "pay_1"}}
    stand.platform.client.put_item(TableName=table, Item={**key, "amount": {"S": "much"}})
    poller = stand.give_up(seed="parked")
    assert poller.sink == []
    (parked,) = stand.keys()
    assert parked.startswith(f"{PARKED_PREFIX}payments/")
    (line,) = list_batches(stand.target)
    assert "not a row of its table" in line
    report = stand.redrive()
    assert list(report.remaining) == stand.keys() == [parked]
    assert "parked again" in report.remaining[parked]


def test_other_objects_are_left_in_place(stand: Stand) -> None:
    foreign = {"dynamodb": {"SequenceNumber": "1"}, "eventSourceARN": "arn:x:table/other/stream/y"}
    audit = {
        **foreign,
        "eventSourceARN": f"arn:x:table/{stand.platform.tables['audit_log']}/stream/y",
    }
    stand.s3.put_object(Bucket=stand.bucket, Key="a-text", Body=b"not JSON")
    stand.put("b-pointer", {"requestContext": {}})
    stand.put("c-nothing", {"payload": json.dumps({"Records": []})})
    stand.put("d-foreign", {"payload": json.dumps({"Records": [foreign]})})
    stand.put("e-audit", {"payload": json.dumps({"Records": [audit]})})
    report = stand.redrive()
    assert report.taken == 0
    assert sorted(report.remaining) == stand.keys()
    reasons = [report.remaining[key] for key in sorted(report.remaining)]
    for reason, words in zip(
        reasons,
        (
            "not a failed batch",
            "not a failed batch",
            "no records",
            "does not belong to this stage",
            "'archive'",
        ),
        strict=True,
    ):
        assert words in reason
    assert stand.lambdas.payloads == []


def test_audit_records_go_to_the_archive_in_invocations_of_lambdas_size(
    stand: Stand,
) -> None:
    arn = f"arn:aws:dynamodb:eu-west-1:1:table/{stand.platform.tables['audit_log']}/stream/x"
    records = [
        {
            "eventSourceARN": arn,
            "dynamodb": {"SequenceNumber": str(n), "NewImage": {"text": {"S": "é" * 150_000}}},
        }
        for n in range(60)
    ]
    stand.put("aws/lambda/large", {"payload": json.dumps({"Records": records})})
    seen: list[int] = []

    def archive(event: dict[str, Any], _context: Any) -> Any:
        seen.extend(int(record["dynamodb"]["SequenceNumber"]) for record in event["Records"])
        assert all(record in records for record in event["Records"])
        return {"batchItemFailures": []}

    stand.lambdas = InProcess({"payments-archive": archive})
    target = stand.target
    target = Target(
        bucket=target.bucket,
        functions={**target.functions, "archive": "payments-archive"},
        tables=target.tables,
        files=target.files,
        invoker=target.invoker,
    )
    assert redrive(target, Progress()) == RedriveReport(1, {})
    assert seen == list(range(60)), "exactly these, in their order"
    assert len(stand.lambdas.payloads) == 3
