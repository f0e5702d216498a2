"""The S3 client of a simulated environment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from io import BytesIO
from typing import IO, Any, Final
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from botocore.exceptions import ResponseStreamingError

from simulation.aws.calls import Line, Refusal, RemoteClient
from simulation.aws.objects import ObjectStore
from simulation.dynamodb.errors import Unsupported

_LINKS: Final = "https://s3.eu-west-1.amazonaws.com"
_OPERATIONS: Final = ("get_object", "put_object")


class S3Client(RemoteClient):
    """As the platform calls S3. `now`: the clock of who signs links."""

    _operations = (
        "abort_multipart_upload",
        "complete_multipart_upload",
        "copy_object",
        "create_multipart_upload",
        "delete_object",
        "head_object",
        "list_object_versions",
        "list_objects_v2",
        "upload_part",
    )
    _refusals = (("SlowDown", 503), ("InternalError", 500))

    def __init__(self, line: Line, objects: ObjectStore, now: Callable[[], datetime]) -> None:
        super().__init__(line, "s3", objects)
        self._now = now

    def get_object(self, **arguments: Any) -> dict[str, Any]:
        """An object, whose body may break off while it is read."""
        answer: dict[str, Any] = self._call(
            "get_object", lambda: self._at_aws.get_object(**arguments)
        )
        scheduler, rate = self._line.scheduler, self._line.rates.answer_lost
        if rate and scheduler.current is not None and scheduler.rng.random() < rate:
            scheduler.injected["s3 body broken"] += 1
            answer["Body"] = _BrokenBody(answer["Body"].getvalue(), scheduler.rng.random())
        return answer

    def put_object(self, **arguments: Any) -> dict[str, Any]:
        """A new version. A conditional put may meet another one under way, which is a 409."""
        refusals: tuple[Refusal, ...] = self._refusals
        if "IfNoneMatch" in arguments:
            refusals = (*refusals, ("ConditionalRequestConflict", 409))
        answer: dict[str, Any] = self._line.call(
            "s3", "put_object", lambda: self._at_aws.put_object(**arguments), refusals
        )
        return answer

    def get_paginator(self, operation: str) -> _Pages:
        """Pages of a list; each is a call."""
        if operation not in ("list_objects_v2", "list_object_versions"):
            raise Unsupported(f"pages of {operation}")
        return _Pages(getattr(self, operation), operation)

    def upload_fileobj(self, stream: IO[bytes], bucket: str, key: str, *, Config: Any) -> None:
        """Put an object part by part, as s3transfer does without threads."""
        first = stream.read(Config.multipart_threshold)
        if len(first) < Config.multipart_threshold:
            self._do("put_object", Bucket=bucket, Key=key, Body=first)
            return
        place = {"Bucket": bucket, "Key": key}
        upload_id = self._do("create_multipart_upload", **place)["UploadId"]
        parts: list[dict[str, Any]] = []
        try:
            block = first
            while block:
                number = len(parts) + 1
                made = self._do(
                    "upload_part", **place, UploadId=upload_id, PartNumber=number, Body=block
                )
                parts.append({"PartNumber": number, "ETag": made["ETag"]})
                block = stream.read(Config.multipart_chunksize)
            self._do(
                "complete_multipart_upload",
                **place,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
            )
        except Exception:
            self._do("abort_multipart_upload", **place, UploadId=upload_id)
            raise

    def generate_presigned_url(
        self, operation: str, *, Params: Mapping[str, Any], ExpiresIn: int
    ) -> str:
        """A link; nothing leaves the process for it."""
        if operation not in _OPERATIONS:
            raise Unsupported(f"a link to {operation}")
        given = {
            name: str(value) for name, value in Params.items() if name not in ("Bucket", "Key")
        }
        query = {
            "X-Amz-Date": self._now().strftime("%Y%m%dT%H%M%SZ"),
            "X-Amz-Expires": str(ExpiresIn),
            "X-Simulated-Operation": operation,
            **given,
        }
        path = f"/{Params['Bucket']}/{quote(Params['Key'])}"
        text = f"{path}?{urlencode(query)}"
        return f"{_LINKS}{text}&X-Amz-Signature={hashlib.sha256(text.encode()).hexdigest()}"

    def _do(self, operation: str, **arguments: Any) -> Any:
        return getattr(self, operation)(**arguments)


class _BrokenBody(BytesIO):
    """A body whose connection ends after some share of it."""

    def __init__(self, body: bytes, share: float) -> None:
        super().__init__(body[: int(len(body) * share)])

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes. Raises ResponseStreamingError at the end of what has arrived."""
        block = super().read(size)
        if size is None or size < 0 or not block:
            raise ResponseStreamingError(error=ConnectionResetError("injected"))
        return block


class _Pages:
    """Pages of a list, each asked for after the last key of the one before."""

    def __init__(self, ask: Callable[..., Any], operation: str) -> None:
        self._ask, self._operation = ask, operation

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        """All pages."""
        while True:
            page = self._ask(**arguments)
            yield page
            if not page["IsTruncated"]:
                return
            if self._operation == "list_objects_v2":
                arguments["StartAfter"] = page["Contents"][-1]["Key"]
            else:
                arguments["KeyMarker"] = page["NextKeyMarker"]


def arguments_of_link(url: str) -> tuple[str, dict[str, str]]:
    """The operation that a link stands for, and its arguments, for who uses it."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    operation = query.pop("X-Simulated-Operation")
    _, bucket, key = parts.path.split("/", 2)
    shaping = ("X-Amz-", "Response")  # of the link itself, and of how the answer is shown
    named = {name: value for name, value in query.items() if not name.startswith(shaping)}
    return operation, {"Bucket": bucket, "Key": unquote(key), **named}
