"""The base of all settings, and their conversion to and from environment variables."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, BeforeValidator, field_validator

from runtime.settings.table_uses import TableUses

_LEAN: Final = "lean"
_DEFAULT_CLIENT: Final = _LEAN


def parsed_json(value: Any) -> Any:
    """The value of a variable that is JSON, such as TABLES."""
    return json.loads(value) if isinstance(value, str) else value


class Settings(BaseModel, frozen=True, extra="forbid", defer_build=True):
    """Settings of every Lambda."""

    TABLE_USES: ClassVar[TableUses] = {}
    """The tables that the function uses, and what it may do with each."""

    stage: str
    service: str
    tables: Annotated[Mapping[str, str], BeforeValidator(parsed_json)]
    """Physical names by schema name, of the tables in `TABLE_USES` and of no others."""

    dynamodb_client: str | None = None
    """`lean` (the default) or `botocore` (decision 0075); anything else means botocore."""

    @field_validator("tables")
    @classmethod
    def _has_a_name_for_each_table(cls, given: Mapping[str, str]) -> Mapping[str, str]:
        if missing := sorted(set(cls.TABLE_USES) - set(given)):
            raise ValueError(f"the physical name is missing for {', '.join(missing)}")
        return {name: given[name] for name in sorted(cls.TABLE_USES)}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings. Raises ValidationError with the missing or invalid names."""
        names = {name.upper(): name for name in cls.model_fields}
        return cls.model_validate(
            {names[key]: value for key, value in environment.items() if key in names}
        )

    def environment(self) -> dict[str, str]:
        """The environment variables for `from_environment`."""
        return {
            name.upper(): _text(value) for name, value in self.model_dump(exclude_none=True).items()
        }

    @property
    def uses_lean_client(self) -> bool:
        """Whether DynamoDB, and KMS for data keys, are called by the lean clients."""
        return (self.dynamodb_client or _DEFAULT_CLIENT) == _LEAN


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else str(value)
