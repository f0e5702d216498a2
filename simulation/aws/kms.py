"""KMS: data keys wrapped by customer master keys, and one key that signs."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from simulation.aws.calls import RemoteClient
from simulation.dynamodb.errors import Unsupported
from simulation.faults import client_error

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (FIPS 186-5): private keys are smaller."""


class KeyManagement:
    """What is at KMS. A wrapped key is a random name for what it stands for here."""

    def __init__(self, seed: str) -> None:
        self._entropy = Random(f"{seed}-kms")
        self._wrapped: dict[bytes, tuple[str, Mapping[str, str], bytes]] = {}
        self._signing: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.disabled: set[str] = set()
        """Keys (ARNs) that an administrator has switched off."""

    def generate_data_key(
        self, *, KeyId: str, KeySpec: str, EncryptionContext: Mapping[str, str]
    ) -> dict[str, Any]:
        """A new data key, in plaintext and wrapped."""
        if KeySpec != "AES_256":
            raise Unsupported(f"KeySpec {KeySpec}")
        self._check(KeyId, "GenerateDataKey")
        plaintext, blob = self._entropy.randbytes(32), self._entropy.randbytes(48)
        self._wrapped[blob] = (KeyId, dict(EncryptionContext), plaintext)
        return {"CiphertextBlob": blob, "Plaintext": plaintext, "KeyId": KeyId}

    def decrypt(
        self, *, KeyId: str, CiphertextBlob: bytes, EncryptionContext: Mapping[str, str]
    ) -> dict[str, Any]:
        """The data key of a blob. Raises InvalidCiphertextException for any other context."""
        self._check(KeyId, "Decrypt")
        key_id, context, plaintext = self._wrapped.get(CiphertextBlob, ("", {}, b""))
        if not plaintext or context != EncryptionContext:
            raise client_error("InvalidCiphertextException", "Decrypt")
        if key_id != KeyId:
            raise client_error("IncorrectKeyException", "Decrypt")
        return {"Plaintext": plaintext, "KeyId": KeyId}

    def sign(
        self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str
    ) -> dict[str, Any]:
        """A signature over a message; of one message always the same."""
        if (MessageType, SigningAlgorithm) != ("RAW", "ECDSA_SHA_256"):
            raise Unsupported(f"{MessageType} {SigningAlgorithm}")
        self._check(KeyId, "Sign")
        # RFC 6979: chance of the process would make two runs of one seed differ.
        algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
        signature = self._signing_key(KeyId).sign(Message, algorithm)
        return {"KeyId": KeyId, "Signature": signature, "SigningAlgorithm": SigningAlgorithm}

    def public_key_pem(self, key_arn: str) -> str:
        """What verifies the signatures of a key, as PEM."""
        public = self._signing_key(key_arn).public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def _signing_key(self, key_arn: str) -> ec.EllipticCurvePrivateKey:
        if key_arn not in self._signing:
            secret = 1 + self._entropy.randrange(_ORDER - 1)
            self._signing[key_arn] = ec.derive_private_key(secret, ec.SECP256R1())
        return self._signing[key_arn]

    def _check(self, key_arn: str, operation: str) -> None:
        if key_arn in self.disabled:
            raise client_error("DisabledException", operation)


class KmsClient(RemoteClient):
    """As the platform calls KMS."""

    _operations = ("decrypt", "generate_data_key", "sign")
    _refusals = (("ThrottlingException", 400), ("KMSInternalException", 500))
