"""All errors of the runtime in one tree.

    PlatformError
    ├── BadRequest 400 ─ MalformedJson · UnknownField · UnknownParameter · InvalidParameter
    │                    · MissingIdempotencyKey · ConflictingIdempotencyKeys · BadCursor
    ├── Unauthorized 401 ─ BadSignature
    ├── Declined 402 ─ RefundFailed
    ├── Forbidden 403
    ├── NotFound 404
    ├── MethodNotAllowed 405
    ├── Conflict 409 ─ IdempotencyInFlight · AlreadyExists · AlreadyPosted · AlreadyCanceled
    │                  · HoldExpired · BalanceNotZero · OpenHolds · AccountInUse
    │                  · StaleVersion · InvalidState · SecretsStillSign
    │                  · EndpointLimitReached
    │                  · ProcessorAccountRemoved · ProcessorInUse
    │                  · AlreadyResolved · NotResolved
    ├── PayloadTooLarge 413
    ├── UnsupportedMediaType 415
    ├── Unprocessable 422 ─ InvalidValue · IdempotencyKeyReused · AmountTooLarge · CardDataRefused
    │                       · InactiveMerchant · SummaryTooLarge · SameAccount · InactiveAccount
    │                       · CurrencyMismatch · InsufficientFunds · ExceedsHold
    │                       · TooManyMethods · ChainTooLong · WrongProcessorMode
    │                       · ActionNotApplicable · LineDoesNotFit
    ├── Locked 423
    ├── RateLimited 429 ─ TooManyExports
    ├── Internal 500 ─ IntegrityError · KeyForgotten
    └── Unavailable 503 (retryable) ─ KeysUnavailable

    Internal; each is caught by the service that can handle it:
    AlreadyClaimed · StaleWrite · ProcessorUnknown · TouchesHotAccounts · FailedBefore

`code` is stable and snake_case, `detail` is one sentence with the relevant values, `param` names
the invalid field. Services raise; only the HTTP layer builds problem documents.
Request values enter a message only through `runtime.core.echo.echoed`.
"""

from __future__ import annotations

from runtime.core.errors.base import FieldError, PlatformError, Retry
from runtime.core.errors.conflicts import (
    AccountInUse,
    AlreadyCanceled,
    AlreadyExists,
    AlreadyPosted,
    AlreadyResolved,
    BalanceNotZero,
    Conflict,
    EndpointLimitReached,
    HoldExpired,
    IdempotencyInFlight,
    InvalidState,
    NotResolved,
    OpenHolds,
    ProcessorAccountRemoved,
    ProcessorInUse,
    SecretsStillSign,
    StaleVersion,
)
from runtime.core.errors.internal import (
    AlreadyClaimed,
    DecryptionFailure,
    EncryptedField,
    FailedBefore,
    IntegrityError,
    Internal,
    KeyForgotten,
    KeysUnavailable,
    ProcessorUnknown,
    StaleWrite,
    TouchesHotAccounts,
    Unavailable,
)
from runtime.core.errors.requests import (
    BadCursor,
    BadRequest,
    BadSignature,
    ConflictingIdempotencyKeys,
    Declined,
    Forbidden,
    InvalidParameter,
    Locked,
    MalformedJson,
    MethodNotAllowed,
    MissingIdempotencyKey,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    RefundFailed,
    TooManyExports,
    Unauthorized,
    UnknownField,
    UnknownParameter,
    UnsupportedMediaType,
)
from runtime.core.errors.unprocessable import (
    ActionNotApplicable,
    AmountTooLarge,
    CardDataRefused,
    ChainTooLong,
    CurrencyMismatch,
    ExceedsHold,
    IdempotencyKeyReused,
    InactiveAccount,
    InactiveMerchant,
    InsufficientFunds,
    InvalidValue,
    LineDoesNotFit,
    SameAccount,
    SummaryTooLarge,
    TooManyMethods,
    Unprocessable,
    WrongProcessorMode,
)

__all__ = [
    "AccountInUse",
    "ActionNotApplicable",
    "AlreadyCanceled",
    "AlreadyClaimed",
    "AlreadyExists",
    "AlreadyPosted",
    "AlreadyResolved",
    "AmountTooLarge",
    "BadCursor",
    "BadRequest",
    "BadSignature",
    "BalanceNotZero",
    "CardDataRefused",
    "ChainTooLong",
    "Conflict",
    "ConflictingIdempotencyKeys",
    "CurrencyMismatch",
    "Declined",
    "DecryptionFailure",
    "EncryptedField",
    "EndpointLimitReached",
    "ExceedsHold",
    "FailedBefore",
    "FieldError",
    "Forbidden",
    "HoldExpired",
    "IdempotencyInFlight",
    "IdempotencyKeyReused",
    "InactiveAccount",
    "InactiveMerchant",
    "InsufficientFunds",
    "IntegrityError",
    "Internal",
    "InvalidParameter",
    "InvalidState",
    "InvalidValue",
    "KeyForgotten",
    "KeysUnavailable",
    "LineDoesNotFit",
    "Locked",
    "MalformedJson",
    "MethodNotAllowed",
    "MissingIdempotencyKey",
    "NotFound",
    "NotResolved",
    "OpenHolds",
    "PayloadTooLarge",
    "PlatformError",
    "ProcessorAccountRemoved",
    "ProcessorInUse",
    "ProcessorUnknown",
    "RateLimited",
    "RefundFailed",
    "Retry",
    "SameAccount",
    "SecretsStillSign",
    "StaleVersion",
    "StaleWrite",
    "SummaryTooLarge",
    "TooManyExports",
    "TooManyMethods",
    "TouchesHotAccounts",
    "Unauthorized",
    "Unavailable",
    "UnknownField",
    "UnknownParameter",
    "Unprocessable",
    "UnsupportedMediaType",
    "WrongProcessorMode",
]
