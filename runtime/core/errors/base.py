"""What all errors that callers see have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from runtime.core.echo import safe


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request; `param` is its path in the body or query."""

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
        """All invalid fields of the request, if it was refused for some; the first is `param`."""
        self.transfer_id: str | None = None
        """The failed transfer in which this refusal is recorded."""

    def extensions(self) -> dict[str, str | bool]:
        """Members that this error adds to its problem document."""
        return {} if self.transfer_id is None else {"transfer_id": self.transfer_id}
