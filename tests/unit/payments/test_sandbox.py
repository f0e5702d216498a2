"""The sandbox processor: the behaviour of each token, once per reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.core.errors import InvalidValue, ProcessorUnknown
from runtime.payments.models import DisputeStatus
from runtime.payments.processors.events import EventKind, RefundOutcome
from runtime.payments.processors.port import ChargeRequest, OperationRequest
from runtime.payments.processors.sandbox.connector import BEHAVIOURS, SLOW_SECONDS, SandboxProcessor
from runtime.payments.processors.sandbox.events import SIGNATURE_HEADER, sign_sandbox_event
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import RETURNED, Effect
from runtime.payments.rules import Approved, Refused
from runtime.payments.transaction_models import TransactionType
from tests.support.outside import outside


class Memory:
    """A dictionary; the limits of a charge are tested on the engines (tests/integration)."""

    def __init__(self) -> None:
        self.rows: dict[str, SandboxCharge] = {}
        self.refuses = False
        self.effects: list[Effect] = []

    def remember(self, charge: SandboxCharge, *, token: str) -> SandboxCharge:
        assert len(token) <= 36
        return self.rows.setdefault(charge.reference, charge)

    def operate(
        self, operation: SandboxCharge, effect: Effect, *, token: str
    ) -> SandboxCharge | None:
        assert len(token) <= 36
        known = self.rows.get(operation.reference)
        if known is not None or self.refuses:
            return known
        self.effects.append(effect)
        return self.rows.setdefault(operation.reference, operation)

    def recall(self, reference: str) -> SandboxCharge | None:
        return self.rows.get(reference)

    def store_dispute(
        self, before: SandboxCharge | None, after: SandboxCharge, *, token: str
    ) -> bool:
        assert len(token) <= 36
        assert self.rows.get(after.reference) == before
        self.rows[after.reference] = after
        return True

    def return_refund(
        self, refund: SandboxCharge, event_id: str, changed_at: str, *, token: str
    ) -> None:
        assert len(token) <= 36
        self.rows[refund.reference] = refund.model_copy(
            update={
                "state": RETURNED,
                "event_id": event_id,
                "changed_at": changed_at,
                "changed_account": refund.account,
            }
        )

    def changed(self, account: str, since: str) -> Iterator[str]:
        for row in self.rows.values():
            if row.changed_account == account and (row.changed_at or "") >= since:
                yield row.reference


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def sandbox(memory: Memory, slept: list[float]) -> SandboxProcessor:
    return SandboxProcessor(memory, 290, 30, outside(sleep=slept.append))


AT = datetime(2026, 1, 1, tzinfo=UTC)


def request(
    token: str, reference: str = "pay_1", amount: int = 1000, *, capture: bool = True
) -> ChargeRequest:
    return ChargeRequest(reference, amount, "USD", token, AT, capture)


def operation(
    kind: TransactionType, reference: str = "txn_1", amount: int = 400, *, final: bool = True
) -> OperationRequest:
    return OperationRequest(kind, reference, "pay_1", "sbx_1", amount, "USD", AT, final)


@pytest.mark.parametrize("token", ["tok_approved", "tok_slow", "tok_refund_fails"])
def test_approving_tokens_are_charged_with_the_fee(
    sandbox: SandboxProcessor, slept: list[float], token: str
) -> None:
    answer = sandbox.charge(request(token))
    assert isinstance(answer, Approved)
    assert answer.fee_minor == 59
    assert slept == [SLOW_SECONDS if token == "tok_slow" else 0.0]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "generic_decline"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
        ("tok_fraud", "fraudulent"),
    ],
)
def test_declining_tokens_are_refused_with_their_code(
    sandbox: SandboxProcessor, memory: Memory, token: str, code: str
) -> None:
    answer = sandbox.charge(request(token))
    assert isinstance(answer, Refused)
    assert answer.decline_code == code
    assert memory.rows["pay_1"].fee == 0


@pytest.mark.parametrize("token", ["tok_timeout", "tok_error"])
def test_a_charge_with_a_lost_answer_is_found_by_its_reference(
    sandbox: SandboxProcessor, token: str
) -> None:
    with pytest.raises(ProcessorUnknown):
        sandbox.charge(request(token))
    assert isinstance(sandbox.find(request(token)), Approved)


def test_a_request_that_never_arrived_is_not_found_and_can_be_forbidden(
    sandbox: SandboxProcessor,
) -> None:
    lost = request("tok_timeout_not_charged")
    with pytest.raises(ProcessorUnknown):
        sandbox.charge(lost)
    assert sandbox.find(lost) is None
    assert sandbox.forbid(lost) is None
    late = sandbox.charge(request("tok_approved"))
    assert isinstance(late, Refused), "a forbidden reference is never charged"
    assert sandbox.forbid(lost) is None
    assert sandbox.find(lost) is None, "a repeated query gets the same answer"


def test_forbidding_a_charged_reference_reports_the_charge(
    sandbox: SandboxProcessor,
) -> None:
    charged = sandbox.charge(request("tok_approved"))
    assert sandbox.forbid(request("tok_approved")) == charged


@pytest.mark.parametrize("token", [t for t, b in BEHAVIOURS.items() if b.answer_arrives])
def test_a_reference_always_gets_the_same_answer(
    sandbox: SandboxProcessor, memory: Memory, token: str
) -> None:
    first = sandbox.charge(request(token))
    assert sandbox.charge(request(token)) == first
    assert sandbox.charge(request("tok_approved", amount=5)) == first
    assert sandbox.find(request(token)) == first
    assert len(memory.rows) == 1


def test_different_references_are_different_charges(
    sandbox: SandboxProcessor, memory: Memory
) -> None:
    one, other = (sandbox.charge(request("tok_approved", r)) for r in ("pay_1", "pay_2"))
    assert one.processor_id != other.processor_id
    assert len(memory.rows) == 2


def test_an_unknown_token_is_refused_before_anything_happens(
    sandbox: SandboxProcessor,
) -> None:
    with pytest.raises(InvalidValue) as refused:
        sandbox.check_method("tok_nothing")
    assert refused.value.param == "payment_method"
    for token in BEHAVIOURS:
        sandbox.check_method(token)


def test_an_authorization_has_no_fee_and_can_be_captured_in_full(
    sandbox: SandboxProcessor, memory: Memory
) -> None:
    answer = sandbox.charge(request("tok_approved", capture=False))
    assert isinstance(answer, Approved)
    assert answer.fee_minor == 0
    row = memory.rows["pay_1"]
    assert (row.state, row.capturable, row.refundable) == ("authorized", 1000, 0)
    sandbox.charge(request("tok_approved", "pay_2"))
    row = memory.rows["pay_2"]
    assert (row.state, row.capturable, row.refundable) == ("approved", 0, 1000)


@pytest.mark.parametrize(
    ("kind", "final", "effect", "fee"),
    [
        (TransactionType.CAPTURE, True, "final_capture", 42),
        (TransactionType.CAPTURE, False, "capture", 42),
        (TransactionType.REFUND, True, "refund", 0),
        (TransactionType.VOID, True, "void", 0),
    ],
)
def test_an_operation_is_done_once_per_reference_and_only_captures_have_a_fee(
    sandbox: SandboxProcessor,
    memory: Memory,
    kind: TransactionType,
    final: bool,
    effect: str,
    fee: int,
) -> None:
    asked = operation(kind, final=final)
    assert sandbox.find_operation(asked) is None
    first = sandbox.operate(asked)
    assert isinstance(first, Approved)
    assert first.fee_minor == fee
    assert sandbox.operate(asked) == sandbox.find_operation(asked) == first
    assert memory.effects == [effect]
    row = memory.rows["txn_1"]
    assert (row.kind, row.charge, row.amount) == (kind.value, "pay_1", 400)


@pytest.mark.parametrize("kind", ["capture", "refund", "void"])
def test_an_operation_that_its_charge_does_not_allow_is_always_refused(
    sandbox: SandboxProcessor, memory: Memory, kind: str
) -> None:
    memory.refuses = True
    asked = operation(TransactionType(kind))
    first = sandbox.operate(asked)
    assert isinstance(first, Refused)
    assert first.decline_code == f"{kind}_refused"
    assert not first.is_retriable
    memory.refuses = False
    assert sandbox.operate(asked) == sandbox.find_operation(asked) == first
    assert memory.effects == []


def test_the_sandbox_captures_in_parts(sandbox: SandboxProcessor) -> None:
    assert sandbox.captures_in_parts


SECRET = "a secret of the sandbox"


def tell(sandbox: SandboxProcessor, type_: str, **members: Any) -> EventKind:
    """A notification signed with the account's secret; the kind of hint it is."""
    news = {"id": f"evt_{type_}", "type": type_, "created": int(AT.timestamp()), **members}
    body = json.dumps(news).encode()
    signature = sign_sandbox_event(body, SECRET, int(AT.timestamp()))
    return sandbox.read_event({SIGNATURE_HEADER: signature}, body, AT).kind


def account(memory: Memory, name: str = "mer_1") -> SandboxProcessor:
    secret = {"webhook_secret": SECRET}
    return SandboxProcessor(memory, 290, 30, outside(), config=lambda: secret, account=name)


@pytest.mark.parametrize("secret", ["fifteen letters", "", None, 16])
def test_an_unusable_notification_secret_is_refused_when_it_is_set(
    memory: Memory, secret: object
) -> None:
    config = {"webhook_secret": secret}
    ours = SandboxProcessor(memory, 290, 30, outside(), config=lambda: config)
    with pytest.raises(InvalidValue, match="at least 16 characters") as refused:
        ours.identify()
    assert refused.value.param == "processor_config"


def test_payments_need_no_secret(memory: Memory, sandbox: SandboxProcessor) -> None:
    assert sandbox.identify() == account(memory).identify()


DISPUTE = {"dispute_id": "dp_1", "reference": "pay_1", "amount": 600, "currency": "USD", "fee": 15}


def test_a_dispute_has_the_state_of_its_latest_notification(memory: Memory) -> None:
    ours = account(memory)
    assert ours.find_dispute("dp_1") is None
    assert tell(ours, "dispute_opened", **DISPUTE) is EventKind.DISPUTE_CHANGED
    opened = ours.find_dispute("dp_1")
    assert opened is not None
    assert (opened.status, opened.amount_minor, opened.currency) == ("opened", 600, "USD")
    assert (opened.withdrawn_minor, opened.reinstated_minor, opened.fee_minor) == (600, 0, 15)
    tell(ours, "dispute_won", dispute_id="dp_1", reinstated=500, fee=0)
    won = ours.find_dispute("dp_1")
    assert won is not None
    assert (won.status, won.reference, won.created_at) == ("won", "pay_1", opened.created_at)
    assert (won.withdrawn_minor, won.reinstated_minor, won.fee_minor) == (600, 500, 0)


def test_an_old_event_does_not_change_a_newer_state_of_a_dispute(
    memory: Memory,
) -> None:
    ours, now = account(memory), int(AT.timestamp())
    tell(ours, "dispute_won", **DISPUTE, created=now)
    tell(ours, "dispute_opened", **DISPUTE, created=now + 9)
    tell(ours, "dispute_lost", **DISPUTE, created=now - 9)
    state = ours.find_dispute("dp_1")
    assert state is not None
    assert (state.status, state.reinstated_minor) == (DisputeStatus.WON, 600)
    tell(ours, "dispute_lost", **DISPUTE, created=now + 1)
    state = ours.find_dispute("dp_1")
    assert state is not None
    assert (state.status, state.reinstated_minor) == (DisputeStatus.LOST, 0)


def test_notifications_of_one_account_do_not_affect_another(memory: Memory) -> None:
    ours, theirs = account(memory, "mer_1"), account(memory, "mer_2")
    theirs.charge(request("tok_approved"))
    theirs.operate(operation(TransactionType.REFUND))
    tell(ours, "dispute_opened", **DISPUTE)
    tell(ours, "refund_failed", reference="txn_1")
    assert theirs.find_dispute("dp_1") is None
    refund = theirs.find_refund("txn_1", None)
    assert refund is not None
    assert refund.outcome is RefundOutcome.SUCCEEDED


def test_a_failed_refund_is_refused_when_requested_again(memory: Memory) -> None:
    ours = account(memory)
    assert ours.find_refund("txn_1", None) is None
    ours.charge(request("tok_approved"))
    assert isinstance(ours.operate(operation(TransactionType.REFUND)), Approved)
    assert tell(ours, "refund_failed", reference="txn_1") is EventKind.REFUND_FAILED
    refund = ours.find_refund("txn_1", None)
    assert refund is not None
    assert (refund.outcome, refund.amount_minor) == (RefundOutcome.FAILED, 400)
    assert isinstance(ours.operate(operation(TransactionType.REFUND)), Refused)
    assert isinstance(ours.find_operation(operation(TransactionType.REFUND)), Refused)


def test_an_event_without_a_notification_is_found_only_by_the_poll(memory: Memory) -> None:
    ours = account(memory)
    ours.charge(request("tok_approved"))
    ours.operate(operation(TransactionType.REFUND))
    assert tell(ours, "dispute_opened", **DISPUTE, silent=True) is EventKind.IGNORED
    assert tell(ours, "refund_failed", reference="txn_1", silent=True) is EventKind.IGNORED
    found = {hint.id: hint for hint in ours.recent_events(AT)}
    assert found["evt_dispute_opened"].kind is EventKind.DISPUTE_CHANGED
    assert found["evt_dispute_opened"].object_id == "dp_1"
    assert found["evt_refund_failed"].reference == "txn_1"
    assert list(ours.recent_events(AT + timedelta(seconds=1))) == []
    assert list(account(memory, "mer_2").recent_events(AT)) == []
