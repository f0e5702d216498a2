"""Shapes of the routes about the API itself."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from runtime.contract.base import Answer


class Health(Answer, frozen=True):
    """The API answers."""

    status: Literal["ok"] = "ok"
    stage: str


class Problem(BaseModel, frozen=True):
    """An error: RFC 9457 application/problem+json."""

    type: str = Field(description="A stable URI per code.")
    title: str
    status: int
    detail: str = Field(description="One sentence with the values that matter.")
    instance: str
    code: str = Field(description="Stable, snake_case.")
    param: str | None = Field(default=None, description="The field at fault.")
    request_id: str
    decline_code: str | None = None
    payment_id: str | None = None
    retriable: bool | None = Field(
        default=None, description="Of a decline: whether a new request may succeed later."
    )
    transfer_id: str | None = Field(
        default=None, description="The failed transfer in which the refusal is recorded."
    )
