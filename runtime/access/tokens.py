"""Verify bearer tokens: RFC 7519 JWTs signed by the issuer. Anything else is rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt
from jwt import PyJWK

from runtime.access.token_keys import PublicKeys, SharedSecret
from runtime.http.identity import (
    MAX_CLAIM_CHARACTERS,
    Identity,
    Refusal,
    TokenRefused,
    identity_of_token,
)

if TYPE_CHECKING:
    from runtime.settings import AuthorizerSettings

PUBLIC_KEY_ALGORITHMS: Final = ("RS256", "ES256")
HMAC_ALGORITHM: Final = "HS256"
REQUIRED_CLAIMS: Final = ("sub", "iss", "aud", "exp", "permissions")
TOKEN_TYPES: Final = frozenset({"jwt", "at+jwt"})
"""Accepted `typ` values, in lower case and without `application/` (RFC 7515 section 4.1.9).

A JWT or an access token (RFC 9068 section 2.1). Tokens that the issuer makes for other uses have
another `typ` (RFC 8725 section 3.11). Many issuers omit it, which RFC 7519 section 5.1 permits.
"""
MAX_TOKEN_CHARACTERS = 8_192
"""API Gateway accepts 10,240 bytes of headers in total."""


_REASONS: Final[tuple[tuple[type[jwt.PyJWTError], Refusal], ...]] = (
    (jwt.InvalidSignatureError, Refusal.SIGNATURE),
    (jwt.DecodeError, Refusal.MALFORMED),
    (jwt.ExpiredSignatureError, Refusal.EXPIRED),
    (jwt.ImmatureSignatureError, Refusal.NOT_YET_VALID),
    (jwt.MissingRequiredClaimError, Refusal.MISSING_CLAIM),
    (jwt.InvalidIssuerError, Refusal.ISSUER),
    (jwt.InvalidAudienceError, Refusal.AUDIENCE),
    (jwt.InvalidAlgorithmError, Refusal.ALGORITHM),
    (jwt.InvalidTokenError, Refusal.CLAIMS),
    (jwt.PyJWTError, Refusal.KEYS_UNREADABLE),
)
"""Subclasses first: InvalidSignatureError is a DecodeError."""


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The keys of this stage. None: tokens of that kind are not accepted."""

    public: PublicKeys | None = None
    secret: SharedSecret | None = None


def verify_token(token: str, keys: TokenKeys, settings: AuthorizerSettings) -> Identity:
    """The identity of a valid token. Raises TokenRefused for anything else."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise TokenRefused(
            Refusal.TOO_LONG, f"the token is longer than {MAX_TOKEN_CHARACTERS} characters"
        )
    try:
        header = jwt.get_unverified_header(token)
        _require_token_type(header)
        key, algorithms = _key_for(header, keys)
        claims = jwt.decode(
            token,
            key,
            algorithms=algorithms,
            issuer=settings.issuer,
            audience=settings.audience,
            leeway=settings.leeway_seconds,
            options={"require": list(REQUIRED_CLAIMS), "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise TokenRefused(_reason_of(error), type(error).__name__) from error
    expires_at = int(claims["exp"]) + settings.leeway_seconds
    return identity_of_token(claims, claims["permissions"], expires_at)


def _require_token_type(header: dict[str, Any]) -> None:
    kind = header.get("typ")
    if kind is None:
        return
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TOKEN_TYPES:
        raise TokenRefused(Refusal.TYPE, "typ is that of a token for another use")


def _key_for(header: dict[str, Any], keys: TokenKeys) -> tuple[PyJWK | bytes, list[str]]:
    """The key for the token, and the algorithms allowed with it.

    A public key never verifies an HMAC, and the secret nothing else (RFC 8725 section 3.1).
    """
    algorithm = header.get("alg")
    if algorithm == HMAC_ALGORITHM and keys.secret is not None:
        return keys.secret.value(), [HMAC_ALGORITHM]
    if algorithm not in PUBLIC_KEY_ALGORITHMS or keys.public is None:
        raise TokenRefused(Refusal.ALGORITHM, "the token's algorithm is not accepted")
    kid = header.get("kid")
    if not isinstance(kid, str) or len(kid) > MAX_CLAIM_CHARACTERS:
        raise TokenRefused(Refusal.UNKNOWN_KEY, "the token's kid is missing or invalid")
    return keys.public.key(kid), list(PUBLIC_KEY_ALGORITHMS)


def _reason_of(error: jwt.PyJWTError) -> Refusal:
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))
