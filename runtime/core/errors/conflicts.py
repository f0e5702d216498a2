"""409: the resource's current state does not allow the request."""

from __future__ import annotations

from http import HTTPStatus

from runtime.core.errors.base import PlatformError


class Conflict(PlatformError):
    """The resource's current state does not allow the request."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "The request conflicts with the current state"


class IdempotencyInFlight(Conflict):
    """The first request with this key is still running."""

    code = "idempotency_in_flight"
    title = "The first request with this Idempotency-Key is still running"
    retry_after_seconds = 1


class AlreadyExists(Conflict):
    """A unique value is taken."""

    code = "already_exists"
    title = "The resource already exists"


class AlreadyPosted(Conflict):
    """The transfer was processed; a correction is a new transfer."""

    code = "already_posted"
    title = "The transfer has already been processed"


class AlreadyCanceled(Conflict):
    """The hold was released before."""

    code = "already_canceled"
    title = "The hold has already been canceled"


class HoldExpired(Conflict):
    """The hold has expired; its funds were released."""

    code = "hold_expired"
    title = "The hold has expired"


class BalanceNotZero(Conflict):
    """An account to be closed still has a balance."""

    code = "balance_not_zero"
    title = "The account's balance is not zero"


class OpenHolds(Conflict):
    """An account to be closed has funds held from or to it."""

    code = "open_holds"
    title = "The account has open holds"


class AccountInUse(Conflict):
    """An account to be closed is used for booking payments."""

    code = "account_in_use"
    title = "The account is in use"


class StaleVersion(Conflict):
    """It changed since the caller read it: read it again, then repeat the change."""

    code = "stale_version"
    title = "The resource has changed since it was read"


class InvalidState(Conflict):
    """The payment or processor event does not allow this step in its state; see the detail."""

    code = "invalid_state"
    title = "The current state does not allow this"


class SecretsStillSign(Conflict):
    """The maximum number of replaced webhook secrets still sign; the detail says until when."""

    code = "secrets_still_sign"
    title = "Too many previous webhook secrets are still valid"


class ProcessorAccountRemoved(Conflict):
    """The key of the payment's processor account was removed, so its state cannot be queried."""

    code = "processor_account_removed"
    title = "The key of the payment's processor account was removed"


class ProcessorInUse(Conflict):
    """The processor account has open payments or unanswered requests, which need its key."""

    code = "processor_in_use"
    title = "The processor account is in use"


class AlreadyResolved(Conflict):
    """The settlement line needs no decision; the detail says why."""

    code = "already_resolved"
    title = "The settlement line needs no decision"


class NotResolved(Conflict):
    """The settlement line has no decision to undo."""

    code = "not_resolved"
    title = "The settlement line has no decision to undo"
