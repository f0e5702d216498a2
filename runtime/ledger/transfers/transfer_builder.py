"""Builds the transfer for a request: its legs, its row and its movements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from runtime.core.echo import echoed
from runtime.core.errors import AmountTooLarge, FieldError, InvalidValue, SameAccount
from runtime.core.fields import MAX_AMOUNT_MINOR, PLATFORM
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import HOLD_BUCKETS, HOLD_QUEUE, bucket_for
from runtime.http.request_context import Call
from runtime.ledger.accounts.rules import Terms
from runtime.ledger.movements import Operation
from runtime.ledger.rules import Movement, movements_at_once, movements_of_hold, total_of
from runtime.ledger.transfers.api import DEFAULT_HOLD_SECONDS, TransferAnswer, TransferRequest
from runtime.ledger.transfers.models import Leg, Transfer, TransferStatus

_LEG_FIELDS: Final = ("from_account_id", "to_account_id", "amount")


@dataclass(frozen=True, slots=True)
class Draft:
    """One attempt at a request. `movements` has every account of the legs, including hot accounts.

    `after_failures`: the customer's last attempt failed.
    """

    transfer: Transfer
    movements: tuple[Movement, ...]
    terms: Terms
    operation: Operation
    index_buckets: int
    after_failures: bool = False


def legs_of(request: TransferRequest) -> tuple[Leg, ...]:
    """The request's legs. Raises InvalidValue, SameAccount, AmountTooLarge."""
    legs: tuple[Leg, ...]
    if request.legs is None:
        legs = (_only_leg(request),)
    else:
        _refuse_both_forms(request)
        legs = tuple(Leg.model_validate(leg.model_dump()) for leg in request.legs)
    for leg in legs:
        if leg.from_account_id == leg.to_account_id:
            raise SameAccount(
                f"The source and destination accounts must differ; both are "
                f"{echoed(leg.from_account_id)}",
                param="to_account_id" if request.legs is None else "legs",
            )
    total = total_of(legs)
    if total > MAX_AMOUNT_MINOR:
        raise AmountTooLarge(
            f"The legs add up to {total}; a transfer moves at most {MAX_AMOUNT_MINOR}",
            param="legs",
        )
    return legs


def _only_leg(request: TransferRequest) -> Leg:
    _refuse(
        FieldError(name, f"{name} is required unless you send legs")
        for name in _LEG_FIELDS
        if getattr(request, name) is None
    )
    return Leg(
        from_account_id=request.from_account_id or "",
        to_account_id=request.to_account_id or "",
        amount=request.amount or 0,
    )


def _refuse_both_forms(request: TransferRequest) -> None:
    _refuse(
        FieldError(name, f"{name} and legs are mutually exclusive; send one of them")
        for name in _LEG_FIELDS
        if getattr(request, name) is not None
    )


def _refuse(wrong: Iterable[FieldError]) -> None:
    errors = tuple(wrong)
    if errors:
        raise InvalidValue(errors[0].detail, param=errors[0].param, errors=errors)


def draft(request: TransferRequest, call: Call, index_buckets: int) -> Draft:
    """A new attempt with a new id."""
    legs = legs_of(request)
    owner = call.caller.owner(call.acting_for)
    transfer_id = call.new_id("trf")
    merchants = owner != PLATFORM
    return Draft(
        transfer=_transfer(request, call, transfer_id, legs, index_buckets),
        movements=movements_of_hold(legs) if request.hold else movements_at_once(legs),
        terms=Terms(
            owner=owner if merchants else None,
            ordinary_only=not call.caller.is_operator,
            currency=request.currency,
            at=to_timestamp(call.now),
            several_legs=request.legs is not None,
        ),
        operation=Operation(transfer_id, transfer_id, call.caller.change(transfer_id), call.now),
        index_buckets=index_buckets,
    )


def _transfer(
    request: TransferRequest, call: Call, transfer_id: str, legs: tuple[Leg, ...], buckets: int
) -> Transfer:
    if request.expires_in_seconds is not None and not request.hold:
        raise InvalidValue(
            "expires_in_seconds is only for holds; send hold: true", param="expires_in_seconds"
        )
    owner = call.caller.owner(call.acting_for)
    now = to_timestamp(call.now)
    status = TransferStatus.PENDING if request.hold else TransferStatus.PROCESSED
    lifetime = timedelta(seconds=request.expires_in_seconds or DEFAULT_HOLD_SECONDS)
    total = total_of(legs)
    return Transfer(
        id=transfer_id,
        operation_id=transfer_id,
        merchant_id=owner,
        merchant_bucket=bucket_for(owner, transfer_id, buckets),
        customer_id=request.customer_id,
        status_bucket=transfer_status_bucket(owner, status, transfer_id, buckets),
        hold_bucket=bucket_for(HOLD_QUEUE, transfer_id, HOLD_BUCKETS) if request.hold else None,
        legs=legs,
        amount=total,
        currency=request.currency,
        status=status,
        posted_amount=None if request.hold else total,
        expires_at=to_timestamp(call.now + lifetime) if request.hold else None,
        processed_at=None if request.hold else now,
        description=request.description,
        metadata=request.metadata,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=transfer_id).stamp(),
    )


def transfer_status_bucket(
    owner: str, status: TransferStatus, transfer_id: str, buckets: int
) -> str | None:
    """Key in `status-index`, which lists only open holds and failed attempts."""
    if status not in (TransferStatus.PENDING, TransferStatus.FAILED):
        return None
    return bucket_for(f"{owner}#{status}", transfer_id, buckets)


def transfer_answer(
    transfer: Transfer, balances_after: dict[str, int] | None = None
) -> TransferAnswer:
    """The public shape of a transfer."""
    sources = {leg.from_account_id for leg in transfer.legs}
    targets = {leg.to_account_id for leg in transfer.legs}
    return TransferAnswer(
        **{
            name: getattr(transfer, name)
            for name in TransferAnswer.model_fields
            if name not in ("from_account_id", "to_account_id", "balances_after")
        },
        from_account_id=sources.pop() if len(sources) == 1 else None,
        to_account_id=targets.pop() if len(targets) == 1 else None,
        balances_after=balances_after,
    )
