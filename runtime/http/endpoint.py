"""What a route of the API is: who serves it, who may call it, what goes in and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel

Method = Literal["GET", "POST", "PATCH", "DELETE"]
Function = Literal["process", "query"]


class Permission(StrEnum):
    """What a token may allow; an operator's `admin` implies all others.

    `merchant`: the merchant's own profile, its webhooks and their secrets.
    """

    PAYMENTS = "payments"
    REFUNDS = "refunds"
    CUSTOMERS = "customers"
    ACCOUNTS = "accounts"
    TRANSFERS = "transfers"
    REPORTS = "reports"
    MERCHANT = "merchant"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method on one path.

    No `permission`, and not `public`: any valid token will do; the service judges (admin or own).
    `signed`: public, but for whom the processor's signature on the raw body vouches.
    `body_optional`: no body at all stands for `{}`.
    `answers` maps each success status to its model (None: no JSON body of ours).
    """

    operation: str
    method: Method
    path: str
    function: Function
    summary: str
    tag: str
    answers: dict[HTTPStatus, type[BaseModel] | None]
    permission: Permission | None = None
    public: bool = False
    signed: bool = False
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    idempotent: Literal["required", "honoured", "no"] = "no"
    refusals: tuple[HTTPStatus, ...] = field(default=())
