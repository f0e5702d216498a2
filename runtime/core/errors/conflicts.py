"""409: the resource is in another state than the request needs."""

from __future__ import annotations

from http import HTTPStatus

from runtime.core.errors.base import PlatformError


class Conflict(PlatformError):
    """The resource is in another state than the request needs."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "The request conflicts with the current state"


class IdempotencyInFlight(Conflict):
    """The first request with this key is still running."""

    code = "idempotency_in_flight"
    title = "The first request with this Idempotency-Key is still running"
    retry_after_seconds = 1


class AlreadyExists(Conflict):
    """Something unique is taken."""

    code = "already_exists"
    title = "The resource already exists"


class AlreadyPosted(Conflict):
    """The transfer's money has moved; a correction is a new transfer."""

    code = "already_posted"
    title = "The transfer has already been processed"


class AlreadyCanceled(Conflict):
    """The hold was given back before."""

    code = "already_canceled"
    title = "The hold has already been canceled"


class HoldExpired(Conflict):
    """The hold's time is over; its money is given back."""

    code = "hold_expired"
    title = "The hold has expired"


class BalanceNotZero(Conflict):
    """The account that is to be closed still has money."""

    code = "balance_not_zero"
    title = "The account's balance is not zero"


class OpenHolds(Conflict):
    """Money is held from or towards the account that is to be closed."""

    code = "open_holds"
    title = "The account has open holds"


class AccountInUse(Conflict):
    """Payments are booked on the account that is to be closed."""

    code = "account_in_use"
    title = "The account is in use"


class StaleVersion(Conflict):
    """Somebody changed it since the caller read it: read it again, then repeat the change."""

    code = "stale_version"
    title = "The resource has changed since it was read"


class InvalidState(Conflict):
    """A payment or processor event is where this step is not allowed; the detail says where."""

    code = "invalid_state"
    title = "The current state does not allow this"


class SecretsStillSign(Conflict):
    """As many replaced webhook secrets as there may be still sign; the detail says until when."""

    code = "secrets_still_sign"
    title = "Too many previous webhook secrets are still valid"


class ProcessorAccountRemoved(Conflict):
    """The account that the payment was sent to has no key here any more: nobody can ask it."""

    code = "processor_account_removed"
    title = "The key of the payment's processor account was removed"


class ProcessorInUse(Conflict):
    """Something at the processor account is open, or was not answered yet: its key is needed."""

    code = "processor_in_use"
    title = "The processor account is in use"


class AlreadyResolved(Conflict):
    """The settlement line needs no decision (any more); the detail says why."""

    code = "already_resolved"
    title = "The settlement line needs no decision"


class NotResolved(Conflict):
    """There is no decision about the settlement line that could be undone."""

    code = "not_resolved"
    title = "The settlement line has no decision to undo"
