"""409: the resource's current state does not allow the request."""

from __future__ import annotations

from http import HTTPStatus

from runtime.core.errors.base import PlatformError, Retry


class Conflict(PlatformError):
    """The resource's current state does not allow the request."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "The request conflicts with the current state"
    retry = Retry.CHECK
    advice = "Read the resource, and decide by its state."


class IdempotencyInFlight(Conflict):
    """The first request with this key is still running."""

    code = "idempotency_in_flight"
    title = "The first request with this Idempotency-Key is still running"
    retry = Retry.SAME_KEY
    advice = "Wait for the first request: repeat it with the same key after Retry-After."
    retry_after_seconds = 1


class AlreadyExists(Conflict):
    """A unique value is taken."""

    code = "already_exists"
    title = "The resource already exists"
    retry = Retry.CHANGED
    advice = "Use the existing resource, or another value."


class AlreadyPosted(Conflict):
    """The transfer was processed; a correction is a new transfer."""

    code = "already_posted"
    title = "The transfer has already been processed"
    retry = Retry.NO
    advice = "Nothing is left to do. To correct it, make a new transfer in the other direction."


class AlreadyCanceled(Conflict):
    """The hold was released before."""

    code = "already_canceled"
    title = "The hold has already been canceled"
    retry = Retry.NO
    advice = "Nothing is left to do. To move the money, make a new transfer."


class HoldExpired(Conflict):
    """The hold has expired; its funds were released."""

    code = "hold_expired"
    title = "The hold has expired"
    retry = Retry.NO
    advice = "Place a new hold."


class BalanceNotZero(Conflict):
    """An account to be closed still has a balance."""

    code = "balance_not_zero"
    title = "The account's balance is not zero"
    retry = Retry.CHECK
    advice = "Transfer the balance away, then close the account."


class OpenHolds(Conflict):
    """An account to be closed has funds held from or to it."""

    code = "open_holds"
    title = "The account has open holds"
    retry = Retry.CHECK
    advice = "Post or cancel the open holds, then close the account."


class AccountInUse(Conflict):
    """An account to be closed is used for booking payments."""

    code = "account_in_use"
    title = "The account is in use"
    retry = Retry.NO
    advice = "Keep the account: payments of its merchant are booked through it."


class StaleVersion(Conflict):
    """It changed since the caller read it: read it again, then repeat the change."""

    code = "stale_version"
    title = "The resource has changed since it was read"
    retry = Retry.CHECK
    advice = "Read the resource, apply your change to it, and send its present `version`."


class InvalidState(Conflict):
    """The payment or processor event does not allow this step in its state; see the detail."""

    code = "invalid_state"
    title = "The current state does not allow this"
    retry = Retry.CHECK
    advice = "Read the resource; `detail` names the state that does not allow the step."


class SecretsStillSign(Conflict):
    """The maximum number of replaced webhook secrets still sign; the detail says until when."""

    code = "secrets_still_sign"
    title = "Too many previous webhook secrets are still valid"
    retry = Retry.CHECK
    advice = "Wait until the time in `detail`, or rotate with `revoke_old`."


class EndpointLimitReached(Conflict):
    """The merchant has the maximum number of webhook endpoints; the detail says how many."""

    code = "endpoint_limit_reached"
    title = "The merchant has the maximum number of webhook endpoints"
    retry = Retry.CHECK
    advice = "Delete an endpoint that is no longer needed, then send the request again."


class ProcessorAccountRemoved(Conflict):
    """The key of the payment's processor account was removed, so its state cannot be queried."""

    code = "processor_account_removed"
    title = "The key of the payment's processor account was removed"
    retry = Retry.NO
    advice = "Ask the processor itself about the payment."


class ProcessorInUse(Conflict):
    """The processor account has open payments or unanswered requests, which need its key."""

    code = "processor_in_use"
    title = "The processor account is in use"
    retry = Retry.CHECK
    advice = "Wait until the payments that `detail` names are final."


class AlreadyResolved(Conflict):
    """The settlement line needs no decision; the detail says why."""

    code = "already_resolved"
    title = "The settlement line needs no decision"
    retry = Retry.NO
    advice = "Undo the line's decision first if another one is right."


class NotResolved(Conflict):
    """The settlement line has no decision to undo."""

    code = "not_resolved"
    title = "The settlement line has no decision to undo"
    retry = Retry.NO
    advice = "Nothing is left to do."
