"""A route of the API: its function, its permission, its request and its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel

Method = Literal["GET", "POST", "PATCH", "DELETE"]
Function = Literal["process", "query"]


class Permission(StrEnum):
    """Permissions of tokens; an operator's `admin` implies all others.

    `merchant`: changes of the merchant's own profile, its webhook endpoints and their secrets.
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

    No `permission`, and not `public`: any valid token; the service checks (admin or own).
    `signed`: public, but authenticated by the processor's signature on the raw body.
    `form`: what one of our own public pages sends, as a form instead of JSON.
    `body_optional`: a missing body stands for `{}`.
    `answers` maps each success status to its model (None: no JSON body).
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
    form: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    idempotent: Literal["required", "honoured", "no"] = "no"
    refusals: tuple[HTTPStatus, ...] = field(default=())
