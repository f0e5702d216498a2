"""Encrypted fields are decrypted only in their own place, with the key of their subject."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.errors import IntegrityError, KeyForgotten
from runtime.dynamodb.codec import FieldLocation
from runtime.encryption.field_encryption import FieldEncryption
from runtime.encryption.key_ring import FIRST_KEY_ID, MAX_CACHE_SECONDS, MAX_CACHED_KEYS, KeyRing
from runtime.encryption.models import DataKey
from tests.support.fakes import FakeKms
from tests.support.outside import OUTSIDE, outside

ARNS = {"pii": "arn:pii", "pci": "arn:pci", "index": "arn:index"}
PLACE = FieldLocation("pii", "cus_1", "customers", ("cus_1",), "email")


class Keys:
    """A keys table in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], DataKey] = {}
        self.reads = 0

    def get(self, subject: str, key_id: str) -> DataKey | None:
        self.reads += 1
        return self.rows.get((subject, key_id))

    def all_of(self, subject: str) -> list[DataKey]:
        self.reads += 1
        mine = [row for (owner, _), row in self.rows.items() if owner == subject]
        return sorted(mine, key=lambda row: row.key_id, reverse=True)

    def create(self, key: DataKey, *, token: str) -> DataKey:
        assert len(token) <= 36
        return self.rows.setdefault((key.subject, key.key_id), key)


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def key_ring(kms: FakeKms, keys: Keys, time: Time | None = None) -> KeyRing:
    return KeyRing(kms, keys, ARNS, outside(monotonic=time or Time()))  # type: ignore[arg-type]


def encrypting(kms: FakeKms, keys: Keys) -> FieldEncryption:
    return FieldEncryption(key_ring(kms, keys), OUTSIDE.entropy)


@pytest.fixture
def kms() -> FakeKms:
    return FakeKms()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def encryption(kms: FakeKms, keys: Keys) -> FieldEncryption:
    return encrypting(kms, keys)


def test_a_ciphertext_is_unreadable_and_can_be_decrypted(encryption: FieldEncryption) -> None:
    sealed = encryption.encrypt(PLACE, b"who@example.com")
    assert encryption.decrypt(PLACE, sealed) == b"who@example.com"
    assert b"example" not in sealed
    assert len(sealed) == len(b"who@example.com") + 39
    assert encryption.encrypt(PLACE, b"who@example.com") != sealed, "nonces are unique"


@pytest.mark.parametrize(
    "moved",
    [
        replace(PLACE, key=("cus_2",)),
        replace(PLACE, key=("cus_1", "00")),
        replace(PLACE, attribute="name"),
        replace(PLACE, table="merchants"),
        replace(PLACE, key=("cus_1email",), attribute=""),
    ],
)
def test_a_ciphertext_moved_elsewhere_cannot_be_decrypted(
    encryption: FieldEncryption, moved: FieldLocation
) -> None:
    sealed = encryption.encrypt(PLACE, b"secret")
    with pytest.raises(IntegrityError, match="not made for it"):
        encryption.decrypt(moved, sealed)


def test_a_ciphertext_of_another_subject_or_purpose_cannot_be_decrypted(
    encryption: FieldEncryption,
) -> None:
    sealed = encryption.encrypt(PLACE, b"secret")
    for other in (replace(PLACE, subject="cus_2"), replace(PLACE, purpose="pci")):
        encryption.encrypt(other, b"so that the other key exists")
        with pytest.raises(IntegrityError, match="not made for it"):
            encryption.decrypt(other, sealed)


def test_changing_any_byte_makes_a_ciphertext_invalid(encryption: FieldEncryption) -> None:
    sealed = encryption.encrypt(PLACE, b"secret")
    for position in range(len(sealed)):
        forged = bytearray(sealed)
        forged[position] ^= 1
        with pytest.raises((IntegrityError, KeyForgotten)):
            encryption.decrypt(PLACE, bytes(forged))


@given(st.binary(max_size=100))
def test_other_bytes_are_refused_as_not_a_ciphertext(noise: bytes) -> None:
    with pytest.raises(IntegrityError):
        encrypting(FakeKms(), Keys()).decrypt(PLACE, noise)


def test_deleting_a_data_key_makes_its_fields_unreadable(kms: FakeKms, keys: Keys) -> None:
    sealed = encrypting(kms, keys).encrypt(PLACE, b"secret")
    keys.rows.clear()
    with pytest.raises(KeyForgotten, match="does not exist"):
        encrypting(kms, keys).decrypt(PLACE, sealed)


def test_a_wrapped_key_in_anothers_place_is_refused_by_kms(kms: FakeKms, keys: Keys) -> None:
    encryption = encrypting(kms, keys)
    sealed = encryption.encrypt(PLACE, b"secret")
    stolen = keys.rows["pii#cus_1", FIRST_KEY_ID]
    keys.rows["pii#cus_2", FIRST_KEY_ID] = stolen.model_copy(update={"subject": "pii#cus_2"})
    with pytest.raises(IntegrityError, match="InvalidCiphertext"):
        encrypting(kms, keys).decrypt(replace(PLACE, subject="cus_2"), sealed)


def test_each_subject_and_purpose_has_one_key_made_once(kms: FakeKms, keys: Keys) -> None:
    encryption = encrypting(kms, keys)
    for subject in ("cus_1", "cus_2"):
        for purpose in ("pii", "pci"):
            for _ in range(3):
                encryption.encrypt(replace(PLACE, subject=subject, purpose=purpose), b"x")
    assert (kms.generated, len(keys.rows)) == (4, 4)


def test_a_cached_key_needs_neither_kms_nor_the_table(kms: FakeKms, keys: Keys) -> None:
    encryption = encrypting(kms, keys)
    sealed = encryption.encrypt(PLACE, b"x")
    before = (kms.generated, kms.decrypted, keys.reads)
    for _ in range(10):
        encryption.decrypt(PLACE, sealed)
        encryption.encrypt(PLACE, b"y")
    assert (kms.generated, kms.decrypted, keys.reads) == before


def test_a_cached_key_expires(kms: FakeKms, keys: Keys) -> None:
    time = Time()
    keyring = key_ring(kms, keys, time)
    keyring.key_for_writing("pii", "cus_1")
    time.now = MAX_CACHE_SECONDS - 1
    keyring.key_for_writing("pii", "cus_1")
    assert kms.decrypted == 0
    time.now = MAX_CACHE_SECONDS
    keyring.key_for_writing("pii", "cus_1")
    assert kms.decrypted == 1
    keys.rows.clear()
    time.now *= 3
    with pytest.raises(KeyForgotten):
        keyring.key_for_reading("pii", "cus_1", FIRST_KEY_ID)


def test_the_cache_is_bounded_and_evicts_the_least_used_first(kms: FakeKms, keys: Keys) -> None:
    keyring = key_ring(kms, keys)
    keyring.key_for_writing("pii", "first")
    for n in range(MAX_CACHED_KEYS + 10):
        keyring.key_for_writing("pii", f"cus_{n}")
        keyring.key_for_writing("pii", "first")
    assert repr(keyring) == f"KeyRing({MAX_CACHED_KEYS} cached)"
    opened = kms.decrypted
    keyring.key_for_writing("pii", "first")
    assert kms.decrypted == opened, "the one in use was kept"
    keyring.key_for_writing("pii", "cus_0")
    assert kms.decrypted == opened + 1, "the oldest was evicted"


def test_two_concurrent_first_keys_of_a_subject_end_with_one(kms: FakeKms) -> None:
    class Racing(Keys):
        """Another function's key is written between our read and our write."""

        def create(self, key: DataKey, *, token: str) -> DataKey:
            if not self.rows:
                key_ring(kms, self_as_store).key_for_writing("pii", "cus_1")
            return super().create(key, token=token)

    class Quiet(Keys):
        pass

    keys = Racing()
    self_as_store = Quiet()
    self_as_store.rows = keys.rows
    loser = encrypting(kms, keys)
    sealed = loser.encrypt(PLACE, b"secret")
    assert len(keys.rows) == 1
    assert encrypting(kms, keys).decrypt(PLACE, sealed) == b"secret"


def test_a_function_without_the_purposes_key_is_refused(kms: FakeKms, keys: Keys) -> None:
    poor = KeyRing(kms, keys, {"pii": "arn:pii"}, outside())  # type: ignore[arg-type]
    with pytest.raises(IntegrityError, match="has no pci key"):
        poor.key_for_writing("pci", "cus_1")


def test_plaintext_keys_are_in_no_text(kms: FakeKms, keys: Keys) -> None:
    keyring = key_ring(kms, keys)
    _, key = keyring.key_for_writing("pii", "cus_1")
    assert key.hex() not in repr(keyring)
    assert "wrapped" not in repr(keys.rows["pii#cus_1", FIRST_KEY_ID])


def test_a_blind_index_finds_an_email_in_any_case_within_one_merchant(
    encryption: FieldEncryption,
) -> None:
    index = encryption.blind_index("mer_1", "Who@Example.com")
    assert encryption.blind_index("mer_1", " who@example.COM ") == index
    assert encryption.blind_index("mer_1", "who@example.org") != index
    assert encryption.blind_index("mer_2", "who@example.com") != index
    assert len(index) == 32
    assert encryption.blind_index("mer_1w", "ho@example.com") != index


def test_a_blind_index_is_the_same_in_every_process(kms: FakeKms, keys: Keys) -> None:
    one, other = (encrypting(kms, keys) for _ in range(2))
    assert one.blind_index("m", "a@b.c") == other.blind_index("m", "a@b.c")
