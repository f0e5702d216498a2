"""How a merchant is connected to its processor: which account, and when it may change.

Safety does not depend on the checks here, because indexes lag. It depends on every payment storing
the account that it was sent to, and on that account's keys being kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice
from typing import Any, Final

from runtime.core.echo import echoed
from runtime.core.errors import (
    InvalidValue,
    NotFound,
    PlatformError,
    ProcessorInUse,
    ProcessorUnknown,
    Unavailable,
    WrongProcessorMode,
)
from runtime.core.fields import ProcessorMode
from runtime.core.scope import Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.index_shards import all_buckets
from runtime.merchants.models import MAX_EARLIER_ACCOUNTS, Merchant, ProcessorAccount, ProcessorName
from runtime.merchants.processor_accounts import UNNAMED, EarlierAccounts, accounts_after_move
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.processing_list import ProcessingList
from runtime.payments.processors.connectors import Connectors
from runtime.payments.processors.port import Processor, ProcessorConfig
from runtime.payments.repository import PaymentRepository
from runtime.payments.resolution.open_queue import OpenQueue
from runtime.payments.transaction_models import Transaction

OPEN_STATUSES: Final = (
    PaymentStatus.PENDING,
    PaymentStatus.PROCESSING,
    PaymentStatus.UNKNOWN,
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.REQUIRES_CAPTURE,
)
MAX_CHECKED: Final = 100
"""The open payments or operations of the merchant that are checked with one read."""
MAX_OPEN_READ: Final = 1_000
"""The most open payments that are read to find those at one account."""
LAST_START: Final = timedelta(minutes=10)
"""How long after a move a payment may still begin at the account that was left: environments cache
the merchant for at most five minutes."""
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
_FAR: Final = timedelta(days=365)


class Refused(Enum):
    """Used in place of an account when the processor rejects its keys."""

    REFUSED = "refused"


REFUSED: Final = Refused.REFUSED


@dataclass(frozen=True)
class ProcessorConfiguration:
    """Checks how merchants are connected. `mode`: the only processor mode on this stage."""

    connectors: Connectors
    payments: PaymentRepository
    lists: PaymentLists
    processing: ProcessingList
    queue: OpenQueue
    mode: ProcessorMode

    def default_processor(self) -> ProcessorName:
        """The default processor of a merchant. Raises InvalidValue in live mode."""
        if self.mode == "live":
            raise InvalidValue(
                "processor is required: this stage is for live payments", param="processor"
            )
        return "sandbox"

    def account_of(
        self, merchant_id: str, processor: ProcessorName, config: ProcessorConfig
    ) -> str:
        """The account that the keys in `config` belong to, as the processor reports it.

        Raises InvalidValue for keys that are unusable or that the processor rejects,
        WrongProcessorMode, Unavailable if the processor does not answer.
        """
        connector = self.connectors.with_config(merchant_id, processor, config)
        param = "processor" if processor == "sandbox" else "processor_config"
        require_mode(processor, connector, self.mode, param=param)
        try:
            return connector.identify().account
        except ProcessorUnknown as silent:
            raise Unavailable(f"{silent}; nothing was changed; try again") from silent

    def processor_changes(
        self, row: Merchant, changes: Mapping[str, Any], now: datetime
    ) -> dict[str, Any]:
        """The other merchant fields that change with its processor or configuration.

        Raises what `account_of` raises, and ProcessorInUse if the merchant would move to another
        account while a payment or operation is open at the present one.
        """
        processor: ProcessorName = changes.get("processor", row.processor)
        config: dict[str, Any] = changes.get("processor_config", row.processor_config)
        account = self.account_of(row.id, processor, config)
        present = self._present_account(row)
        moves = (processor, account) != (row.processor, present)
        if moves and present is not REFUSED:
            self._refuse_while_open(row, row.processor, row.processor_account, now)
        uses = ProcessorAccount(processor=processor, account=account, left_at=to_timestamp(now))
        earlier = accounts_after_move(row, uses, config, moves=moves)
        if len(earlier.accounts) > MAX_EARLIER_ACCOUNTS:
            raise ProcessorInUse(
                f"{row.id} already has the keys of {MAX_EARLIER_ACCOUNTS} earlier accounts; "
                "remove one first"
            )
        return {"processor_account": account, **earlier.changes()}

    def removal(self, row: Merchant, account: str | None, now: datetime) -> dict[str, Any]:
        """The change that deletes an account's keys. Raises NotFound, ProcessorInUse."""
        if account == row.processor_account:
            raise ProcessorInUse(
                f"{row.id} sends its payments to this account; switch it to another one first"
            )
        leaves = [each for each in row.earlier_accounts if each.account == account]
        if not leaves:
            name = echoed(account or UNNAMED)
            raise NotFound(f"{row.id} has no keys of the account {name}")
        for each in leaves:
            last = min(now, to_datetime(each.left_at) + LAST_START)
            self._refuse_while_open(row, each.processor, account, now, began_until=last)
        stay = EarlierAccounts.of(row)
        for each in leaves:
            stay = stay.without(each)
        return stay.changes()

    def _present_account(self, row: Merchant) -> str | Refused | None:
        """The account in use. If it is not stored yet, the processor is asked.

        None if it cannot be determined now; it then counts as a different account. REFUSED if the
        processor rejects the keys: revoked keys cannot finish open payments, so the move need not
        wait.
        """
        if row.processor_account is not None:
            return row.processor_account
        try:
            connector = self.connectors.with_config(row.id, row.processor, row.processor_config)
            return connector.identify().account
        except InvalidValue:
            return REFUSED
        except (PlatformError, ProcessorUnknown):
            return None

    def _refuse_while_open(
        self,
        row: Merchant,
        processor: str,
        account: str | None,
        now: datetime,
        *,
        began_until: datetime | None = None,
    ) -> None:
        """Raises ProcessorInUse if the indexes show an open payment or operation there.

        `began_until`: when the last payment there began, so that newer ones need not be read and
        cannot hide it.
        """

        def is_there(payment: Payment | None) -> bool:
            return payment is not None and (payment.processor, payment.processor_account) == (
                processor,
                account,
            )

        scope = Scope(row.id)
        found = (
            payment.id
            for ids in self._open_payments(row, now, began_until)
            for payment in (self.payments.get_many(ids, scope) if ids else [])
            if is_there(payment) and payment.status in OPEN_STATUSES
        )
        open_ids = list(islice(found, 1))
        if not open_ids:
            due = self.queue.due(Transaction, now + _FAR)
            owners = self.queue.owners(Transaction, due)
            mine = [each for each in due if owners.get(each) == row.id][:MAX_CHECKED]
            operations = self.payments.operations(mine, scope) if mine else []
            open_ids = [
                each.id
                for each in operations
                if is_there(self.payments.get(each.payment_id, scope))
            ]
        if open_ids:
            raise ProcessorInUse(
                f"{open_ids[0]} is open at the {processor} account {account or UNNAMED}; wait "
                "until it is completed. A new key of the same account can be set at any time"
            )

    def _open_payments(
        self, row: Merchant, now: datetime, began_until: datetime | None
    ) -> Iterator[list[str]]:
        """Ids of the newest payments in processing, and of the newest open ones besides these.

        With `began_until`, raises ProcessorInUse rather than leave any of the latter unread.
        """
        entries = self.processing.newest_first(row, _BEGINNING, began_until or now, after_id=None)
        some = islice(entries, MAX_OPEN_READ)
        yield [entry.id for entry in some if entry.is_listed][:MAX_CHECKED]
        statuses = (each for each in OPEN_STATUSES if each is not PaymentStatus.PROCESSING)
        listed = self.lists.newest_first(
            [b for s in statuses for b in all_buckets(f"{row.id}#{s}", row.index_buckets)],
            "gsi-merchant-status",
            _BEGINNING,
            began_until or now + _FAR,
            after_id=None,
            page_size=MAX_CHECKED,
        )
        some_listed = islice(listed, MAX_OPEN_READ)
        while page := [entry.id for entry in islice(some_listed, MAX_CHECKED)]:
            yield page
        if began_until is not None and next(listed, None) is not None:
            raise ProcessorInUse(
                f"{row.id} has more than {MAX_OPEN_READ} open payments from before "
                f"{to_timestamp(began_until)}; wait until they are completed"
            )


def require_mode(
    processor: str, connector: Processor, mode: ProcessorMode, *, param: str | None = None
) -> None:
    """Raises WrongProcessorMode unless the connector's keys are of the stage's mode."""
    if connector.mode != mode:
        theirs = f"{processor} with a {connector.mode} key"
        name = "the sandbox" if processor == "sandbox" else theirs
        raise WrongProcessorMode(
            f"This stage is for {mode} payments; it cannot use {name}", param=param
        )
