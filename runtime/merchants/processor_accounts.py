"""The earlier processor accounts of a merchant, whose keys are kept when it changes accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from runtime.core.fields import Timestamp
from runtime.merchants.models import Merchant, ProcessorAccount, ProcessorName

Config = dict[str, Any]
UNNAMED: Final = "unnamed"
"""The name for the account of payments that do not name one."""


@dataclass(frozen=True, slots=True)
class EarlierAccounts:
    """The accounts that a merchant used before, and their configurations by `config_key`."""

    accounts: tuple[ProcessorAccount, ...]
    configs: dict[str, Config] = field(repr=False)

    @classmethod
    def of(cls, row: Merchant) -> EarlierAccounts:
        """The earlier accounts in the merchant's row."""
        return cls(row.earlier_accounts, row.earlier_configs)

    def without(self, account: ProcessorAccount) -> EarlierAccounts:
        """Without this account and its keys."""
        others = tuple(each for each in self.accounts if each.config_key != account.config_key)
        configs = {key: of for key, of in self.configs.items() if key != account.config_key}
        return EarlierAccounts(others, configs)

    def plus(self, account: ProcessorAccount, config: Config) -> EarlierAccounts:
        """With this account added as the most recent one."""
        others = self.without(account)
        return EarlierAccounts(
            (*others.accounts, account), {**others.configs, account.config_key: config}
        )

    def changes(self) -> dict[str, Any]:
        """The merchant fields that store them."""
        return {"earlier_accounts": self.accounts, "earlier_configs": self.configs}


def accounts_after_move(
    row: Merchant, uses: ProcessorAccount, config: Config, *, moves: bool
) -> EarlierAccounts:
    """The earlier accounts of `row` once it uses `uses` with `config`.

    `moves`: `uses` is not the current account, whose keys are then kept. Payments from before
    account ids were stored do not name one; their keys are kept under None. If the account that
    they belong to gets a new key, the entry under None gets it too.
    """
    earlier = EarlierAccounts.of(row)
    replaced = earlier.configs.get(uses.config_key) if moves else row.processor_config
    unnamed = _at(uses.processor, None, uses.left_at).config_key
    configs = {
        key: config if key == unnamed and of == replaced else of
        for key, of in earlier.configs.items()
    }
    earlier = EarlierAccounts(earlier.accounts, configs).without(uses)
    if moves or row.processor_account is None:
        left = _at(row.processor, row.processor_account, uses.left_at)
        return earlier.plus(left, row.processor_config if moves else config)
    return earlier


def _at(processor: ProcessorName, account: str | None, left_at: Timestamp) -> ProcessorAccount:
    return ProcessorAccount(processor=processor, account=account, left_at=left_at)
