"""A merchant moves between processor accounts: each payment is asked about where it was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import pytest

from runtime.core.errors import (
    BadSignature,
    InvalidValue,
    NotFound,
    ProcessorAccountRemoved,
    ProcessorInUse,
    ProcessorUnknown,
    Unavailable,
    WrongProcessorMode,
)
from runtime.core.fields import ProcessorMode
from runtime.core.scope import Scope
from runtime.http.responses import StoredAnswer
from runtime.merchants.api import MerchantAnswer, MerchantPatch, MerchantRequest
from runtime.merchants.merchants import (
    MerchantDependencies,
    change_merchant,
    create_merchant,
    list_accounts_at_processors,
    remove_processor_account,
)
from runtime.merchants.models import MAX_EARLIER_ACCOUNTS, Merchant, MerchantProfile
from runtime.merchants.repository import MerchantRepository
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.disputes.processor_webhooks import Notification, receive_event
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.processors.connectors import Connectors
from runtime.payments.processors.port import Processor, ProcessorConfig, ProcessorIdentity
from runtime.payments.processors.sandbox.connector import SandboxProcessor
from runtime.payments.processors.sandbox.events import SIGNATURE_HEADER, sign_sandbox_event
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.payments.resolution.resolver import resolve_due
from runtime.payments.transaction_models import Transaction, TransactionStatus
from tests.support.engines.engine import Engine
from tests.support.outside import outside
from tests.support.platform import Hooked, Platform
from tests.support.processors.unreliable import unheard, unreached

A1, A2, B, LIVE = "sk_test_A_1", "sk_test_A_2", "sk_test_B_1", "sk_live_A_1"

REVOKED = {"api_key": "sk_test_unknown_1"}


class Account(Hooked):
    """One account at a processor: a sandbox with its own charges, known by any of its keys."""

    def __init__(self, inner: Processor, name: str, key: str) -> None:
        super().__init__(inner)
        self.account = f"acct_{name}"
        self.mode: ProcessorMode = "live" if "_live_" in key else "test"

    def identify(self) -> ProcessorIdentity:
        return ProcessorIdentity(self.account, self.mode)


@dataclass
class Bank:
    """A processor with several accounts; a request's key decides which one it reaches."""

    platform: Platform
    memories: dict[str, Platform]
    wrap: Callable[[Processor], Processor] = lambda account: account
    silent: bool = False
    asked: list[str] = field(default_factory=list)

    def connector(self, _merchant_id: str, config: Callable[[], ProcessorConfig]) -> Processor:
        key = str(config().get("api_key", ""))
        if self.silent:
            return Silent()  # type: ignore[return-value]
        name = key.split("_")[2] if key.count("_") == 3 else ""
        if name not in self.memories:
            raise InvalidValue("the processor refuses the key", param="processor_config")
        self.asked.append(name)
        memory = SandboxChargeRepository(self.memories[name].store)
        sandbox = SandboxProcessor(memory, 290, 30, outside(), config=config)
        return self.wrap(Account(sandbox, name, key))

    def connectors(self) -> Connectors:
        def sandbox(*_: object) -> Processor:
            return self.platform.sandbox()

        factories = {"stripe": self.connector, "sandbox": sandbox}
        return Connectors(
            MerchantRepository(self.platform.store),
            factories,
            self.platform.profiles(),
            self.platform.outside,
        )

    def payment_dependencies(self) -> PaymentDependencies:
        return replace(self.platform.deps(), connectors=self.connectors())

    def merchant_dependencies(self, mode: ProcessorMode = "test") -> MerchantDependencies:
        processors = replace(self.platform.processor_configuration(self.connectors()), mode=mode)
        return replace(self.platform.merchant_dependencies(), processors=processors)

    def done_at(self, name: str) -> list[str]:
        """The account's charges."""
        return sorted(each.kind for each in self.memories[name].rows(SandboxCharge))

    def resolve(self) -> None:
        report = self.platform.operational_alerts()
        resolve_due(self.payment_dependencies(), self.platform.store, "resolver-run", report)


class Silent:
    """A processor that does not answer."""

    mode = "test"

    def identify(self) -> ProcessorIdentity:
        raise ProcessorUnknown("no response")


@pytest.fixture
def bank(platform: Platform, engine: Engine) -> Bank:
    return Bank(platform, {"A": Platform(engine), "B": Platform(engine)})


def register(
    bank: Bank, deps: MerchantDependencies | None = None, key: str | None = None, **body: Any
) -> Any:
    full = {"name": "Shop", "email": "shop@example.com", **body}
    call = bank.platform.call(None, full, key, path="/v1/merchants", operator=True)
    return create_merchant(MerchantRequest(**full), call, deps or bank.merchant_dependencies())


def shop_of(bank: Bank, key: str = A1) -> MerchantProfile:
    made = register(bank, processor="stripe", processor_config=stripe_keys(key))
    profile = MerchantRepository(bank.platform.store).profile(
        json.loads(made.body)["id"], Scope(None)
    )
    assert profile is not None
    return profile


def stripe_keys(key: str) -> dict[str, Any]:
    return {"api_key": key, "webhook_secret": f"whsec_of_{key}"}


def change(
    bank: Bank, shop: MerchantProfile, deps: MerchantDependencies | None = None, **body: Any
) -> MerchantAnswer:
    stored = MerchantRepository(bank.platform.store).get(shop.id, Scope(None))
    assert stored is not None
    full = {"version": stored.version, **body}
    call = bank.platform.call(None, full, path=f"/v1/merchants/{shop.id}", operator=True)
    return change_merchant(
        shop.id, MerchantPatch(**full), call, deps or bank.merchant_dependencies()
    )


def use_key(
    bank: Bank, shop: MerchantProfile, key: str, deps: MerchantDependencies | None = None
) -> Any:
    return change(bank, shop, deps, processor_config=stripe_keys(key))


def unseeing(deps: MerchantDependencies) -> MerchantDependencies:
    """As when the indexes lag: no open payment is visible."""

    class Nothing:
        def newest_first(self, *_: Any, **__: Any) -> Any:
            return iter(())

        def due(self, *_: Any) -> Any:
            return []

        def owners(self, *_: Any) -> Any:
            return {}

    nothing: Any = Nothing()
    return replace(deps, processors=replace(deps.processors, lists=nothing, queue=nothing))


def kept(bank: Bank, shop: MerchantProfile) -> list[tuple[str, bool]]:
    call = bank.platform.call(None, operator=True)
    merchants = MerchantRepository(bank.platform.store)
    listed = list_accounts_at_processors(shop.id, call, merchants)
    return [(each.account, each.left_at is None) for each in listed.data]


def remove(
    bank: Bank, shop: MerchantProfile, account: str, deps: MerchantDependencies | None = None
) -> StoredAnswer:
    call = bank.platform.call(None, {}, operator=True)
    return remove_processor_account(shop.id, account, call, deps or bank.merchant_dependencies())


def tell(bank: Bank, shop: MerchantProfile, secret: str) -> None:
    """A hint about the only payment, signed with `secret`."""
    now = bank.platform.clock()
    reported = {"id": "evt_1", "type": "charge_changed", "created": int(now.timestamp())}
    body = json.dumps({**reported, "reference": bank.platform.payment().id}).encode()
    signature = sign_sandbox_event(body, secret, int(now.timestamp()))
    headers = {SIGNATURE_HEADER: signature}
    notification = Notification("stripe", shop.id, headers, body, now, "req-event", "", "")
    receive_event(notification, bank.platform.event_dependencies(bank.payment_dependencies()))


def test_a_merchant_and_its_payments_have_the_account_of_the_key(
    bank: Bank, platform: Platform
) -> None:
    shop = shop_of(bank)
    assert shop.processor_account == "acct_A"
    platform.paid(shop, deps=bank.payment_dependencies())
    assert (platform.payment().processor, platform.payment().processor_account) == (
        "stripe",
        "acct_A",
    )
    plain = json.loads(register(bank).body)
    assert (plain["processor"], plain["processor_account"]) == ("sandbox", "sandbox")


def test_an_unknown_charge_is_asked_about_at_the_account_it_was_sent_to(
    bank: Bank, platform: Platform
) -> None:
    shop = shop_of(bank)
    platform.pay(shop, payment_method="tok_timeout", deps=bank.payment_dependencies())
    assert platform.payment().status is PaymentStatus.UNKNOWN
    with pytest.raises(ProcessorInUse, match=platform.payment().id):
        use_key(bank, shop, B)
    use_key(bank, shop, B, unseeing(bank.merchant_dependencies()))
    platform.clock.advance(300)
    bank.resolve()
    after = platform.payment()
    assert (after.status, after.failure_code) == (PaymentStatus.SUCCEEDED, None)
    assert bank.done_at("B") == []
    platform.operate(shop, after.id, "refund", deps=bank.payment_dependencies())
    assert bank.done_at("A") == ["charge", "refund"]


@pytest.mark.parametrize("what", ["authorized", "refund without an answer"])
def test_a_merchant_changes_accounts_only_while_nothing_is_open(
    bank: Bank, platform: Platform, what: str
) -> None:
    shop = shop_of(bank)
    manual = {"capture_method": "manual"} if what == "authorized" else {}
    payment = platform.paid(shop, deps=bank.payment_dependencies(), **manual)
    if what != "authorized":
        bank.wrap = unreached
        platform.operate(shop, payment, "refund", deps=bank.payment_dependencies())
        bank.wrap = lambda account: account
        (refund,) = [t for t in platform.rows(Transaction) if t.type == "refund"]
        assert refund.status is TransactionStatus.PENDING
    for moving in ({"processor_config": stripe_keys(B)}, {"processor": "sandbox"}):
        with pytest.raises(ProcessorInUse):
            change(bank, shop, **moving)
    assert use_key(bank, shop, A2).processor_account == "acct_A"
    if what == "authorized":
        platform.operate(shop, payment, "cancel", deps=bank.payment_dependencies())
    else:
        platform.clock.advance(300)
        bank.resolve()
    assert use_key(bank, shop, B).processor_account == "acct_B"
    assert kept(bank, shop) == [("acct_B", True), ("acct_A", False)]


def test_open_payments_of_other_merchants_do_not_block_a_change(
    bank: Bank, platform: Platform
) -> None:
    busy, shop = shop_of(bank), shop_of(bank)
    platform.pay(busy, payment_method="tok_timeout", deps=bank.payment_dependencies())
    bank.wrap = unheard
    platform.pay(busy, deps=bank.payment_dependencies())
    bank.wrap = lambda account: account
    assert use_key(bank, shop, B).processor_account == "acct_B"


def test_an_account_is_queried_with_its_latest_key(bank: Bank, platform: Platform) -> None:
    shop = shop_of(bank)
    payment = platform.paid(shop, deps=bank.payment_dependencies())
    use_key(bank, shop, A2)
    use_key(bank, shop, B)
    connection = MerchantRepository(platform.store).connection(shop.id, Scope(shop.id))
    assert connection is not None
    assert connection.config_of("stripe", "acct_A") == stripe_keys(A2)
    assert connection.config_of("stripe", "acct_B") == stripe_keys(B)
    platform.operate(shop, payment, "refund", deps=bank.payment_dependencies())
    assert bank.done_at("A") == ["charge", "refund"]
    item = repr(platform.client.scan(TableName=platform.tables["merchants"])["Items"])
    assert "sk_test" not in item
    assert "whsec_of" not in item


def test_a_notification_of_a_former_account_is_verified_with_its_own_secret(
    bank: Bank, platform: Platform
) -> None:
    shop = shop_of(bank)
    platform.pay(shop, payment_method="tok_timeout", deps=bank.payment_dependencies())
    use_key(bank, shop, B, unseeing(bank.merchant_dependencies()))
    platform.clock.advance(300)
    with pytest.raises(BadSignature):
        tell(bank, shop, "a secret of another merchant")
    assert platform.payment().status is PaymentStatus.UNKNOWN
    tell(bank, shop, stripe_keys(A1)["webhook_secret"])
    assert platform.payment().status is PaymentStatus.SUCCEEDED
    remove(bank, shop, "acct_A")
    with pytest.raises(BadSignature):
        tell(bank, shop, stripe_keys(A1)["webhook_secret"])
    tell(bank, shop, stripe_keys(B)["webhook_secret"])


def test_an_operator_removes_an_account_that_is_not_needed(bank: Bank, platform: Platform) -> None:
    shop = shop_of(bank)
    payment = platform.paid(shop, deps=bank.payment_dependencies())
    with pytest.raises(ProcessorInUse, match="switch it to another one first"):
        remove(bank, shop, "acct_A")
    held = platform.paid(shop, deps=bank.payment_dependencies(), capture_method="manual")
    use_key(bank, shop, B, unseeing(bank.merchant_dependencies()))
    with pytest.raises(ProcessorInUse, match=held):
        remove(bank, shop, "acct_A")
    platform.operate(shop, held, "cancel", deps=bank.payment_dependencies())
    with pytest.raises(NotFound):
        remove(bank, shop, "acct_C")
    assert remove(bank, shop, "acct_A").status == HTTPStatus.NO_CONTENT
    assert kept(bank, shop) == [("acct_B", True)]
    with pytest.raises(ProcessorAccountRemoved, match="acct_A"):
        platform.operate(shop, payment, "refund", deps=bank.payment_dependencies())
    assert bank.done_at("B") == []


def test_a_payment_of_a_removed_account_stays_unknown_and_blocks_no_other(
    bank: Bank, platform: Platform
) -> None:
    shop = shop_of(bank)
    platform.pay(shop, payment_method="tok_timeout", deps=bank.payment_dependencies())
    stranded = platform.payment()
    use_key(bank, shop, B, unseeing(bank.merchant_dependencies()))
    remove(bank, shop, "acct_A", unseeing(bank.merchant_dependencies()))
    platform.pay(shop, payment_method="tok_timeout", deps=bank.payment_dependencies())
    platform.clock.advance(4000)
    bank.resolve()
    rows = {row.id: row for row in platform.rows(Payment)}
    assert rows.pop(stranded.id).status is PaymentStatus.UNKNOWN
    assert [row.status for row in rows.values()] == [PaymentStatus.SUCCEEDED]
    use_key(bank, shop, A2, unseeing(bank.merchant_dependencies()))
    platform.clock.advance(4000)
    bank.resolve()
    assert {row.status for row in platform.rows(Payment)} == {PaymentStatus.SUCCEEDED}


def test_the_number_of_accounts_is_limited(bank: Bank) -> None:
    shop = shop_of(bank)
    names = [f"C{number}" for number in range(MAX_EARLIER_ACCOUNTS + 1)]
    bank.memories |= dict.fromkeys(names, bank.memories["B"])
    for name in names[:-1]:
        use_key(bank, shop, f"sk_test_{name}_1")
    with pytest.raises(ProcessorInUse, match="remove one first"):
        use_key(bank, shop, f"sk_test_{names[-1]}_1")
    assert remove(bank, shop, "acct_A").status == HTTPStatus.NO_CONTENT
    use_key(bank, shop, f"sk_test_{names[-1]}_1")


@pytest.mark.parametrize(
    ("mode", "wrong"),
    [
        ("live", {"processor": "sandbox"}),
        ("live", {"processor": "stripe", "processor_config": stripe_keys(A1)}),
        ("test", {"processor": "stripe", "processor_config": stripe_keys(LIVE)}),
    ],
)
def test_test_and_live_keys_are_never_mixed(
    bank: Bank, mode: ProcessorMode, wrong: dict[str, Any]
) -> None:
    with pytest.raises(WrongProcessorMode) as refused:
        register(bank, bank.merchant_dependencies(mode), **wrong)
    assert refused.value.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "sk_" not in refused.value.detail
    shop = shop_of(bank) if mode == "live" else None
    if shop is not None:
        with pytest.raises(WrongProcessorMode):
            change(bank, shop, bank.merchant_dependencies(mode), **wrong)
    stored = bank.platform.rows(Merchant)
    assert [row.version for row in stored] == [1] * len(stored)


def test_a_live_stage_has_no_default_processor(bank: Bank) -> None:
    live = bank.merchant_dependencies("live")
    with pytest.raises(InvalidValue) as refused:
        register(bank, live)
    assert refused.value.param == "processor"
    keys = stripe_keys(LIVE)
    made = register(bank, live, processor="stripe", processor_config=keys)
    assert json.loads(made.body)["processor_account"] == "acct_A"


def test_a_key_of_the_other_mode_is_refused_at_the_charge(bank: Bank, platform: Platform) -> None:
    shop = shop_of(bank)
    plain = platform.merchant()
    deps = bank.payment_dependencies()
    live = replace(deps, timing=deps.timing.model_copy(update={"processors": "live"}))
    for each in (shop, plain):
        with pytest.raises(WrongProcessorMode):
            platform.pay(each, deps=live)
    assert bank.done_at("A") == []
    assert platform.charges() == []


def test_a_revoked_key_of_an_unnamed_account_can_be_replaced(
    bank: Bank, platform: Platform
) -> None:
    """Its open payments cannot end any more; a merchant must not wait for that."""
    shop = shop_of(bank)
    bank.wrap = unheard
    platform.pay(shop, deps=bank.payment_dependencies())
    bank.wrap = lambda account: account
    (row,) = platform.rows(Merchant)
    platform.put(row.model_copy(update={"processor_account": None, "processor_config": REVOKED}))
    (payment,) = platform.payments()
    platform.put(payment.model_copy(update={"processor_account": None}))
    assert use_key(bank, shop, A2).processor_account == "acct_A"
    assert kept(bank, shop) == [("acct_A", True), ("unnamed", False)]
    bank.resolve()
    (still,) = platform.payments()
    assert still.status is not PaymentStatus.FAILED, "its outcome is unknown"


def test_in_the_other_mode_authorizations_are_voided_and_not_captured(
    bank: Bank, platform: Platform
) -> None:
    plain = platform.merchant()
    authorized = platform.paid(plain, capture_method="manual")
    deps = platform.deps()
    live = replace(deps, timing=deps.timing.model_copy(update={"processors": "live"}))
    with pytest.raises(WrongProcessorMode):
        platform.operate(plain, authorized, "capture", deps=live)
    assert platform.operate(plain, authorized, "cancel", deps=live).status == HTTPStatus.OK
    assert "capture" not in {each.kind for each in platform.charges()}


def test_keys_are_stored_only_if_the_processor_knows_them(bank: Bank, platform: Platform) -> None:
    shop = shop_of(bank)
    with pytest.raises(InvalidValue, match="refuses the key"):
        use_key(bank, shop, "sk_test_unknown_1")
    bank.silent = True
    with pytest.raises(Unavailable, match="nothing was changed"):
        use_key(bank, shop, A2)
    with pytest.raises(Unavailable):
        register(bank, processor="stripe", processor_config=stripe_keys(A1))
    assert [row.version for row in platform.rows(Merchant)] == [1]
    change(bank, shop, name="No key changes, so the processor is not asked")


def test_a_repetition_is_answered_although_the_processor_does_not_respond(bank: Bank) -> None:
    body = {"processor": "stripe", "processor_config": stripe_keys(A1)}
    first = register(bank, key="once", **body)
    bank.silent = True
    assert register(bank, key="once", **body).body == first.body


def test_a_merchant_without_stored_accounts_gets_new_keys_and_loses_nothing(
    bank: Bank, platform: Platform
) -> None:
    shop = platform.merchant(processor="stripe", processor_config=stripe_keys(A1))
    platform.pay(shop, payment_method="tok_timeout", deps=bank.payment_dependencies())
    assert platform.payment().processor_account is None
    with pytest.raises(ProcessorInUse):
        use_key(bank, shop, B)
    assert use_key(bank, shop, A2).processor_account == "acct_A"
    assert kept(bank, shop) == [("acct_A", True), ("unnamed", False)]
    use_key(bank, shop, B, unseeing(bank.merchant_dependencies()))
    platform.clock.advance(300)
    bank.resolve()
    assert platform.payment().status is PaymentStatus.SUCCEEDED
    assert bank.done_at("B") == []
