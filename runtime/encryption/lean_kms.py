"""KMS by the lean client: a cold start without boto3, which takes a third of its CPU (0077)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from runtime.aws.answers import DeclaredErrors
from runtime.aws.json_client import Access, Answer, JsonApi, JsonClient

_MESSAGE: Final = ("message",)
ERRORS: Final = DeclaredErrors(
    {
        "DependencyTimeoutException": _MESSAGE,
        "DisabledException": _MESSAGE,
        "DryRunOperationException": _MESSAGE,
        "IncorrectKeyException": _MESSAGE,
        "InvalidCiphertextException": _MESSAGE,
        "InvalidGrantTokenException": _MESSAGE,
        "InvalidKeyUsageException": _MESSAGE,
        "KMSInternalException": _MESSAGE,
        "KMSInvalidStateException": _MESSAGE,
        "KeyUnavailableException": _MESSAGE,
        "NotFoundException": _MESSAGE,
    }
)
KMS: Final = JsonApi("kms", "TrentService", "application/x-amz-json-1.1", ERRORS)

BLOBS: Final = ("CiphertextBlob", "CiphertextForRecipient", "Plaintext")
"""Binary members of the answers."""
THROTTLED: Final = frozenset({"LimitExceededException", "ThrottlingException"})
BACKOFF_SECONDS: Final = 0.1
"""Of the first pause, which is random between zero and this; the next ones are twice as long."""


class LeanKms:
    """The operations for data keys, repeated after transient errors. Threads may share it.

    A repeated GenerateDataKey makes another data key; the first one is stored nowhere.
    """

    def __init__(self, access: Access, attempts: int, pause: Callable[[float], None]) -> None:
        """`attempts` includes the first; `pause` waits up to so many seconds."""
        self._client = JsonClient(KMS, access)
        self._attempts, self._pause = attempts, pause

    def decrypt(self, **request: Any) -> Answer:
        """Decrypt."""
        return self._call("Decrypt", request)

    def generate_data_key(self, **request: Any) -> Answer:
        """GenerateDataKey."""
        return self._call("GenerateDataKey", request)

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()

    def _call(self, operation: str, request: Mapping[str, Any]) -> Answer:
        for attempt in range(1, self._attempts):
            try:
                return self._once(operation, request)
            except ClientError as error:
                if not _is_transient(error):
                    raise
            except (ConnectionError, HTTPClientError):
                pass
            self._pause(BACKOFF_SECONDS * 2 ** (attempt - 1))
        return self._once(operation, request)

    def _once(self, operation: str, request: Mapping[str, Any]) -> Answer:
        answer = self._client.call(operation, request)
        for name in BLOBS:
            if name in answer:
                answer[name] = b64decode(answer[name])
        return answer


def _is_transient(error: ClientError) -> bool:
    answer = error.response
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return (
        answer["Error"]["Code"] in THROTTLED
        or status == HTTPStatus.TOO_MANY_REQUESTS
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )
