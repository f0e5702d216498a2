"""Tokens of the local stage: a key pair that never leaves this machine, and claims signed by it."""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.algorithms import RSAAlgorithm

from local.errors import LocalError
from local.workspace import Workspace

ALGORITHM: Final = "RS256"
KEY_BITS: Final = 2048
DEFAULT_TTL_SECONDS: Final = 3600
DEFAULT_SUBJECT: Final = "local-developer"
MERCHANT_PERMISSIONS: Final = (
    "payments",
    "refunds",
    "customers",
    "accounts",
    "transfers",
    "reports",
    "merchant",
)
OPERATOR_PERMISSION: Final = "admin"
_KEY_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


@dataclass(frozen=True)
class AuthSettings:
    """The deployed authorizer's requirements, from the same source: the stage in cdk.json."""

    issuer: str
    audience: str
    jwks_secret_name: str

    @classmethod
    def of_local_stage(cls, root: Path) -> "AuthSettings":
        """Read it. Raises LocalError when cdk.json does not describe it."""
        file = root / "cdk.json"
        try:
            auth = json.loads(file.read_text())["context"]["stages"]["local"]["auth"]
            return cls(auth["issuer"], auth["audience"], auth["jwks_secret_name"])
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            raise LocalError(
                f"{file.name} has no usable context.stages.local.auth ({error!r}).",
                hint="It needs the strings issuer, audience and jwks_secret_name.",
            ) from error


@dataclass(frozen=True)
class Grant:
    """Who a token speaks for. No merchant means a platform operator."""

    permissions: tuple[str, ...]
    merchant_id: str | None = None
    subject: str = DEFAULT_SUBJECT
    ttl_seconds: int = DEFAULT_TTL_SECONDS

    @classmethod
    def operator(cls, ttl_seconds: int = DEFAULT_TTL_SECONDS) -> "Grant":
        """A platform operator, who may do everything."""
        return cls((OPERATOR_PERMISSION,), ttl_seconds=ttl_seconds)


def signing_key(workspace: Workspace) -> rsa.RSAPrivateKey:
    """This workspace's private key, made at its first use and readable by its owner only."""
    file = workspace.auth / "private-key.pem"
    if file.exists():
        loaded = _loaded(file.read_bytes())
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise LocalError(
                f"{file} does not contain an RSA key.", hint="Delete it; a new one is made."
            )
        return loaded
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    workspace.auth.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    # Written beside and renamed: a killed command must not leave half a key for the next one.
    half = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(
        os.open(half, os.O_CREAT | os.O_WRONLY | os.O_EXCL, _KEY_FILE_MODE), "wb"
    ) as out:
        out.write(pem)
    half.rename(file)
    return key


@lru_cache(maxsize=2)
def _loaded(pem: bytes) -> PrivateKeyTypes:
    """Checking an RSA key costs 80 ms of a processor, far more than signing a token with it."""
    return serialization.load_pem_private_key(pem, password=None)


def jwks(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """The public half as a JSON Web Key Set."""
    public: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    public.pop("key_ops", None)
    return {"keys": [{**public, "kid": key_id(key), "alg": ALGORITHM, "use": "sig"}]}


def key_id(key: rsa.RSAPrivateKey) -> str:
    """The key's name, derived from its content (RFC 7638 thumbprint's digest, shortened)."""
    public: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    required = {name: public[name] for name in ("e", "kty", "n")}
    canonical = json.dumps(required, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def claims(grant: Grant, settings: AuthSettings, now_seconds: int) -> dict[str, Any]:
    """The token's content. A negative lifetime: issued and expired in the past."""
    expires = now_seconds + grant.ttl_seconds
    said: dict[str, Any] = {
        "sub": grant.subject,
        "permissions": list(grant.permissions),
        "iss": settings.issuer,
        "aud": settings.audience,
        "iat": min(now_seconds, expires),
        "exp": expires,
    }
    return said if grant.merchant_id is None else {**said, "merchant_id": grant.merchant_id}


def token(grant: Grant, workspace: Workspace) -> str:
    """A signed JWT which the local stage's authorizer accepts.

    Raises:
        LocalError: cdk.json does not describe the local stage's authentication.
    """
    settings = AuthSettings.of_local_stage(workspace.root)
    key = signing_key(workspace)
    content = claims(grant, settings, int(time.time()))
    return jwt.encode(content, key, algorithm=ALGORITHM, headers={"kid": key_id(key)})
