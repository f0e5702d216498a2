"""Tokens of the local stage contain exactly what was requested, signed by a private key."""

import json
import stat
from pathlib import Path

import jwt
import pytest

from local.auth import AuthSettings, Grant, claims, jwks, signing_key, token
from local.errors import LocalError
from local.workspace import Workspace

SETTINGS = AuthSettings("https://issuer.example", "payments-api", "payments/local/jwks")
NOW_SECONDS = 1_700_000_000


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    auth = {
        "issuer": SETTINGS.issuer,
        "audience": SETTINGS.audience,
        "jwks_secret_name": SETTINGS.jwks_secret_name,
    }
    (tmp_path / "cdk.json").write_text(
        json.dumps({"context": {"stages": {"local": {"auth": auth}}}})
    )
    return Workspace(root=tmp_path, directory=tmp_path / ".local")


def test_a_merchants_token_carries_the_merchant_and_its_permissions() -> None:
    said = claims(Grant(("payments", "refunds"), merchant_id="mer_1"), SETTINGS, NOW_SECONDS)
    assert said == {
        "sub": "local-developer",
        "merchant_id": "mer_1",
        "permissions": ["payments", "refunds"],
        "iss": "https://issuer.example",
        "aud": "payments-api",
        "iat": NOW_SECONDS,
        "exp": NOW_SECONDS + 3600,
    }


def test_an_operators_token_has_no_merchant() -> None:
    said = claims(Grant.operator(), SETTINGS, NOW_SECONDS)
    assert said["permissions"] == ["admin"]
    assert "merchant_id" not in said


def test_a_negative_lifetime_gives_an_expired_token() -> None:
    said = claims(Grant.operator(ttl_seconds=-60), SETTINGS, NOW_SECONDS)
    assert said["exp"] == NOW_SECONDS - 60
    assert said["iat"] <= said["exp"]


def test_the_published_key_verifies_the_token(workspace: Workspace) -> None:
    signed = token(Grant(("reports",), merchant_id="mer_1"), workspace)
    published = jwt.PyJWKSet.from_dict(jwks(signing_key(workspace)))
    key = published[jwt.get_unverified_header(signed)["kid"]]
    said = jwt.decode(
        signed, key, algorithms=["RS256"], audience=SETTINGS.audience, issuer=SETTINGS.issuer
    )
    assert said["merchant_id"] == "mer_1"


def test_the_key_is_created_once_and_readable_only_by_its_owner(workspace: Workspace) -> None:
    first = jwks(signing_key(workspace))
    assert jwks(signing_key(workspace)) == first
    (file,) = workspace.auth.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_published_key_contains_no_private_part(workspace: Workspace) -> None:
    (key,) = jwks(signing_key(workspace))["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "alg", "use"}


def test_a_project_without_a_local_stage_is_an_error(workspace: Workspace) -> None:
    (workspace.root / "cdk.json").write_text('{"context": {"stages": {}}}')
    with pytest.raises(LocalError, match=r"context\.stages\.local\.auth") as caught:
        token(Grant.operator(), workspace)
    assert "issuer" in caught.value.hint
