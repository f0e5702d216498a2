"""Reports in a bucket that refuses them."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from runtime.core.errors import Unavailable
from runtime.reconciliation.reports.bucket import CSV, ReportFiles


class FailingBucket:
    """S3 that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def put_object(self, **_: Any) -> NoReturn:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="https://s3.example"),
        ClientError({"Error": {"Code": "SlowDown", "Message": "slow down"}}, "PutObject"),
    ],
    ids=["no response", "S3 refuses"],
)
def test_a_report_that_s3_refuses_can_be_requested_again(error: Exception) -> None:
    files = ReportFiles(FailingBucket(error), "reports")  # type: ignore[arg-type]
    with pytest.raises(Unavailable) as refused:
        files.put("set_1/lines.csv", b"line", CSV)
    assert refused.value.status == 503
    assert refused.value.__cause__ is error
