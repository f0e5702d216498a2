"""A stage that is deployed already, as end-to-end tests reach it: by its outputs and a token."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from uuid import uuid4

import pytest

from local.api_client import ApiClient
from local.auth import OPERATOR_PERMISSION
from local.stackfile import Stack
from operations.deployed import names_of, output_of, use_region
from operations.upload_settlement import TOKEN_VARIABLE

STAGE_VARIABLE: Final = "E2E_STAGE"
URL_VARIABLE: Final = "E2E_API_URL"
"""The API's address, where it is not the one of the outputs: a domain of one's own."""
NOWHERE: Final = "http://emulator.invalid"


def remote_stage() -> str | None:
    """Name of the deployed stage that the tests are for, or None."""
    return os.environ.get(STAGE_VARIABLE) or None


def remote_stack(stage: str) -> Stack:
    """The stage as its stacks' outputs describe it. Nothing in it is a credential."""
    use_region(os.environ)
    return Stack(
        api_url=os.environ.get(URL_VARIABLE) or output_of(stage, "api", "ApiUrl"),
        aws_endpoint_url=NOWHERE,
        region="",
        access_key_id="",
        secret_access_key="",
        buckets=names_of(stage, "data", "Buckets"),
        tables=names_of(stage, "data", "Tables"),
        functions=names_of(stage, "api", "Functions"),
        schedules={},
    )


@dataclass
class Caller:
    """Speaks for an operator by the token of the environment, and for merchants by API keys.

    Only the issuer can sign tokens of a deployed stage, so a merchant's permissions are given to an
    API key, once for each set of them.
    """

    api_url: str
    operator_token: str = field(repr=False)
    keys: dict[tuple[str, frozenset[str]], str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls, api_url: str) -> Caller:
        """Ends the run if there is no token."""
        token = os.environ.get(TOKEN_VARIABLE)
        if not token:
            pytest.exit(f"There is no operator's token: put it into {TOKEN_VARIABLE}.", 2)
        return cls(api_url, token)

    @cached_property
    def operator(self) -> ApiClient:
        """A platform operator."""
        return ApiClient(self.api_url, self.operator_token)

    def bearer(self, merchant_id: str | None, permissions: tuple[str, ...]) -> str:
        """A bearer credential with these permissions; the test is skipped if none can be made."""
        if merchant_id is None or OPERATOR_PERMISSION in permissions:
            if permissions == (OPERATOR_PERMISSION,):
                return self.operator_token
            pytest.skip("only the issuer can sign such a token")
        wanted = (merchant_id, frozenset(permissions))
        if wanted not in self.keys:
            body = {
                "merchant_id": merchant_id,
                "name": f"end-to-end tests {uuid4().hex[:8]}",
                "permissions": sorted(permissions),
            }
            made = self.operator.post("/v1/api-keys", body).require(201)
            self.keys[wanted] = made["secret"]
        return self.keys[wanted]
