"""The base of all errors that callers see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from runtime.core.echo import safe


@dataclass(frozen=True, slots=True)
class FieldError:
    """A validation error of one field; `param` is its path in the body or query."""

    param: str
    detail: str


class PlatformError(Exception):
    """Base of the errors that callers see."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
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
