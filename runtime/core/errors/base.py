"""The base of all errors that callers see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import ClassVar

from runtime.core.echo import safe


@dataclass(frozen=True, slots=True)
class FieldError:
    """A validation error of one field; `param` is its path in the body or query."""

    param: str
    detail: str


class Retry(StrEnum):
    """Whether, and how, the same thing may be asked for again after an error."""

    NO = "no"
    """Never: the state that refused it is final."""
    CHANGED = "when corrected"
    """Only once the request itself is corrected."""
    CHECK = "when the state allows it"
    """Once the state has changed that `detail` names: read the resource first."""
    SAME_KEY = "same key"
    """The same request, with the same Idempotency-Key; after Retry-After, if the answer has it."""
    NEW_KEY = "new key"
    """With a new Idempotency-Key, once the cause has gone: the old key repeats this answer."""


class PlatformError(Exception):
    """Base of the errors that callers see."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    retry: ClassVar[Retry] = Retry.SAME_KEY
    advice: ClassVar[str] = (
        "Report the `request_id`. Whether anything was done is not certain: repeat the "
        "request with the same Idempotency-Key, or read the resource."
    )
    """What the caller should do, for the error catalogue."""
    retry_after_seconds: int | None = None

    def __init__(
        self, detail: str, *, param: str | None = None, errors: Iterable[FieldError] = ()
    ) -> None:
        self.detail = safe(detail)
        super().__init__(self.detail)
        self.param = param
        self.errors = tuple(FieldError(each.param, safe(each.detail)) for each in errors)
        """All invalid fields of the request; the first is also `param`."""
        self.transfer_id: str | None = None
        """Id of the failed transfer that records this error."""

    def extensions(self) -> dict[str, str | bool]:
        """Additional members of the problem document."""
        return {} if self.transfer_id is None else {"transfer_id": self.transfer_id}
