"""Creating transfers and holds in one commit. Only hot accounts need a read first.

An attempt is retried with a new id if it found an unknown hot account, or if balances changed
during `expand` or a debit of a hot account. A failed attempt leaves no data behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from runtime.core.errors import (
    AlreadyClaimed,
    CurrencyMismatch,
    FailedBefore,
    InactiveAccount,
    InsufficientFunds,
    Locked,
    PlatformError,
    StaleWrite,
    TouchesHotAccounts,
    Unavailable,
)
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_epoch_seconds
from runtime.customers.lockout_repository import Attempt
from runtime.customers.lockout_rules import Lockout
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, problem, success
from runtime.idempotency.claims import ClaimReader, completed, new_claim, stored_answer
from runtime.idempotency.models import IdempotencyRecord
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.accounts.rules import Touched, first_refusal, ownership_refusal
from runtime.ledger.hot_accounts.known_accounts import KnownHotAccounts
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.hot_accounts.rules import HotBalance
from runtime.ledger.movements import Operation, lock_account
from runtime.ledger.repository import LedgerRepository, TransferCommit
from runtime.ledger.rules import Movement
from runtime.ledger.transfers.api import TransferRequest
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.ledger.transfers.repository import TransferRepository
from runtime.ledger.transfers.transfer_builder import (
    Draft,
    draft,
    transfer_answer,
    transfer_status_bucket,
)
from runtime.merchants.profiles import MerchantProfiles

MAX_ATTEMPTS = 30
"""Attempts at one request while balances change concurrently; then the answer is 503."""

_RECORDED = (InsufficientFunds, InactiveAccount, CurrencyMismatch, Locked)
"""Refusals that store a failed transfer. Not found and forbidden do not: requests that guess ids
must not fill a table."""


@dataclass(frozen=True)
class TransferDependencies:
    """Dependencies of the transfer use cases."""

    ledger: LedgerRepository
    transfers: TransferRepository
    accounts: AccountRepository
    shard_rows: ShardRepository
    merchants: MerchantProfiles
    known_hot_accounts: KnownHotAccounts
    claims: ClaimReader
    lockout: Lockout


@dataclass(frozen=True, slots=True)
class _Promise:
    """`balances_after` for `expand`, and the account versions for which it is correct."""

    versions: dict[str, int]
    balances: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Split:
    """An attempt's movements by how they are applied.

    `touched` are applied in the commit; `hot` are those of them on hot accounts. `credited` are
    applied by the change stream. `folded` are the hot accounts that the change stream must credit,
    now or when the hold is posted.
    """

    touched: tuple[Movement, ...]
    hot: Mapping[str, HotBalance | None]
    credited: tuple[Touched, ...]
    folded: tuple[str, ...]

    @property
    def counts_held_in(self) -> bool:
        """Whether the commit adds to `held_in` of a hot account."""
        return any(seen is None for seen in self.hot.values())


def create_transfer(
    request: TransferRequest, call: Call, deps: TransferDependencies
) -> StoredAnswer:
    """Create a transfer (processed) or a hold (pending): 201.

    Refusals because of funds, status or currency are stored as answers too. Raises NotFound,
    Forbidden, Locked, InvalidValue, SameAccount, AmountTooLarge, IdempotencyKeyReused, Unavailable.
    """
    index_buckets = deps.merchants.index_buckets(call.caller.owner(call.acting_for))
    met: dict[str, Account] = {}
    failed_before = False
    for _ in range(MAX_ATTEMPTS):
        attempt = replace(draft(request, call, index_buckets), after_failures=failed_before)
        try:
            return _begin(attempt, request, call, deps, met)
        except TouchesHotAccounts as found:
            met |= {account.id: account for account in found.accounts}
            deps.known_hot_accounts.learn(found.accounts)
        except FailedBefore:
            failed_before = True
        except StaleWrite:
            continue
    raise Unavailable("The accounts are being changed by other requests; try again")


def _begin(
    attempt: Draft,
    request: TransferRequest,
    call: Call,
    deps: TransferDependencies,
    met: Mapping[str, Account],
) -> StoredAnswer:
    """One attempt. Raises TouchesHotAccounts, FailedBefore and StaleWrite if it can be retried."""
    split = _split(attempt, deps, met)
    transfer = attempt.transfer.model_copy(
        update={"folded_accounts": split.folded, "held_in_counted": split.counts_held_in}
    )
    promise = _promise(attempt, request, split, deps)
    answer = success(
        HTTPStatus.CREATED, transfer_answer(transfer, promise.balances if promise else None)
    )
    claim = _claim(attempt, answer, call)
    wanted = TransferCommit(
        transfer,
        split.touched,
        attempt.terms,
        attempt.operation,
        claim,
        promise.versions if promise else {},
        attempt.after_failures,
        split.hot,
    )
    try:
        _judge_credited(split.credited, attempt)
        if request.dry_run:
            deps.ledger.try_out(wanted)
        else:
            deps.ledger.begin(wanted)
    except AlreadyClaimed as earlier:
        return _earlier(earlier, attempt, call)
    except PlatformError as refusal:
        return _refused(refusal, attempt, call, request, deps)
    return answer


def _split(attempt: Draft, deps: TransferDependencies, met: Mapping[str, Account]) -> _Split:
    """Split the movements between the commit and the change stream.

    The change stream applies credits of hot accounts. Debits of hot accounts are made in the commit
    and need the balance, which is read here. Incoming holds are added to row 00 in the commit. For
    callers restricted to ordinary accounts nothing is treated as hot, so the condition refuses it.
    """
    credited: list[Touched] = []
    touched: list[Movement] = []
    folded: list[str] = []
    hot: dict[str, HotBalance | None] = {}
    for movement in attempt.movements:
        name = movement.account_id
        known = met.get(name) or deps.known_hot_accounts.get(name)
        if known is None or attempt.terms.ordinary_only:
            touched.append(movement)
            continue
        if movement.spendable < 0:
            hot[name] = deps.shard_rows.balance_of(name)
        elif movement.held_in:
            hot[name] = None
        else:
            credited.append((movement, known))
        if name in hot:
            touched.append(movement)
        if movement.spendable >= 0 and not movement.is_nothing:
            folded.append(name)
    return _Split(tuple(touched), hot, tuple(credited), tuple(folded))


def _judge_credited(credited: Sequence[Touched], attempt: Draft) -> None:
    """Apply the account rules to hot accounts that are only credited, using the cached accounts."""
    refusal = ownership_refusal(credited, attempt.terms) or first_refusal(credited, attempt.terms)
    if refusal is not None:
        raise refusal


def _promise(
    attempt: Draft, request: TransferRequest, split: _Split, deps: TransferDependencies
) -> _Promise | None:
    """Balances of immediate accounts after the transfer. A hot account's balance is not exact."""
    if "balances_after" not in request.expand:
        return None
    wanted = [m.account_id for m in split.touched if m.account_id not in split.hot]
    rows = deps.accounts.get_many(wanted, UNRESTRICTED)
    change = {m.account_id: m.balance for m in attempt.movements}
    return _Promise(
        versions={row.id: row.version for row in rows},
        balances={row.id: row.balance + change[row.id] for row in rows},
    )


def _claim(attempt: Draft, answer: StoredAnswer, call: Call) -> IdempotencyRecord | None:
    transfer = attempt.transfer
    claim = new_claim(
        call, transfer.merchant_id, owner=transfer.id, index_buckets=attempt.index_buckets
    )
    seconds = to_epoch_seconds(call.now)
    return claim and completed(claim, answer, seconds, resource_id=transfer.id)


def _refused(
    refusal: PlatformError,
    attempt: Draft,
    call: Call,
    request: TransferRequest,
    deps: TransferDependencies,
) -> StoredAnswer:
    """Store the refusal as a failed transfer and answer it.

    Raises refusals that are not stored; StaleWrite if the transfer was made meanwhile, see
    `_earlier`.
    """
    if request.dry_run or not isinstance(refusal, _RECORDED):
        raise refusal
    failed = _failed(attempt, refusal)
    refusal.transfer_id = failed.id
    answer = problem(refusal, instance=call.path, request_id=call.caller.request_id)
    # A lock is temporary. Its answer is not stored, so the same key can succeed later.
    claim = None if isinstance(refusal, Locked) else _claim(attempt, answer, call)
    try:
        counted = refused_transfer(failed, attempt.movements, refusal, call, deps.lockout)
        deps.ledger.refuse(failed, claim, counted, token=call.new_id("ref"), now=call.now)
    except AlreadyClaimed as earlier:
        return _earlier(earlier, attempt, call)
    if claim is None:
        raise refusal
    return answer


def _failed(attempt: Draft, refusal: PlatformError) -> Transfer:
    transfer, status = attempt.transfer, TransferStatus.FAILED
    return transfer.model_copy(
        update={
            "status": status,
            "status_bucket": transfer_status_bucket(
                transfer.merchant_id, status, transfer.id, attempt.index_buckets
            ),
            "hold_bucket": None,
            "expires_at": None,
            "posted_amount": None,
            "processed_at": None,
            "failure_code": refusal.code,
            "failure_reason": refusal.detail,
        }
    )


def _earlier(earlier: AlreadyClaimed, attempt: Draft, call: Call) -> StoredAnswer:
    """The stored answer: not a repetition if this very attempt has stored it.

    That can be the transfer's although its refusal was to be stored: a commit whose answer was lost
    may be done after the same commit, sent again, was refused.
    """
    stored = stored_answer(earlier.record, call)
    is_own = earlier.record.owner == attempt.transfer.id
    return replace(stored, replayed=False) if is_own else stored


def refused_transfer(
    failed: Transfer,
    movements: Iterable[Movement],
    refusal: PlatformError,
    call: Call,
    rule: Lockout,
) -> Attempt | None:
    """The customer's failed attempt. The failure that locks the customer also locks the sources."""
    if failed.customer_id is None or isinstance(refusal, Locked):
        return None
    request_id = call.caller.request_id
    change = Operation(
        call.new_id("chg"), request_id, call.caller.change(cause=request_id), call.now
    )
    return Attempt(
        customer_id=failed.customer_id,
        merchant_id=failed.merchant_id,
        failed=True,
        rule=rule,
        context=call.caller.change(cause=failed.id),
        now=call.now,
        also_locked=tuple(
            lock_account(each.account_id, failed.merchant_id, rule.until(call.now), change)
            for each in movements
            if each.spendable < 0
        ),
    )
