"""Partition keys as templates, and the rules by which the runtime chooses buckets and shards.

A recorded key is turned into a template: ids become placeholders, and a bucket's number becomes the
rule that the number follows from. Every rule is checked against the recorded key, so that the load
model and the runtime cannot differ without notice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from runtime.audit.models import ACTION_BUCKETS, USER_BUCKETS
from runtime.core.fields import PLATFORM
from runtime.dynamodb.capacity import Item
from runtime.dynamodb.index_shards import (
    HOLD_BUCKETS,
    OPEN_BUCKETS,
    PLATFORM_BUCKETS,
    RETRY_BUCKETS,
    bucket_for,
    payment_open_bucket,
    unsettled_buckets,
)
from runtime.ledger.accounts.models import PROFILE_SHARD
from runtime.ledger.entries.models import credit_partition
from runtime.ledger.hot_accounts.rules import debit_shard, is_credit_shard

ACCOUNT_ROW: Final = re.compile(r"(acc_[\w{}]+|\{source\}|\{target\})#([de]?\d\d)\b")
"""A row of an account and its shard, or a partition of its entries."""
_ULID: Final = re.compile(r"\b([a-z]+_)?([0-9A-HJKMNP-TV-Z]{26})\b")
_BUCKET: Final = re.compile(r"#\d{3}$")
_NEW: Final = re.compile(r"\{\d+\}")

Buckets = Callable[[str, int], int]
"""Number of buckets of a name, for a merchant with so many index buckets."""


def _own(name: str, index_buckets: int) -> int:
    return PLATFORM_BUCKETS if name == PLATFORM else index_buckets


def _fixed(buckets: int) -> Buckets:
    return lambda _name, _index_buckets: buckets


def _unsettled(_name: str, index_buckets: int) -> int:
    return unsettled_buckets(index_buckets)


BUCKETED: Final[Mapping[tuple[str, str], tuple[str, Buckets]]] = {
    ("audit_log", "action_bucket"): ("entity_id", _fixed(ACTION_BUCKETS)),
    ("audit_log", "user_bucket"): ("entity_id", _fixed(USER_BUCKETS)),
    ("audit_log", "merchant_bucket"): ("entity_id", _own),
    ("idempotency", "merchant_bucket"): ("key", _own),
    ("payments", "merchant_bucket"): ("id", _own),
    ("payments", "merchant_status_bucket"): ("id", _own),
    ("transactions", "merchant_bucket"): ("id", _own),
    ("transactions", "open_bucket"): ("id", _fixed(OPEN_BUCKETS)),
    ("transactions", "unsettled_bucket"): ("id", _unsettled),
    ("transfers", "merchant_bucket"): ("id", _own),
    ("transfers", "status_bucket"): ("id", _own),
    ("transfers", "hold_bucket"): ("id", _fixed(HOLD_BUCKETS)),
    ("webhooks", "merchant_bucket"): ("id", _own),
    ("webhooks", "undelivered_bucket"): ("id", _own),
    ("webhooks", "retry_bucket"): ("id", _fixed(RETRY_BUCKETS)),
}
"""Bucketed index keys: the attribute whose value chooses the bucket, and how many there are."""
OPEN_PAYMENTS: Final = ("payments", "open_bucket")
"""The bucket depends on the merchant, too: its payments use only some of the platform's buckets."""


class KeyRuleDiffers(Exception):
    """The runtime wrote another key than the model's rule predicts."""


@dataclass(frozen=True, slots=True)
class Ids:
    """What fills the templates of one operation. `new` are the time-sortable parts of new ids."""

    new: tuple[str, ...]
    merchant: str
    customer: str = ""
    source: str = ""
    target: str = ""
    credit: str = ""
    debit: str = ""
    entries: str = ""

    def fill(self, template: str) -> str:
        """The key or id that the template stands for."""
        return template.format(
            *self.new,
            merchant=self.merchant,
            customer=self.customer,
            source=self.source,
            target=self.target,
            credit=self.credit,
            debit=self.debit,
            entries=self.entries,
        )

    def with_transfer(self, transfer: str | None) -> Ids:
        """With the debit shard and the partition of entries of the operation's transfer."""
        if transfer is None:
            return self
        transfer_id = self.fill(transfer)
        return replace(self, entries=_entries_of(transfer_id), debit=debit_shard(transfer_id))


@dataclass(frozen=True, slots=True)
class Key:
    """A partition key as a template; with `buckets`, its name without the bucket's number.

    `identifier` is the template of the value that chooses the bucket, `owner` that of the merchant
    if it chooses, too.
    """

    template: str
    identifier: str = ""
    buckets: int = 0
    owner: str = ""

    @property
    def is_new(self) -> bool:
        """Whether each operation has a key of its own."""
        return not self.buckets and names_new_id(self.template)

    def of(self, ids: Ids) -> str:
        """The key of one operation."""
        name = ids.fill(self.template)
        if not self.buckets:
            return name
        identifier = ids.fill(self.identifier)
        if self.owner:
            return payment_open_bucket(ids.fill(self.owner), identifier, self.buckets)
        return bucket_for(name, identifier, self.buckets)


@dataclass(frozen=True, slots=True)
class Place:
    """A table, or one of its indexes."""

    table: str
    index: str | None = None

    def __str__(self) -> str:
        return self.table if self.index is None else f"{self.table}/{self.index}"


@dataclass
class Templates:
    """Turns the ids of one recording into placeholders; `known` are ids and what they stand for."""

    known: Mapping[str, str]
    index_buckets: int
    transfer_id: str | None = None
    _new: dict[str, int] = field(default_factory=dict)

    @property
    def new_ids(self) -> int:
        """How many new ids were found so far."""
        return len(self._new)

    def of(self, text: str) -> str:
        """The template of a key or id. Raises KeyRuleDiffers for an unexpected balance shard."""
        for identifier, placeholder in self.known.items():
            text = text.replace(identifier, placeholder)
        text = ACCOUNT_ROW.sub(self._shard, text)
        return _ULID.sub(self._placeholder, text)

    def of_read(self, text: str) -> str:
        """The template of a key that is read: every request reads all balance shards."""
        for identifier, placeholder in self.known.items():
            text = text.replace(identifier, placeholder)
        return _ULID.sub(self._placeholder, text)

    def key(self, table: str, attribute: str, item: Item) -> Key:
        """The template of an item's partition key. Raises KeyRuleDiffers."""
        value = item[attribute]["S"]
        if _BUCKET.search(value) is None:
            return Key(self.of(value))
        if (table, attribute) == OPEN_PAYMENTS:
            merchant, identifier = item["merchant_id"]["S"], item["id"]["S"]
            if payment_open_bucket(merchant, identifier, self.index_buckets) != value:
                raise KeyRuleDiffers(f"{table}.{attribute} of {identifier} is {value}")
            name, owner = self.of(value[:-4]), self.of(merchant)
            return Key(name, self.of(identifier), self.index_buckets, owner)
        if (table, attribute) not in BUCKETED:
            raise KeyRuleDiffers(f"{table}.{attribute} has buckets that the model does not know")
        chooser, buckets_of = BUCKETED[table, attribute]
        name, identifier = value[:-4], item[chooser]["S"]
        buckets = buckets_of(name, self.index_buckets)
        if bucket_for(name, identifier, buckets) != value:
            raise KeyRuleDiffers(f"{table}.{attribute} of {identifier} is {value}")
        return Key(self.of(name), self.of(identifier), buckets)

    def key_of(self, value: str) -> Key:
        """The template of a key without buckets."""
        return Key(self.of(value))

    def _placeholder(self, found: re.Match[str]) -> str:
        number = self._new.setdefault(found[2], len(self._new))
        return f"{found[1] or ''}{{{number}}}"

    def _shard(self, found: re.Match[str]) -> str:
        account, shard = found[1], found[2]
        if shard == PROFILE_SHARD:
            return found[0]
        if self.transfer_id is None:
            raise KeyRuleDiffers(f"{found[0]} was written without a transfer")
        if is_credit_shard(shard):
            return f"{account}#{{credit}}"  # any of them
        if shard == _entries_of(self.transfer_id):
            return f"{account}#{{entries}}"
        if shard == debit_shard(self.transfer_id):
            return f"{account}#{{debit}}"
        raise KeyRuleDiffers(f"{self.transfer_id} changed the balance shard {found[0]}")


def _entries_of(transfer_id: str) -> str:
    """The part of the key of the entries' partition that follows from the transfer."""
    return credit_partition("", transfer_id).removeprefix("#")


def names_new_id(template: str) -> bool:
    """Whether each operation has a value of its own."""
    return _NEW.search(template) is not None
