"""Who calls, as the authorizer vouched for, and for which merchant they may act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from runtime.contract.endpoints import Permission
from runtime.errors import Forbidden, InvalidValue, NotFound
from runtime.models.change import ChangeContext
from runtime.models.fields import PLATFORM


class Owned(Protocol):
    """A row that belongs to a merchant or to the platform."""

    @property
    def merchant_id(self) -> str:
        """The owner: a merchant's id, or `platform`."""
        ...


OwnedT = TypeVar("OwnedT", bound=Owned)


@dataclass(frozen=True, slots=True)
class Caller:
    """A token's claims. `merchant_id` is None for platform operators."""

    subject: str
    merchant_id: str | None
    permissions: frozenset[str]
    request_id: str
    ip_address: str = ""
    user_agent: str = ""

    @property
    def is_operator(self) -> bool:
        """Whether the token may do everything for everybody."""
        return Permission.ADMIN in self.permissions and self.merchant_id is None

    def require(self, permission: Permission) -> None:
        """Raises Forbidden unless the token has `permission`, or `admin` without a merchant."""
        if self.is_operator:
            return
        if permission is Permission.ADMIN or permission not in self.permissions:
            raise Forbidden(f"this token lacks the permission {permission!s}")

    def merchant(self, acting_for: str | None) -> str:
        """The merchant this call is about.

        Raises Forbidden, or InvalidValue for an operator who names none.
        """
        merchant_id = self.owner(acting_for)
        if merchant_id == PLATFORM:
            raise InvalidValue(
                "an operator must say for which merchant: give merchant_id", param="merchant_id"
            )
        return merchant_id

    def owner(self, acting_for: str | None) -> str:
        """The merchant this call is about, or `platform` for an operator who names none."""
        if self.is_operator:
            return acting_for or PLATFORM
        if acting_for is not None:
            raise Forbidden("merchant_id is for operators; yours is in your token")
        if self.merchant_id is None:
            raise Forbidden("this token names no merchant and is no operator's")
        return self.merchant_id

    def may_see(self, owner: str) -> bool:
        """Whether a resource of `owner` exists for this caller."""
        return self.is_operator or owner == self.merchant_id

    def change(self, cause: str) -> ChangeContext:
        """The stamp of a change that this caller makes because of `cause`."""
        return ChangeContext(
            changed_by=self.subject,
            request_id=self.request_id,
            cause=cause,
            ip_address=self.ip_address,
            user_agent=self.user_agent,
        )


def visible(caller: Caller, row: OwnedT | None, kind: str, identifier: str) -> OwnedT:
    """`row`, if it exists and is the caller's to see. Raises NotFound: somebody else's is none."""
    if row is None or not caller.may_see(row.merchant_id):
        raise NotFound(f"no {kind} {identifier}")
    return row
